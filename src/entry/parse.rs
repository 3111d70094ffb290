//! Times from text.

use std::str::FromStr;

use chrono::{DateTime, FixedOffset};

use super::error::Error;
use super::timestamp::Timestamp;

/// Parses the form of [`Display`](std::fmt::Display), and any other time of RFC 3339. Digits below
/// a microsecond are cut off.
///
/// ```
/// # use annals::Timestamp;
/// let time: Timestamp = "2025-07-25T16:34:39+02:00".parse()?;
/// assert_eq!(time.to_string(), "2025-07-25T14:34:39.000000Z");
/// # Ok::<(), annals::Error>(())
/// ```
impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let micros = text.strip_suffix("us").and_then(|text| text.parse().ok());
        let time = || text.parse::<DateTime<FixedOffset>>().ok();
        let parsed = micros.or_else(|| Some(time()?.timestamp_micros()));
        parsed
            .map(Timestamp::from_micros)
            .ok_or_else(|| Error::Parse {
                what: "time",
                text: text.to_owned(),
                expected: "RFC 3339, such as 2025-07-25T14:34:39Z",
            })
    }
}
