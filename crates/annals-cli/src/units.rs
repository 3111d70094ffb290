//! Numbers as people read them.

use std::time::Duration;

use annals::Timestamp;

/// `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12 B`, `3.4 KB`, `5.6 GB`: powers of 1,000.
#[allow(clippy::cast_precision_loss, reason = "two digits are shown")]
pub fn bytes(number: u64) -> String {
    let mut value = number as f64;
    let mut unit = "B";
    for next in ["KB", "MB", "GB", "TB"] {
        if value < 999.95 {
            break;
        }
        value /= 1_000.0;
        unit = next;
    }
    if unit == "B" {
        format!("{number} B")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// Three digits and a unit: `8.42 ms`.
pub fn duration(time: Duration) -> String {
    let nanos = time.as_secs_f64() * 1e9;
    let (value, unit) = match nanos {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "µs"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n if n < 120e9 => (n / 1e9, "s"),
        n if n < 7_200e9 => (n / 60e9, "min"),
        n if n < 172_800e9 => (n / 3_600e9, "h"),
        n => (n / 86_400e9, "d"),
    };
    match value {
        v if v < 10.0 => format!("{v:.2} {unit}"),
        v if v < 100.0 => format!("{v:.1} {unit}"),
        v => format!("{v:.0} {unit}"),
    }
}

/// How long ago, in words.
pub fn ago(time: Timestamp, now: Timestamp) -> String {
    let micros = now.as_micros().saturating_sub(time.as_micros());
    match u64::try_from(micros) {
        Ok(micros) => format!("{} ago", duration(Duration::from_micros(micros))),
        Err(_) => format!(
            "in {}",
            duration(Duration::from_micros(micros.unsigned_abs()))
        ),
    }
}

/// To the second, in UTC, as in the text files.
pub fn second(time: Timestamp) -> String {
    match time.to_datetime() {
        Some(time) => time.format("%Y-%m-%d %H:%M:%S").to_string(),
        None => time.to_string(),
    }
}

/// A number to four significant digits.
pub fn real(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    let decimals = (0..9_u8).find(|decimals| size * 10_f64.powi(i32::from(*decimals)) >= 1_000.0);
    format!("{value:.*}", usize::from(decimals.unwrap_or(9)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_whole() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.0 KB");
        assert_eq!(bytes(5_600_000_000), "5.6 GB");
        assert_eq!(duration(Duration::from_micros(8_420)), "8.42 ms");
        assert_eq!(duration(Duration::from_secs(86_400)), "24.0 h");
        assert_eq!(real(0.023_456), "0.02346");
        assert_eq!(real(-1_234.5), "-1234");
    }
}
