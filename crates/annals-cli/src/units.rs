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

/// `1 row`, `2,000 rows`, `3 entries`: a number and what it is of, given in the singular.
pub fn counted(number: u64, what: &str) -> String {
    format!("{} {}", count(number), plural(number, what))
}

/// `what` as it is called when there are so many of it.
pub fn plural(number: u64, what: &str) -> String {
    let before_y = what.strip_suffix('y');
    match before_y {
        _ if number == 1 => what.to_owned(),
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if what.ends_with(['s', 'x']) || what.ends_with("ch") => format!("{what}es"),
        _ => format!("{what}s"),
    }
}

/// For clap: a size, `500MB`, `10GiB` or a number of bytes.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: give bytes, or 500KB, 10MB, 1.5GB, 2TB, 4GiB");
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match lower[digits.len()..].trim() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    let digits = digits.trim().replace([',', '_'], "");
    if let Ok(whole) = digits.parse::<u64>() {
        return whole.checked_mul(unit).ok_or_else(wrong);
    }
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    #[allow(clippy::cast_precision_loss, reason = "units are powers")]
    let bytes = number * unit as f64;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the bounds"
    )]
    let bytes = (0.0..1e19).contains(&bytes).then(|| bytes.round() as u64);
    bytes.ok_or_else(wrong)
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

/// Time since then, in words.
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
    if value == 0.0 {
        // Also the negative zero.
        return "0".to_owned();
    }
    if !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    let decimals = (0..9_u8).find(|decimals| size * 10_f64.powi(i32::from(*decimals)) >= 1_000.0);
    let digits = format!("{value:.*}", usize::from(decimals.unwrap_or(9)));
    let unsigned = digits.trim_start_matches('-');
    match unsigned.parse() {
        Ok(whole) if !unsigned.contains('.') => {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", count(whole))
        }
        _ => digits,
    }
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
        assert_eq!(real(-1_234.5), "-1,234");
        assert_eq!(real(952_964.0), "952,964");
        assert_eq!(real(-0.0), "0");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(0, "entry"), "0 entries");
        assert_eq!(counted(2_000, "alias"), "2,000 aliases");
        assert_eq!(counted(2, "day"), "2 days");
        assert_eq!(counted(2, "batch"), "2 batches");
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("10000000000", 10_000_000_000),
            ("1GB", 1_000_000_000),
            ("1.5 gb", 1_500_000_000),
            ("64MiB", 67_108_864),
            ("10,000", 10_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "GB",
            "-1",
            "1XB",
            "NaN",
            "inf",
            "1e30GB",
            "99999999999TB",
            "ß",
        ] {
            let refused = size(text).err();
            assert!(refused.is_some_and(|why| why.contains("1.5GB")), "{text}");
        }
    }
}
