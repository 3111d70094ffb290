//! What a decision may carry besides its answer: most have none of it.

use super::episode::EpisodeId;
use super::floats::MOST;
use super::ids::InferenceId;

/// Bytes of the longest correlation.
pub(crate) const LONGEST_CORRELATION: usize = 1_024;

/// The extras of one decision, borrowed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Extras<'a> {
    /// The probability with which the action was drawn, as given.
    pub(crate) propensity: Option<f32>,
    /// A continuous action; empty if there is none.
    pub(crate) vector: &'a [f32],
    pub(crate) cause: Option<InferenceId>,
    pub(crate) correlation: Option<&'a str>,
    /// The episode, and the number of the step in it.
    pub(crate) step: Option<(EpisodeId, u64)>,
}

/// What is too long, or too many, to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooLarge {
    /// Numbers of the action vector.
    Vector(usize),
    /// Bytes of the correlation.
    Correlation(usize),
}

impl<'a> Extras<'a> {
    pub(crate) const NONE: Extras<'static> = Extras {
        propensity: None,
        vector: &[],
        cause: None,
        correlation: None,
        step: None,
    };

    /// Whether there are none.
    #[inline]
    pub(crate) fn is_none(&self) -> bool {
        self.propensity.is_none()
            && self.vector.is_empty()
            && self.cause.is_none()
            && self.correlation.is_none()
            && self.step.is_none()
    }

    /// Refuses what no entry has room for.
    pub(crate) fn check(&self) -> Result<(), TooLarge> {
        if self.vector.len() > MOST {
            return Err(TooLarge::Vector(self.vector.len()));
        }
        match self.correlation {
            Some(text) if text.len() > LONGEST_CORRELATION => {
                Err(TooLarge::Correlation(text.len()))
            }
            _ => Ok(()),
        }
    }

    /// Copies of all of them; `None` if there are none.
    pub(crate) fn to_owned(self) -> Option<Box<OwnedExtras>> {
        (!self.is_none()).then(|| {
            Box::new(OwnedExtras {
                propensity: self.propensity,
                vector: self.vector.into(),
                cause: self.cause,
                correlation: self.correlation.map(Into::into),
                step: self.step,
            })
        })
    }
}

/// The extras of one decision. There is at least one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OwnedExtras {
    pub(crate) propensity: Option<f32>,
    pub(crate) vector: Box<[f32]>,
    pub(crate) cause: Option<InferenceId>,
    pub(crate) correlation: Option<Box<str>>,
    pub(crate) step: Option<(EpisodeId, u64)>,
}

impl OwnedExtras {
    pub(crate) fn as_extras(&self) -> Extras<'_> {
        Extras {
            propensity: self.propensity,
            vector: &self.vector,
            cause: self.cause,
            correlation: self.correlation.as_deref(),
            step: self.step,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_entry_has_room_for_is_refused() {
        let numbers = vec![0.0; MOST + 1];
        let text = "x".repeat(LONGEST_CORRELATION + 1);
        let vector = |count| Extras {
            vector: &numbers[..count],
            ..Extras::NONE
        };
        assert_eq!(vector(MOST).check(), Ok(()));
        assert_eq!(vector(MOST + 1).check(), Err(TooLarge::Vector(MOST + 1)));
        let correlation = |bytes| Extras {
            correlation: Some(&text[..bytes]),
            ..Extras::NONE
        };
        assert_eq!(correlation(LONGEST_CORRELATION).check(), Ok(()));
        let long = LONGEST_CORRELATION + 1;
        assert_eq!(correlation(long).check(), Err(TooLarge::Correlation(long)));
    }

    #[test]
    fn each_extra_counts() {
        assert!(Extras::NONE.is_none() && Extras::NONE.to_owned().is_none());
        for extras in [
            Extras {
                propensity: Some(f32::NAN),
                ..Extras::NONE
            },
            Extras {
                vector: &[0.0],
                ..Extras::NONE
            },
            Extras {
                cause: Some(InferenceId::NONE),
                ..Extras::NONE
            },
            Extras {
                correlation: Some(""),
                ..Extras::NONE
            },
            Extras {
                step: Some((EpisodeId::from_u64(0), 0)),
                ..Extras::NONE
            },
        ] {
            let owned = extras.to_owned().expect("one is there");
            assert_eq!(format!("{:?}", owned.as_extras()), format!("{extras:?}"));
        }
    }
}
