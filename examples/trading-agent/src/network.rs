//! The network the agent decides with, and its training.
//!
//! A multi-layer perceptron is all this data can feed, and small enough that one decision takes
//! microseconds: the case in which the cost of writing a decision down matters most. It is written
//! out here, forward and backward, because a library for networks would be most of what the agent
//! compiles. The network carries the mean and deviation of its training set with it, so that it
//! takes features as they come out of the market.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

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
const LEARNING_RATE: f32 = 2e-4;
const WEIGHT_DECAY: f32 = 0.02;

/// Standardised features beyond this many deviations are cut off: the network has seen nothing like
/// them.
const FAR: f32 = 5.0;

/// Result of one decision: the probability of each action.
pub type Probabilities = [f32; ACTIONS.len()];

/// A fully connected layer.
#[derive(Debug, Clone, PartialEq)]
struct Linear {
    inputs: usize,
    outputs: usize,
    /// A row of outputs for each input, so that the innermost loops run over neighbours.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Linear {
    fn zeros(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            outputs,
            weights: vec![0.0; inputs * outputs],
            bias: vec![0.0; outputs],
        }
    }

    /// The layer's output for one row.
    fn forward(&self, input: &[f32], output: &mut [f32]) {
        output.copy_from_slice(&self.bias);
        for (value, weights) in input.iter().zip(self.weights.chunks_exact(self.outputs)) {
            // Half of what a hidden layer hands on is zero.
            if *value != 0.0 {
                add_scaled(output, weights, *value);
            }
        }
    }

    /// Adds to `sums` what the slopes of a row's outputs mean for the weights and, if that is asked
    /// for, says what they mean for the row's inputs.
    fn backward(
        &self,
        input: &[f32],
        slopes: &[f32],
        sums: &mut Linear,
        below: Option<&mut [f32]>,
    ) {
        add_scaled(&mut sums.bias, slopes, 1.0);
        for (value, sums) in input
            .iter()
            .zip(sums.weights.chunks_exact_mut(self.outputs))
        {
            if *value != 0.0 {
                add_scaled(sums, slopes, *value);
            }
        }
        if let Some(below) = below {
            for (slope, weights) in below
                .iter_mut()
                .zip(self.weights.chunks_exact(self.outputs))
            {
                *slope = product(weights, slopes);
            }
        }
    }

    fn numbers(&self) -> impl Iterator<Item = &f32> {
        self.weights.iter().chain(&self.bias)
    }

    fn numbers_mut(&mut self) -> impl Iterator<Item = &mut f32> {
        self.weights.iter_mut().chain(&mut self.bias)
    }
}

/// Adds `factor` times `row` to `sums`.
fn add_scaled(sums: &mut [f32], row: &[f32], factor: f32) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += factor * value;
    }
}

/// The sum of products, in eight sums that a processor can add at once. Their order is fixed, so
/// the result is the same on every machine.
fn product(one: &[f32], other: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    let (ones, others) = (one.chunks_exact(8), other.chunks_exact(8));
    let rest = ones.remainder().iter().zip(others.remainder());
    let rest: f32 = rest.map(|(a, b)| a * b).sum();
    for (a, b) in ones.zip(others) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Sets what is below zero to zero.
fn relu(values: &mut [f32]) {
    for value in values {
        *value = value.max(0.0);
    }
}

/// Turns scores into shares that sum to one, and says the logarithm of the sum that they had.
fn softmax(scores: &mut [f32]) -> f32 {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - highest).exp();
        sum += *score;
    }
    for score in scores.iter_mut() {
        *score /= sum;
    }
    highest + sum.ln()
}

/// The layers' outputs for one row.
struct Trace {
    first: Vec<f32>,
    second: Vec<f32>,
    last: Probabilities,
}

impl Trace {
    fn new() -> Self {
        Self {
            first: vec![0.0; LAYERS[1]],
            second: vec![0.0; LAYERS[2]],
            last: [0.0; ACTIONS.len()],
        }
    }
}

/// A trained, or still training, network.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    layers: [Linear; 3],
    scale: Scale,
}

impl Network {
    /// A network with random weights.
    ///
    /// Nothing else in training is random but the order of the samples, which is drawn from the
    /// same seed: a seed gives the same network every time.
    fn new(scale: Scale, random: &mut Random) -> Self {
        let mut network = Self::zeros(scale);
        for layer in &mut network.layers {
            let bound = 1.0 / (layer.inputs as f32).sqrt();
            for weight in &mut layer.weights {
                *weight = bound * random.signed_unit();
            }
        }
        network
    }

    fn zeros(scale: Scale) -> Self {
        let [inputs, first, second, outputs] = LAYERS;
        Self {
            layers: [
                Linear::zeros(inputs, first),
                Linear::zeros(first, second),
                Linear::zeros(second, outputs),
            ],
            scale,
        }
    }

    /// How sure the network is of each action. The three numbers sum to one.
    pub fn probabilities(&self, features: &Vector) -> Probabilities {
        let mut trace = Trace::new();
        self.forward(&self.scale.apply(features), &mut trace);
        softmax(&mut trace.last);
        trace.last
    }

    /// The scores of one row, and what led to them.
    fn forward(&self, input: &Vector, trace: &mut Trace) {
        let [first, second, last] = &self.layers;
        first.forward(input, &mut trace.first);
        relu(&mut trace.first);
        second.forward(&trace.first, &mut trace.second);
        relu(&mut trace.second);
        last.forward(&trace.second, &mut trace.last);
    }

    /// How many numbers training adjusts.
    pub fn parameters(&self) -> usize {
        self.layers
            .iter()
            .map(|layer| layer.numbers().count())
            .sum()
    }

    /// Writes the network into a safetensors file: its weights, and the scale of its inputs.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut tensors: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
        for (name, layer) in NAMES.into_iter().zip(&self.layers) {
            let shape = vec![layer.outputs, layer.inputs];
            tensors.push((format!("{name}.weight"), shape, turned(layer)));
            let shape = vec![layer.outputs];
            tensors.push((format!("{name}.bias"), shape, layer.bias.clone()));
        }
        for (name, values) in [(MEAN, &self.scale.mean), (DEVIATION, &self.scale.deviation)] {
            tensors.push((name.to_owned(), vec![FEATURES], values.to_vec()));
        }
        let bytes: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, _, values)| {
                values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect()
            })
            .collect();
        let views = tensors
            .into_iter()
            .zip(&bytes)
            .map(|((name, shape, _), bytes)| {
                let view = TensorView::new(Dtype::F32, shape, bytes).map_err(io::Error::other)?;
                Ok((name, view))
            });
        let views = views.collect::<io::Result<Vec<_>>>()?;
        let file = safetensors::serialize(views, None).map_err(io::Error::other)?;
        fs::write(path, file)
    }

    /// The network in a file that [`write`](Self::write) wrote.
    pub fn read(path: &Path) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(io::Error::other)?;
        let numbers = |name: &str, shape: &[usize]| -> io::Result<Vec<f32>> {
            let view = tensors.tensor(name).map_err(io::Error::other)?;
            if view.dtype() != Dtype::F32 || view.shape() != shape {
                let found = format!("{name} is {:?} {:?}", view.dtype(), view.shape());
                return Err(io::Error::other(format!(
                    "{found} instead of F32 {shape:?}"
                )));
            }
            let (fours, _) = view.data().as_chunks::<4>();
            Ok(fours.iter().map(|four| f32::from_le_bytes(*four)).collect())
        };
        let vector = |name| -> io::Result<Vector> {
            let wrong = |_| io::Error::other(format!("{name} is too short"));
            numbers(name, &[FEATURES])?.try_into().map_err(wrong)
        };
        let mut network = Self::zeros(Scale {
            mean: vector(MEAN)?,
            deviation: vector(DEVIATION)?,
        });
        for (name, layer) in NAMES.into_iter().zip(&mut network.layers) {
            let shape = [layer.outputs, layer.inputs];
            let weights = numbers(&format!("{name}.weight"), &shape)?;
            for (output, row) in weights.chunks_exact(layer.inputs).enumerate() {
                for (input, weight) in row.iter().enumerate() {
                    layer.weights[input * layer.outputs + output] = *weight;
                }
            }
            layer.bias = numbers(&format!("{name}.bias"), &[layer.outputs])?;
        }
        Ok(network)
    }

    /// Mean loss and accuracy over a set.
    fn evaluate(&self, set: &Set) -> (f64, f64) {
        let mut trace = Trace::new();
        let (mut losses, mut right) = (0.0, 0_u32);
        for (input, target) in set.inputs.iter().zip(&set.targets) {
            self.forward(input, &mut trace);
            let score = trace.last[*target];
            let is_best = trace.last.iter().all(|other| *other <= score);
            right += u32::from(is_best);
            losses += f64::from(softmax(&mut trace.last) - score);
        }
        let count = set.targets.len().max(1) as f64;
        (losses / count, f64::from(right) / count)
    }
}

/// A layer's weights as files have them: a row of inputs for each output.
fn turned(layer: &Linear) -> Vec<f32> {
    let row = |output| (0..layer.inputs).map(move |input| input * layer.outputs + output);
    let places = (0..layer.outputs).flat_map(row);
    places.map(|place| layer.weights[place]).collect()
}

/// Adjusts weights by Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
struct AdamW {
    /// Slopes of the present batch, and their running mean and mean square.
    slopes: [Linear; 3],
    means: [Linear; 3],
    squares: [Linear; 3],
    steps: i32,
}

impl AdamW {
    const MEAN: f32 = 0.9;
    const SQUARE: f32 = 0.999;
    const LEAST: f32 = 1e-8;

    fn new(network: &Network) -> Self {
        let zeros = || Network::zeros(network.scale.clone()).layers;
        Self {
            slopes: zeros(),
            means: zeros(),
            squares: zeros(),
            steps: 0,
        }
    }

    /// Moves the weights against the slopes, and forgets the slopes.
    fn step(&mut self, network: &mut Network) {
        self.steps = self.steps.saturating_add(1);
        let mean_scale = 1.0 / (1.0 - Self::MEAN.powi(self.steps));
        let square_scale = 1.0 / (1.0 - Self::SQUARE.powi(self.steps));
        let layers = network.layers.iter_mut().zip(&mut self.slopes);
        let running = self.means.iter_mut().zip(&mut self.squares);
        for ((layer, slopes), (means, squares)) in layers.zip(running) {
            let numbers = layer.numbers_mut().zip(slopes.numbers_mut());
            let running = means.numbers_mut().zip(squares.numbers_mut());
            for ((number, slope), (mean, square)) in numbers.zip(running) {
                *mean += (1.0 - Self::MEAN) * (*slope - *mean);
                *square += (1.0 - Self::SQUARE) * (*slope * *slope - *square);
                *slope = 0.0;
                let way = *mean * mean_scale / ((*square * square_scale).sqrt() + Self::LEAST);
                *number -= LEARNING_RATE * (WEIGHT_DECAY * *number + way);
            }
        }
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
    /// Duration.
    pub took: Duration,
}

/// Trains a network and returns it as it was after its best epoch, with that epoch.
///
/// `after_epoch` is called after every epoch with the network as it then is; an error from it ends
/// the training.
pub fn train<E>(
    training: &[Sample],
    validation: &[Sample],
    schedule: Schedule,
    mut after_epoch: impl FnMut(&Epoch, &Network) -> Result<(), E>,
) -> Result<(Network, Option<Epoch>), E> {
    let mut random = Random(schedule.seed);
    let scale = Scale::of(training);
    let mut network = Network::new(scale, &mut random);
    let training = Set::new(training, &network.scale);
    let validation = Set::new(validation, &network.scale);
    let mut optimizer = AdamW::new(&network);

    let mut order: Vec<usize> = (0..training.targets.len()).collect();
    let mut best: Option<(Epoch, Network)> = None;
    for number in 1..=schedule.epochs {
        let started = Instant::now();
        random.shuffle(&mut order);
        let mut losses = 0.0;
        for batch in order.chunks(BATCH) {
            losses += learn(&mut network, &mut optimizer, &training, batch);
        }
        let (validation_loss, validation_accuracy) = network.evaluate(&validation);
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
            best = Some((epoch, network.clone()));
        }
        after_epoch(&epoch, &network)?;
    }
    Ok(match best {
        Some((epoch, network)) => (network, Some(epoch)),
        None => (network, None),
    })
}

/// Adjusts the network to some rows of a set, and says the sum of their losses before that.
fn learn(network: &mut Network, optimizer: &mut AdamW, set: &Set, batch: &[usize]) -> f64 {
    let mut trace = Trace::new();
    let [first, second, last] = &mut optimizer.slopes;
    let mut below_second = vec![0.0; LAYERS[1]];
    let mut below_last = vec![0.0; LAYERS[2]];
    let part = 1.0 / batch.len().max(1) as f32;
    let mut losses = 0.0;
    for row in batch {
        let (input, target) = (&set.inputs[*row], set.targets[*row]);
        network.forward(input, &mut trace);
        let score = trace.last[target];
        let mut slopes = trace.last;
        losses += f64::from(softmax(&mut slopes) - score);
        slopes[target] -= 1.0;
        for slope in &mut slopes {
            *slope *= part;
        }
        let layers = &network.layers;
        layers[2].backward(&trace.second, &slopes, last, Some(&mut below_last));
        close(&mut below_last, &trace.second);
        layers[1].backward(&trace.first, &below_last, second, Some(&mut below_second));
        close(&mut below_second, &trace.first);
        layers[0].backward(input, &below_second, first, None);
    }
    optimizer.step(network);
    losses
}

/// Nothing below zero was handed on, so no slope goes back there.
fn close(slopes: &mut [f32], handed_on: &[f32]) {
    for (slope, value) in slopes.iter_mut().zip(handed_on) {
        if *value <= 0.0 {
            *slope = 0.0;
        }
    }
}

/// Samples as the network sees them.
struct Set {
    inputs: Vec<Vector>,
    targets: Vec<usize>,
}

impl Set {
    fn new(samples: &[Sample], scale: &Scale) -> Self {
        let known = samples.iter().filter_map(|sample| {
            let target = sample.outcome?.action;
            (target < ACTIONS.len()).then(|| (scale.apply(&sample.features), target))
        });
        let (inputs, targets) = known.unzip();
        Self { inputs, targets }
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

    fn shuffle(&mut self, items: &mut [usize]) {
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
    use std::convert::Infallible;

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

    fn trained(seed: u64) -> (Network, Option<Epoch>, Vec<f64>) {
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
                Ok::<(), Infallible>(())
            },
        )
        .unwrap_or_else(|never| match never {});
        (network, best, losses)
    }

    #[test]
    fn it_learns_what_can_be_learnt() {
        let (network, best, _) = trained(1);
        assert!(
            best.is_some_and(|best| best.validation_accuracy > 0.99),
            "{best:?}"
        );
        for sample in plain(6) {
            let probabilities = network.probabilities(&sample.features);
            assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            let right = sample.outcome.map(|outcome| probabilities[outcome.action]);
            assert!(right.is_some_and(|right| right > 0.5), "{probabilities:?}");
        }
    }

    #[test]
    fn a_seed_repeats_a_training() {
        let (first, _, losses) = trained(1);
        let (second, _, again) = trained(1);
        let (_, _, other) = trained(2);
        assert_eq!(losses, again);
        assert_ne!(losses, other);
        let features = plain(1)[0].features;
        assert_eq!(
            first.probabilities(&features),
            second.probabilities(&features)
        );
    }

    #[test]
    fn the_best_epoch_is_the_one_kept() {
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
                Ok::<(), Infallible>(())
            },
        )
        .unwrap_or_else(|never| match never {});
        let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(
            losses.last().is_some_and(|last| *last > lowest),
            "{losses:?}"
        );
        assert_eq!(best.map(|best| best.validation_loss), Some(lowest));
        let set = Set::new(&samples[200..], &network.scale);
        assert_eq!(network.evaluate(&set).0, lowest);
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
                if epochs == 3 { Err("enough") } else { Ok(()) }
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

    /// The slopes that training follows are those of the loss, by another way to find them.
    #[test]
    fn slopes_are_those_of_the_loss() {
        let samples = plain(40);
        let scale = Scale::of(&samples);
        let set = Set::new(&samples, &scale);
        let network = Network::new(scale, &mut Random(3));
        let batch: Vec<usize> = (0..40).collect();
        let mut optimizer = AdamW::new(&network);
        // After the first step, the running mean is a tenth of the slope.
        learn(&mut network.clone(), &mut optimizer, &set, &batch);
        for (layer, place) in [(0, 3), (0, 128), (1, 1_000), (1, 8_000), (2, 5), (2, 100)] {
            let found = f64::from(optimizer.means[layer].weights[place]) * 10.0;
            let loss = |by: f32| {
                let mut moved = network.clone();
                moved.layers[layer].weights[place] += by;
                moved.evaluate(&set).0
            };
            let expected = (loss(1e-2) - loss(-1e-2)) / 2e-2;
            let close = (found - expected).abs() < 1e-3 + 0.02 * expected.abs();
            assert!(close, "layer {layer}, {place}: {found} {expected}");
        }
    }

    #[test]
    fn a_network_comes_back_from_its_file_as_it_was() -> io::Result<()> {
        let (network, ..) = trained(3);
        let path = std::env::temp_dir().join(format!("network-{}.safetensors", std::process::id()));
        network.write(&path)?;
        let read = Network::read(&path)?;
        std::fs::remove_file(&path)?;
        for sample in plain(5) {
            let before = network.probabilities(&sample.features);
            assert_eq!(read.probabilities(&sample.features), before);
        }
        assert!(Network::read(Path::new("nowhere")).is_err());
        Ok(())
    }

    #[test]
    fn the_parameters_are_those_of_the_layers() {
        let network = Network::new(Scale::of(&[]), &mut Random(1));
        let expected: usize = LAYERS
            .windows(2)
            .map(|pair| pair[0] * pair[1] + pair[1])
            .sum();
        assert_eq!(network.parameters(), expected);
    }
}
