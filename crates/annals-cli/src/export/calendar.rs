//! How a day is called, counted from 1970-01-01. [`Zone`](crate::zone::Zone) knows which day a time
//! is of.

/// How the folder of a day begins, as Hive, Spark, DuckDB and Polars read it.
const FOLDER: &str = "day=";

/// The folder of a day: `day=2025-07-25`.
pub fn folder(day: i64) -> String {
    let (year, month, day) = date(day);
    if (0..10_000).contains(&year) {
        format!("{FOLDER}{year:04}-{month:02}-{day:02}")
    } else {
        format!("{FOLDER}{year:+05}-{month:02}-{day:02}")
    }
}

/// The day that a folder is of, if it is one of a day.
pub fn of_folder(name: &str) -> Option<i64> {
    let text = name.strip_prefix(FOLDER)?;
    let (rest, last) = text.rsplit_once('-')?;
    let (year, month) = rest.rsplit_once('-')?;
    let (year, month, last) = (year.parse().ok()?, month.parse().ok()?, last.parse().ok()?);
    let day = number(year, month, last)?;
    // Another way of writing it is another folder.
    (folder(day) == name).then_some(day)
}

/// Year, month and day. Eras of 400 years have 146,097 days and begin with a March.
fn date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * march + 2) / 5 + 1)
}

/// The other way round; none for what no [`Timestamp`](annals::Timestamp) can be of.
fn number(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_date || !(-300_000..=300_000).contains(&year) {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * march + 2) / 5 + day - 1;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    Some(era * 146_097 + of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (micros, name) in [
            (0, "day=1970-01-01"),
            (-1, "day=1969-12-31"),
            (1_753_454_079_000_000, "day=2025-07-25"),
            (951_782_400_000_000, "day=2000-02-29"),
            (253_402_300_799_999_999, "day=9999-12-31"),
            (253_402_300_800_000_000, "day=+10000-01-01"),
            (-62_167_219_200_000_001, "day=-0001-12-31"),
            (i64::MAX, "day=+294247-01-10"),
            (i64::MIN, "day=-290308-12-21"),
        ] {
            let of = i64::div_euclid(micros, 86_400_000_000);
            assert_eq!(folder(of), name);
            assert_eq!(of_folder(name), Some(of));
        }
        for name in [
            "day=2025-7-25",
            "day=2025-02-30",
            "day=",
            "2025-07-25",
            "day=x-y-z",
        ] {
            assert_eq!(of_folder(name), None, "{name}");
        }
    }
}
