//! The network the agent decides with, and its training.
//!
//! A multi-layer perceptron is all this data can feed, and small enough that one decision takes
//! microseconds: the case in which the cost of writing a decision down matters most. The network
//! carries the mean and deviation of its training set with it, so that whoever holds a network can
//! hand it features as they come out of the market.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::{
    AdamW, Linear, Module, Optimizer, ParamsAdamW, VarBuilder, VarMap, linear, loss, ops,
};

use crate::features::{ACTIONS, FEATURES, Sample, Vector, narrow};

/// Inputs, two hidden layers, outputs.
pub const LAYERS: [usize; 4] = [FEATURES, 128, 64, ACTIONS.len()];

/// The name of the network in the journal.
pub const NAME: &str = "mlp";

/// The layers' names in a file, and those of the scale's two rows.
const NAMES: [&str; 3] = ["first", "second", "last"];
const MEAN: &str = "scale.mean";
const DEVIATION: &str = "scale.deviation";

const BATCH: usize = 64;
const LEARNING_RATE: f64 = 2e-4;
const WEIGHT_DECAY: f64 = 0.02;

/// Standardised features beyond this many deviations are cut off: the network has seen nothing like
/// them.
const FAR: f32 = 5.0;

/// A trained, or still training, network.
pub struct Network {
    layers: [Linear; 3],
    variables: VarMap,
    scale: Scale,
}

impl Network {
    /// A network with random weights.
    ///
    /// The CPU generator of candle cannot be seeded, so the weights are drawn here and set over its
    /// own. Nothing else in training is random but the order of the samples, which is drawn from
    /// the same seed: on one machine, a seed gives the same network every time. Across machines the
    /// last digits may differ, as matrix kernels differ.
    fn new(scale: Scale, random: &mut Random) -> Result<Self> {
        let mut variables = VarMap::new();
        let builder = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
        let [inputs, first, second, outputs] = LAYERS;
        let layers = [
            linear(inputs, first, builder.pp(NAMES[0]))?,
            linear(first, second, builder.pp(NAMES[1]))?,
            linear(second, outputs, builder.pp(NAMES[2]))?,
        ];
        for (name, inputs, outputs) in [
            (NAMES[0], inputs, first),
            (NAMES[1], first, second),
            (NAMES[2], second, outputs),
        ] {
            let bound = 1.0 / (inputs as f32).sqrt();
            let weights: Vec<f32> = (0..inputs * outputs)
                .map(|_| bound * random.signed_unit())
                .collect();
            variables.set_one(
                format!("{name}.weight"),
                Tensor::from_vec(weights, (outputs, inputs), &Device::Cpu)?,
            )?;
            variables.set_one(
                format!("{name}.bias"),
                Tensor::zeros(outputs, DType::F32, &Device::Cpu)?,
            )?;
        }
        Ok(Self {
            layers,
            variables,
            scale,
        })
    }

    /// How sure the network is of each action. The three numbers sum to one.
    pub fn probabilities(&self, features: &Vector) -> Result<Vec<f32>> {
        let input = Tensor::from_slice(&self.scale.apply(features), FEATURES, &Device::Cpu)?;
        let [first, second, last] = &self.layers;
        let hidden = one(second, &one(first, &input)?.relu()?)?.relu()?;
        ops::softmax_last_dim(&one(last, &hidden)?)?.to_vec1()
    }

    /// How many numbers training adjusts.
    pub fn parameters(&self) -> usize {
        self.variables
            .all_vars()
            .iter()
            .map(|variable| variable.elem_count())
            .sum()
    }

    /// Writes the network into a safetensors file: its weights, and the scale of its inputs.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut tensors: HashMap<String, Tensor> = HashMap::new();
        for (name, layer) in NAMES.into_iter().zip(&self.layers) {
            tensors.insert(format!("{name}.weight"), layer.weight().clone());
            if let Some(bias) = layer.bias() {
                tensors.insert(format!("{name}.bias"), bias.clone());
            }
        }
        for (name, values) in [(MEAN, &self.scale.mean), (DEVIATION, &self.scale.deviation)] {
            let values = Tensor::from_slice(values, FEATURES, &Device::Cpu)?;
            tensors.insert(name.to_owned(), values);
        }
        candle_core::safetensors::save(&tensors, path)
    }

    /// The network in a file that [`write`](Self::write) wrote.
    pub fn read(path: &Path) -> Result<Self> {
        let tensors = candle_core::safetensors::load(path, &Device::Cpu)?;
        let tensor = |name: &str| {
            let found = tensors.get(name);
            found.ok_or_else(|| candle_core::Error::Msg(format!("there is no tensor {name}")))
        };
        let vector = |name| -> Result<Vector> {
            let values = tensor(name)?.to_vec1::<f32>()?;
            let count = values.len();
            let wrong = |_| candle_core::Error::Msg(format!("{name} has {count} values"));
            values.try_into().map_err(wrong)
        };
        let scale = Scale {
            mean: vector(MEAN)?,
            deviation: vector(DEVIATION)?,
        };
        let mut network = Self::new(scale, &mut Random(0))?;
        for layer in NAMES {
            for part in ["weight", "bias"] {
                let name = format!("{layer}.{part}");
                network.variables.set_one(&name, tensor(&name)?)?;
            }
        }
        Ok(network)
    }

    fn logits(&self, input: &Tensor) -> Result<Tensor> {
        let [first, second, last] = &self.layers;
        last.forward(&second.forward(&first.forward(input)?.relu()?)?.relu()?)
    }

    /// Mean loss and accuracy over a set.
    fn evaluate(&self, set: &Set) -> Result<(f64, f64)> {
        let logits = self.logits(&set.inputs)?;
        let loss = loss::cross_entropy(&logits, &set.targets)?.to_scalar::<f32>()?;
        let right = logits
            .argmax(D::Minus1)?
            .eq(&set.targets)?
            .to_dtype(DType::F32)?
            .mean_all()?;
        Ok((f64::from(loss), f64::from(right.to_scalar::<f32>()?)))
    }

    fn weights(&self) -> Result<Vec<(Var, Tensor)>> {
        self.variables
            .all_vars()
            .into_iter()
            .map(|variable| {
                let copy = variable.as_tensor().copy()?;
                Ok((variable, copy))
            })
            .collect()
    }
}

/// A layer applied to one row.
///
/// On Linux the matrix product of candle 0.11 asks for the number of processors on every call and
/// reads `/proc/cpuinfo` to learn it, which takes several times as long as a product this small. A
/// sum of products needs no such question.
fn one(layer: &Linear, input: &Tensor) -> Result<Tensor> {
    let sums = layer
        .weight()
        .detach()
        .broadcast_mul(input)?
        .sum(D::Minus1)?;
    match layer.bias() {
        Some(bias) => sums + bias.detach(),
        None => Ok(sums),
    }
}

/// How to train.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// How often to go through the training set.
    pub epochs: u32,
    /// Where the random weights and the order of the samples come from.
    pub seed: u64,
}

/// How one pass through the training set went.
#[derive(Debug, Clone, Copy)]
pub struct Epoch {
    /// Counted from one.
    pub number: u32,
    /// Mean loss over the batches of this epoch.
    pub training_loss: f64,
    /// Loss over the validation set after it.
    pub validation_loss: f64,
    /// Share of the validation set decided rightly.
    pub validation_accuracy: f64,
    /// Whether no earlier epoch had a lower validation loss.
    pub best: bool,
    /// How long it took.
    pub took: Duration,
}

/// Trains a network and returns it as it was after its best epoch, with that epoch.
///
/// `after_epoch` is called after every epoch with the network as it then is; an error from it ends
/// the training.
pub fn train<E: From<candle_core::Error>>(
    training: &[Sample],
    validation: &[Sample],
    schedule: Schedule,
    mut after_epoch: impl FnMut(&Epoch, &Network) -> std::result::Result<(), E>,
) -> std::result::Result<(Network, Option<Epoch>), E> {
    let mut random = Random(schedule.seed);
    let scale = Scale::of(training);
    let network = Network::new(scale, &mut random)?;
    let training = Set::new(training, &network.scale)?;
    let validation = Set::new(validation, &network.scale)?;
    let mut optimizer = AdamW::new(
        network.variables.all_vars(),
        ParamsAdamW {
            lr: LEARNING_RATE,
            weight_decay: WEIGHT_DECAY,
            ..ParamsAdamW::default()
        },
    )?;

    let mut order = training.rows();
    let mut best: Option<(Epoch, Vec<(Var, Tensor)>)> = None;
    for number in 1..=schedule.epochs {
        let started = Instant::now();
        random.shuffle(&mut order);
        let mut losses = 0.0;
        for batch in order.chunks(BATCH) {
            let rows = Tensor::from_slice(batch, batch.len(), &Device::Cpu)?;
            let logits = network.logits(&training.inputs.index_select(&rows, 0)?)?;
            let loss = loss::cross_entropy(&logits, &training.targets.index_select(&rows, 0)?)?;
            optimizer.backward_step(&loss)?;
            losses += f64::from(loss.to_scalar::<f32>()?) * batch.len() as f64;
        }
        let (validation_loss, validation_accuracy) = network.evaluate(&validation)?;
        let epoch = Epoch {
            number,
            training_loss: losses / order.len().max(1) as f64,
            validation_loss,
            validation_accuracy,
            best: best
                .as_ref()
                .is_none_or(|(best, _)| validation_loss < best.validation_loss),
            took: started.elapsed(),
        };
        if epoch.best {
            best = Some((epoch, network.weights()?));
        }
        after_epoch(&epoch, &network)?;
    }

    let Some((epoch, weights)) = best else {
        return Ok((network, None));
    };
    for (variable, weight) in weights {
        variable.set(&weight)?;
    }
    Ok((network, Some(epoch)))
}

/// Samples as tensors.
struct Set {
    inputs: Tensor,
    targets: Tensor,
}

impl Set {
    fn new(samples: &[Sample], scale: &Scale) -> Result<Self> {
        let (inputs, targets): (Vec<Vector>, Vec<u32>) = samples
            .iter()
            .filter_map(|sample| {
                let target = u32::try_from(sample.outcome?.action).ok()?;
                Some((scale.apply(&sample.features), target))
            })
            .unzip();
        let size = targets.len();
        Ok(Self {
            inputs: Tensor::from_vec(inputs.concat(), (size, FEATURES), &Device::Cpu)?,
            targets: Tensor::from_vec(targets, size, &Device::Cpu)?,
        })
    }

    /// The numbers of its rows, in order.
    fn rows(&self) -> Vec<u32> {
        (0..).take(self.targets.elem_count()).collect()
    }
}

/// Mean and deviation of each feature over the training set, and over nothing else.
#[derive(Debug, Clone, PartialEq)]
struct Scale {
    mean: Vector,
    deviation: Vector,
}

impl Scale {
    fn of(training: &[Sample]) -> Self {
        let count = training.len().max(1) as f64;
        let average =
            |value: &dyn Fn(&Sample) -> f64| training.iter().map(value).sum::<f64>() / count;
        let mean: [f64; FEATURES] =
            std::array::from_fn(|index| average(&|sample| f64::from(sample.features[index])));
        let deviation = std::array::from_fn(|index| {
            let spread =
                average(&|sample| (f64::from(sample.features[index]) - mean[index]).powi(2)).sqrt();
            // A feature that never varied says nothing, whatever it is divided by.
            if spread > 1e-9 { narrow(spread) } else { 1.0 }
        });
        Self {
            mean: mean.map(narrow),
            deviation,
        }
    }

    fn apply(&self, features: &Vector) -> Vector {
        std::array::from_fn(|index| {
            ((features[index] - self.mean[index]) / self.deviation[index]).clamp(-FAR, FAR)
        })
    }
}

/// SplitMix64: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between -1 and 1, in steps an `f32` can hold.
    fn signed_unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    }

    fn shuffle(&mut self, items: &mut [u32]) {
        for last in (1..items.len()).rev() {
            // The remainder favours low positions by less than one part in 2^40 for any set that
            // fits in memory.
            let other = usize::try_from(self.next() % (last as u64 + 1)).unwrap_or(last);
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::features::Outcome;

    /// Enough for samples as plain as these.
    const EPOCHS: u32 = 100;

    /// Samples whose first feature gives the answer away.
    fn plain(count: usize) -> Vec<Sample> {
        let days = std::iter::successors(Some(DateTime::UNIX_EPOCH), |day| {
            Some(*day + TimeDelta::days(1))
        });
        days.take(count)
            .enumerate()
            .map(|(index, time)| {
                let action = index % ACTIONS.len();
                let mut features = [0.0; FEATURES];
                features[0] = 100.0 + action as f32;
                features[1] = (index % 7) as f32;
                Sample {
                    symbol: 0,
                    time,
                    features,
                    outcome: Some(Outcome {
                        time,
                        action,
                        gain: 0.0,
                    }),
                }
            })
            .collect()
    }

    fn trained(seed: u64) -> Result<(Network, Option<Epoch>, Vec<f64>)> {
        let samples = plain(300);
        let mut losses = Vec::new();
        let (network, best) = train(
            &samples[..240],
            &samples[240..],
            Schedule {
                epochs: EPOCHS,
                seed,
            },
            |epoch, _| {
                losses.push(epoch.validation_loss);
                Ok::<(), candle_core::Error>(())
            },
        )?;
        Ok((network, best, losses))
    }

    #[test]
    fn it_learns_what_can_be_learnt() -> Result<()> {
        let (network, best, _) = trained(1)?;
        assert!(
            best.is_some_and(|best| best.validation_accuracy > 0.99),
            "{best:?}"
        );
        for sample in plain(6) {
            let probabilities = network.probabilities(&sample.features)?;
            assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            let right = sample.outcome.map(|outcome| probabilities[outcome.action]);
            assert!(right.is_some_and(|right| right > 0.5), "{probabilities:?}");
        }
        Ok(())
    }

    #[test]
    fn a_seed_repeats_a_training() -> Result<()> {
        let (first, _, losses) = trained(1)?;
        let (second, _, again) = trained(1)?;
        let (_, _, other) = trained(2)?;
        assert_eq!(losses, again);
        assert_ne!(losses, other);
        let features = plain(1)[0].features;
        assert_eq!(
            first.probabilities(&features)?,
            second.probabilities(&features)?
        );
        Ok(())
    }

    #[test]
    fn the_best_epoch_is_the_one_kept() -> Result<()> {
        // Noise: whatever is learnt of it makes the validation loss worse before long.
        let mut random = Random(5);
        let mut samples = plain(300);
        for sample in &mut samples {
            sample.features = std::array::from_fn(|_| random.signed_unit());
        }
        let mut losses = Vec::new();
        let (network, best) = train(
            &samples[..200],
            &samples[200..],
            Schedule {
                epochs: 60,
                seed: 1,
            },
            |epoch, _| {
                losses.push(epoch.validation_loss);
                Ok::<(), candle_core::Error>(())
            },
        )?;
        let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(
            losses.last().is_some_and(|last| *last > lowest),
            "{losses:?}"
        );
        assert_eq!(best.map(|best| best.validation_loss), Some(lowest));
        let set = Set::new(&samples[200..], &network.scale)?;
        assert_eq!(network.evaluate(&set)?.0, lowest);
        Ok(())
    }

    #[test]
    fn an_error_after_an_epoch_ends_the_training() {
        let samples = plain(60);
        let mut epochs = 0;
        let result = train(
            &samples,
            &samples,
            Schedule { epochs: 9, seed: 1 },
            |_, _| {
                epochs += 1;
                if epochs == 3 {
                    Err(candle_core::Error::Msg("enough".into()))
                } else {
                    Ok(())
                }
            },
        );
        assert!(result.is_err());
        assert_eq!(epochs, 3);
    }

    #[test]
    fn the_scale_is_that_of_the_training_set() {
        let samples = plain(3);
        let scale = Scale::of(&samples);
        assert_eq!(scale.mean[0], 101.0);
        assert_eq!(scale.deviation[5], 1.0);
        let mut far = samples[0].features;
        far[0] = 1e30;
        assert_eq!(scale.apply(&far)[0], FAR);
        assert_eq!(scale.apply(&samples[1].features)[0], 0.0);
    }

    #[test]
    fn one_row_gives_what_a_batch_gives() -> Result<()> {
        let (network, ..) = trained(3)?;
        let samples = plain(5);
        let batch =
            ops::softmax_last_dim(&network.logits(&Set::new(&samples, &network.scale)?.inputs)?)?;
        for (sample, row) in samples.iter().zip(batch.to_vec2::<f32>()?) {
            for (one, of_batch) in network.probabilities(&sample.features)?.iter().zip(row) {
                assert!((one - of_batch).abs() < 1e-5, "{one} {of_batch}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_network_comes_back_from_its_file_as_it_was() -> Result<()> {
        let (network, ..) = trained(3)?;
        let path = std::env::temp_dir().join(format!("network-{}.safetensors", std::process::id()));
        network.write(&path)?;
        let read = Network::read(&path)?;
        std::fs::remove_file(&path)?;
        for sample in plain(5) {
            let before = network.probabilities(&sample.features)?;
            assert_eq!(read.probabilities(&sample.features)?, before);
        }
        assert!(Network::read(Path::new("nowhere")).is_err());
        Ok(())
    }

    #[test]
    fn the_parameters_are_those_of_the_layers() -> Result<()> {
        let network = Network::new(Scale::of(&[]), &mut Random(1))?;
        let expected: usize = LAYERS
            .windows(2)
            .map(|pair| pair[0] * pair[1] + pair[1])
            .sum();
        assert_eq!(network.parameters(), expected);
        Ok(())
    }
}
