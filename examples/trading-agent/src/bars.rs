//! Price bars from a CSV file.
//!
//! Exports of daily prices differ in small ways: the case and order of the headers, how a date is
//! written, whether one file holds one symbol or many. This module handles those differences, and
//! turns everything it cannot read into one line that names the file, the line and the column. A
//! bar that is guessed at would become a feature that cannot be explained later.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

/// The daily bars the agent reads when it is given no file; see `data/README.md` for their source.
pub const SAMPLE: &str = include_str!("../data/stocks.csv");

/// One bar of one symbol.
///
/// Where the file has an adjusted close, the four prices are scaled to it, so that a split is no
/// price move. The scale of a bar depends on splits and dividends that came after it. Every feature
/// is a ratio of prices, from which a common scale cancels out, so none of that knowledge reaches
/// the network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// When the bar is dated: UTC midnight for a bare date.
    pub time: DateTime<Utc>,
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
    /// Money that changed hands: shares times the close as traded. Unlike a share count it does not
    /// jump at a split.
    pub turnover: f64,
}

/// The bars of one symbol, oldest first, no two of the same time.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The symbol as the file writes it.
    pub symbol: String,
    /// Its bars.
    pub bars: Vec<Bar>,
}

/// Why an input cannot be used, as one line for the person who gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputError {
    /// The file, as it was named to the program.
    pub file: String,
    /// The line within the file, counted from one.
    pub line: Option<usize>,
    /// The column the trouble is in.
    pub column: Option<&'static str>,
    /// For wrong values.
    pub problem: String,
    /// The next step.
    pub advice: String,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {}; {}", self.problem, self.advice)
    }
}

impl std::error::Error for InputError {}

/// Reads a file. Without a ticker column its stem names the symbol.
pub fn read_file(path: &Path) -> Result<Vec<Series>, InputError> {
    let file = path.display().to_string();
    let whole = |problem: String, advice: &str| InputError {
        file: file.clone(),
        line: None,
        column: None,
        problem,
        advice: advice.to_owned(),
    };
    if path.is_dir() {
        return Err(whole(
            "this is a directory".into(),
            "give the path of one CSV file with --csv",
        ));
    }
    let bytes = fs::read(path).map_err(|error| {
        whole(
            format!("cannot be read ({error})"),
            "check the path given with --csv and its permissions",
        )
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        InputError {
            line: Some(1 + before.iter().filter(|byte| **byte == b'\n').count()),
            ..whole(
                "this is not UTF-8 text".into(),
                "save the file as a UTF-8 CSV",
            )
        }
    })?;
    let stem = path
        .file_stem()
        .map_or_else(|| file.clone(), |stem| stem.to_string_lossy().into_owned());
    parse(&file, &text, &stem)
}

/// Reads the text of a file. `file` names it in errors; `stem` is the symbol where there is no
/// ticker column.
pub fn parse(file: &str, text: &str, stem: &str) -> Result<Vec<Series>, InputError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let input = Input { file, text };
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .delimiter(separator(text))
        .from_reader(text.as_bytes());
    let headers = reader
        .headers()
        .map_err(|error| input.malformed(&error))?
        .clone();
    let columns = Columns::find(&input, &headers)?;

    let mut symbols: BTreeMap<String, Vec<(usize, Bar)>> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    let mut row = csv::StringRecord::new();
    while reader
        .read_record(&mut row)
        .map_err(|error| input.malformed(&error))?
    {
        let offset = row.position().map_or(0, offset);
        let row = Row {
            input: &input,
            offset,
            fields: &row,
        };
        let symbol = match columns.symbol {
            Some(index) => row.symbol(index)?,
            None => stem,
        };
        let bar = row.bar(&columns)?;
        if let Some(bars) = symbols.get_mut(symbol) {
            bars.push((offset, bar));
        } else {
            order.push(symbol.to_owned());
            symbols.insert(symbol.to_owned(), vec![(offset, bar)]);
        }
    }
    if order.is_empty() {
        return Err(input.error(
            None,
            None,
            "there is a header but no bar below it",
            "give a file with price bars",
        ));
    }

    order
        .into_iter()
        .map(|symbol| {
            let mut rows = symbols.remove(&symbol).unwrap_or_default();
            rows.sort_by_key(|(offset, bar)| (bar.time, *offset));
            let twice = rows.windows(2).find_map(|pair| match pair {
                [(_, first), (offset, second)] if first.time == second.time => {
                    Some((*offset, second.time))
                }
                _ => None,
            });
            if let Some((offset, time)) = twice {
                return Err(input.error(
                    Some(offset),
                    Some("Date"),
                    format!("{symbol} has a second bar for {}", time.format("%F %T")),
                    "keep one row per symbol and time (symbols in one file need a Ticker column)",
                ));
            }
            Ok(Series {
                symbol,
                bars: rows.into_iter().map(|(_, bar)| bar).collect(),
            })
        })
        .collect()
}

/// The separator in the first line: spreadsheets of many countries write semicolons, and some write
/// tabs.
fn separator(text: &str) -> u8 {
    let header = text.lines().find(|line| !line.trim().is_empty());
    let header = header.unwrap_or_default().as_bytes();
    let count = |byte: u8| header.iter().filter(|other| **other == byte).count();
    // The last of equals wins, and a comma is the usual one.
    let found = [b'\t', b';', b',']
        .into_iter()
        .max_by_key(|byte| count(*byte));
    found.unwrap_or(b',')
}

/// The median time from one bar of a symbol to its next.
pub fn spacing(series: &[Series]) -> Option<TimeDelta> {
    let pairs = series.iter().flat_map(|series| series.bars.windows(2));
    let mut steps: Vec<TimeDelta> = pairs
        .filter_map(|pair| match pair {
            [before, after] => Some(after.time - before.time),
            _ => None,
        })
        .collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied()
}

/// A spacing as an adjective: "daily", "hourly", "15-minute".
pub fn pace(spacing: TimeDelta) -> String {
    let seconds = spacing.num_seconds();
    let (minutes, hours) = (seconds / 60, seconds / 3_600);
    match (seconds, hours) {
        (..60, _) => format!("{seconds}-second"),
        (60, _) => "minute".to_owned(),
        (..3_600, _) => format!("{minutes}-minute"),
        (_, 1) => "hourly".to_owned(),
        (_, ..23) => format!("{hours}-hour"),
        (_, ..=96) => "daily".to_owned(),
        (_, 97..=240) => "weekly".to_owned(),
        (_, ..=768) => "monthly".to_owned(),
        _ => format!("{}-day", hours / 24),
    }
}

/// The text being read, and the errors that point into it.
struct Input<'a> {
    file: &'a str,
    text: &'a str,
}

impl Input<'_> {
    fn error(
        &self,
        offset: Option<usize>,
        column: Option<&'static str>,
        problem: impl Into<String>,
        advice: impl Into<String>,
    ) -> InputError {
        InputError {
            file: self.file.to_owned(),
            line: offset.map(|offset| self.line(offset)),
            column,
            problem: problem.into(),
            advice: advice.into(),
        }
    }

    /// The line of the row that starts at or after a byte offset. The reader leaves the end of the
    /// previous line and any blank lines to the row after them, so its own line count would point
    /// too high up.
    fn line(&self, offset: usize) -> usize {
        let bytes = self.text.as_bytes();
        let blank = bytes
            .iter()
            .skip(offset)
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        1 + bytes
            .iter()
            .take(offset.saturating_add(blank))
            .filter(|byte| **byte == b'\n')
            .count()
    }

    fn malformed(&self, error: &csv::Error) -> InputError {
        let offset = error.position().map(offset);
        match error.kind() {
            csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => self.error(
                offset,
                None,
                format!("this row has {len} fields where the header has {expected_len}"),
                "complete the row or delete it",
            ),
            _ => self.error(
                offset,
                None,
                format!("this is not CSV ({error})"),
                "save the file as a UTF-8 CSV",
            ),
        }
    }
}

/// A text of the file as one short piece of a line. After a stray quotation mark, a field can be
/// the rest of the file.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    let more = if start.len() < text.len() { "..." } else { "" };
    format!("{}{more}", start.escape_debug())
}

/// Where in the text a row starts.
fn offset(position: &csv::Position) -> usize {
    usize::try_from(position.byte()).unwrap_or(usize::MAX)
}

/// Where in a row each value stands.
struct Columns {
    symbol: Option<usize>,
    time: usize,
    open: usize,
    high: usize,
    low: usize,
    close: usize,
    volume: usize,
    adjusted: Option<usize>,
}

impl Columns {
    fn find(input: &Input<'_>, headers: &csv::StringRecord) -> Result<Self, InputError> {
        if headers.iter().all(str::is_empty) {
            return Err(input.error(
                None,
                None,
                "this file is empty",
                "give a CSV file with a header line",
            ));
        }
        let plain = |name: &str| -> String {
            name.chars()
                .filter(|char| char.is_alphanumeric())
                .flat_map(char::to_lowercase)
                .collect()
        };
        let headers_plain: Vec<String> = headers.iter().map(plain).collect();
        let find = |names: &[&str]| {
            headers_plain
                .iter()
                .position(|header| names.contains(&header.as_str()))
        };
        // A table that pandas writes has its index first: without a name, or as "Unnamed: 0".
        let index = headers_plain.first().and_then(|first| {
            let is_index = first.is_empty() || first == "unnamed0" || first == "index";
            is_index.then_some(0)
        });
        let need = |column: &'static str, names: &[&str]| {
            let found = find(names).or(if column == "Date" { index } else { None });
            found.ok_or_else(|| {
                let found = headers.iter().map(shown).collect::<Vec<_>>().join(", ");
                input.error(
                    Some(0),
                    Some(column),
                    format!("the header has no such column (it has: {found})"),
                    "the first line must name Date, Open, High, Low, Close and Volume, with \
                     commas, semicolons or tabs between them, in any order and case",
                )
            })
        };
        Ok(Self {
            symbol: find(&["ticker", "symbol"]),
            time: need("Date", &["date", "timestamp", "datetime", "time"])?,
            open: need("Open", &["open"])?,
            high: need("High", &["high"])?,
            low: need("Low", &["low"])?,
            close: need("Close", &["close"])?,
            volume: need("Volume", &["volume"])?,
            adjusted: find(&["adjclose", "adjustedclose"]),
        })
    }
}

/// One row of the file.
struct Row<'a> {
    input: &'a Input<'a>,
    offset: usize,
    fields: &'a csv::StringRecord,
}

impl<'a> Row<'a> {
    fn bar(&self, columns: &Columns) -> Result<Bar, InputError> {
        let time = self.time(columns.time)?;
        let open = self.price(columns.open, "Open")?;
        let high = self.price(columns.high, "High")?;
        let low = self.price(columns.low, "Low")?;
        let close = self.price(columns.close, "Close")?;
        let volume = self.number(columns.volume, "Volume")?;
        if volume < 0.0 {
            return Err(self.error(
                "Volume",
                format!("{volume} is negative"),
                "correct the value or delete the row",
            ));
        }
        if high < low {
            return Err(self.error(
                "High",
                format!("the high {high} is below the low {low}"),
                "correct the row or delete it",
            ));
        }
        let scale = match columns.adjusted {
            Some(index) => self.price(index, "Adj Close")? / close,
            None => 1.0,
        };
        Ok(Bar {
            time,
            open: open * scale,
            high: high * scale,
            low: low * scale,
            close: close * scale,
            turnover: volume * close,
        })
    }

    fn text(&self, index: usize, column: &'static str) -> Result<&'a str, InputError> {
        match self.fields.get(index) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(self.error(
                column,
                "the value is missing".into(),
                "fill it in or delete the row",
            )),
        }
    }

    fn symbol(&self, index: usize) -> Result<&'a str, InputError> {
        let text = self.text(index, "Ticker")?;
        if text.chars().any(char::is_control) || text.len() > 64 {
            return Err(self.error(
                "Ticker",
                format!("\"{}\" is not a symbol", shown(text)),
                "look for a stray quotation mark, or correct the value",
            ));
        }
        Ok(text)
    }

    fn number(&self, index: usize, column: &'static str) -> Result<f64, InputError> {
        let text = self.text(index, column)?;
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(self.error(
                column,
                format!("\"{}\" is not a number", shown(text)),
                "write it like 1234.5, without thousands separators or currency, or delete the row",
            )),
        }
    }

    fn price(&self, index: usize, column: &'static str) -> Result<f64, InputError> {
        let value = self.number(index, column)?;
        // Far enough for any token, and near enough for a ratio of any two to be finite.
        if (1e-15..=1e15).contains(&value) {
            Ok(value)
        } else {
            Err(self.error(
                column,
                format!("a price must be above zero and below 1e15, not {value}"),
                "correct the value or delete the row",
            ))
        }
    }

    fn time(&self, index: usize) -> Result<DateTime<Utc>, InputError> {
        let text = self.text(index, "Date")?;
        read_time(text).ok_or_else(|| {
            self.error(
                "Date",
                format!("\"{}\" is not a date", shown(text)),
                "write it like 2013-03-01, 2013-03-01T16:00:00Z or seconds since 1970",
            )
        })
    }

    fn error(&self, column: &'static str, problem: String, advice: &str) -> InputError {
        self.input
            .error(Some(self.offset), Some(column), problem, advice)
    }
}

/// A date, a date with a time, or seconds or milliseconds since 1970. A time without an offset is
/// taken as UTC.
fn read_time(text: &str) -> Option<DateTime<Utc>> {
    if let Some(date) = ["%Y-%m-%d", "%Y/%m/%d", "%Y%m%d"]
        .iter()
        .find_map(|format| NaiveDate::parse_from_str(text, format).ok())
        && (text.len() == 8 || text.contains(['-', '/']))
    {
        return Some(date.and_time(NaiveTime::MIN).and_utc());
    }
    if let Ok(count) = text.parse::<i64>() {
        return match text.len() {
            9..=10 => DateTime::from_timestamp(count, 0),
            12..=13 => DateTime::from_timestamp_millis(count),
            _ => None,
        };
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    if let Some(time) = ["%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f %z"]
        .iter()
        .find_map(|format| DateTime::parse_from_str(text, format).ok())
    {
        return Some(time.to_utc());
    }
    [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y/%m/%d %H:%M:%S",
        "%Y/%m/%d %H:%M",
    ]
    .iter()
    .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
    .map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "Date,Open,High,Low,Close,Volume\n";

    fn refused(text: &str) -> String {
        match parse("prices.csv", text, "prices") {
            Ok(series) => format!("accepted: {series:?}"),
            Err(error) => error.to_string(),
        }
    }

    fn midnight(text: &str) -> Option<DateTime<Utc>> {
        Some(
            NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .ok()?
                .and_time(NaiveTime::MIN)
                .and_utc(),
        )
    }

    #[test]
    fn the_sample_has_every_bar_its_readme_counts() -> Result<(), InputError> {
        let series = parse("sample", SAMPLE, "sample")?;
        let counts: BTreeMap<&str, usize> = series
            .iter()
            .map(|series| (series.symbol.as_str(), series.bars.len()))
            .collect();
        assert_eq!(
            counts,
            BTreeMap::from([
                ("AAPL", 3270),
                ("FB", 196),
                ("GOOG", 2148),
                ("IBM", 3270),
                ("MSFT", 3270)
            ])
        );
        for series in &series {
            assert!(
                series.bars.is_sorted_by(|a, b| a.time < b.time),
                "{} is not in order",
                series.symbol
            );
        }
        Ok(())
    }

    #[test]
    fn a_split_is_no_price_move() -> Result<(), InputError> {
        let series = parse("sample", SAMPLE, "sample")?;
        let mut moves = series
            .iter()
            .flat_map(|series| series.bars.windows(2))
            .filter_map(|pair| match pair {
                [before, after] => Some((after.close / before.close).ln().abs()),
                _ => None,
            });
        // The file has four two-for-one splits. Each would be a fall of a half, more than its worst
        // real day, apart from a profit warning of September 2000 that did halve a price.
        assert!(moves.by_ref().filter(|change| *change > 0.5).count() <= 1);
        Ok(())
    }

    #[test]
    fn headers_match_in_any_case_and_order() -> Result<(), InputError> {
        let text = "VOLUME,close,SYMBOL,Low,high,OPEN,timestamp\n10,4,ABC,1,5,2,2020-01-02\n";
        let series = parse("x.csv", text, "x")?;
        assert_eq!(series.len(), 1);
        assert_eq!(series[0].symbol, "ABC");
        let bar = series[0].bars[0];
        assert_eq!(
            (
                bar.open,
                bar.high,
                bar.low,
                bar.close,
                bar.turnover,
                Some(bar.time)
            ),
            (2.0, 5.0, 1.0, 4.0, 40.0, midnight("2020-01-02"))
        );
        Ok(())
    }

    #[test]
    fn without_a_ticker_column_the_file_names_the_symbol() -> Result<(), InputError> {
        let series = parse(
            "dir/BTC.csv",
            &format!("\u{feff}{HEADER}2020-01-02,1,2,1,2,5\r\n"),
            "BTC",
        )?;
        assert_eq!(series[0].symbol, "BTC");
        Ok(())
    }

    #[test]
    fn rows_out_of_order_are_sorted() -> Result<(), InputError> {
        let series = parse(
            "x.csv",
            &format!("{HEADER}2020-01-03,1,2,1,2,5\n2020-01-02,1,2,1,1,5\n"),
            "x",
        )?;
        assert_eq!(
            series[0]
                .bars
                .iter()
                .map(|bar| bar.close)
                .collect::<Vec<_>>(),
            [1.0, 2.0]
        );
        Ok(())
    }

    #[test]
    fn prices_are_scaled_to_the_adjusted_close() -> Result<(), InputError> {
        let text = "Date,Open,High,Low,Close,Volume,Adj Close\n2020-01-02,8,12,6,10,100,5\n";
        let bar = parse("x.csv", text, "x")?[0].bars[0];
        assert_eq!(
            (bar.open, bar.high, bar.low, bar.close, bar.turnover),
            (4.0, 6.0, 3.0, 5.0, 1000.0)
        );
        Ok(())
    }

    #[test]
    fn dates_in_the_usual_forms() {
        for text in [
            "2013-03-01",
            "2013/03/01",
            "20130301",
            "1362096000",
            "1362096000000",
            "2013-03-01T00:00:00Z",
            "2013-03-01 00:00:00",
            "2013-03-01 00:00",
            "2013-02-28 19:00:00-05:00",
            "2013-03-01T00:00:00.000",
        ] {
            assert_eq!(read_time(text), midnight("2013-03-01"), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "03/01/2013",
            "2013-02-30",
            "13-03-01x",
            "42",
        ] {
            assert_eq!(read_time(text), None, "{text}");
        }
    }

    #[test]
    fn a_bad_value_is_named_by_line_and_column() {
        let good = "2020-01-02,1,2,1,2,5\n";
        for (bad, place) in [
            (
                "2020-01-03,1,2,1,null,5\n",
                "line 3, column Close: \"null\" is not a number",
            ),
            (
                "2020-01-03,1,2,1,,5\n",
                "line 3, column Close: the value is missing",
            ),
            (
                "2020-01-03,1,2,1,0,5\n",
                "line 3, column Close: a price must be above zero",
            ),
            (
                "2020-01-03,NaN,2,1,2,5\n",
                "line 3, column Open: \"NaN\" is not a number",
            ),
            (
                "2020-01-03,1,2,1,2,-5\n",
                "line 3, column Volume: -5 is negative",
            ),
            (
                "2020-01-03,1,2,3,2,5\n",
                "line 3, column High: the high 2 is below the low 3",
            ),
            (
                "03.01.2020,1,2,1,2,5\n",
                "line 3, column Date: \"03.01.2020\" is not a date",
            ),
            (
                "2020-01-03,1,2,1,2\n",
                "line 3: this row has 5 fields where the header has 6",
            ),
            (
                "2020-01-02,1,2,1,2,5\n",
                "line 3, column Date: prices has a second bar for 2020-01-02",
            ),
        ] {
            let error = refused(&format!("{HEADER}{good}{bad}"));
            assert!(
                error.starts_with(&format!("prices.csv, {place}")),
                "{error}"
            );
            assert!(error.contains("; "), "no advice in: {error}");
        }
    }

    #[test]
    fn line_numbers_hold_for_any_line_ending_and_across_blank_lines() {
        let windows =
            format!("{HEADER}2020-01-02,1,2,1,2,5\n2020-01-03,1,2,1,x,5\n").replace('\n', "\r\n");
        assert!(
            refused(&windows).starts_with("prices.csv, line 3, column Close"),
            "{}",
            refused(&windows)
        );
        let blank = format!("\u{feff}{HEADER}\n\n2020-01-02,1,2,1,2,5\n\n2020-01-03,1,2,1,2\n");
        assert!(
            refused(&blank).starts_with("prices.csv, line 6: "),
            "{}",
            refused(&blank)
        );
    }

    #[test]
    fn a_missing_column_is_named_with_what_there_is() {
        let error = refused("Date,Open,High,Low,Close\n2020-01-02,1,2,1,2\n");
        assert!(
            error.starts_with("prices.csv, line 1, column Volume: the header has no such column"),
            "{error}"
        );
        assert!(error.contains("Date, Open, High, Low, Close"), "{error}");
    }

    #[test]
    fn the_index_of_pandas_is_the_date() -> Result<(), InputError> {
        for name in ["", "Unnamed: 0", "index"] {
            let header = HEADER.replace("Date", name);
            let series = parse(
                "x.csv",
                &format!("{header}2020-01-02 09:00:00,1,2,1,2,5\n"),
                "x",
            )?;
            let time = series[0].bars[0].time;
            assert_eq!(Some(time), read_time("2020-01-02 09:00:00"), "{name:?}");
        }
        // A date that has its name goes before an index that only counts.
        let text = "Unnamed: 0,Date,Open,High,Low,Close,Volume\n0,2020-01-02,1,2,1,2,5\n";
        let series = parse("x.csv", text, "x")?;
        assert_eq!(Some(series[0].bars[0].time), midnight("2020-01-02"));
        let error = refused(",Open,High,Low,Close,Volume\n0,1,2,1,2,5\n");
        assert!(
            error.contains("column Date: \"0\" is not a date"),
            "{error}"
        );
        Ok(())
    }

    #[test]
    fn semicolons_and_tabs_separate_too() -> Result<(), InputError> {
        for separator in [";", "\t"] {
            let text = format!("{HEADER}2020-01-02,1,2,1,2,5\n").replace(',', separator);
            assert_eq!(parse("x.csv", &text, "x")?[0].bars.len(), 1);
        }
        Ok(())
    }

    #[test]
    fn spacings_have_names() -> Result<(), InputError> {
        for (minutes, name) in [
            (1, "minute"),
            (15, "15-minute"),
            (60, "hourly"),
            (240, "4-hour"),
            (1_440, "daily"),
            (4_320, "daily"),
            (10_080, "weekly"),
            (43_200, "monthly"),
            (131_040, "91-day"),
        ] {
            assert_eq!(pace(TimeDelta::minutes(minutes)), name);
        }
        assert_eq!(pace(TimeDelta::seconds(5)), "5-second");
        let sample = parse("sample", SAMPLE, "sample")?;
        assert_eq!(spacing(&sample).map(pace).as_deref(), Some("daily"));
        assert_eq!(spacing(&[]), None);
        Ok(())
    }

    #[test]
    fn a_stray_quotation_mark_makes_no_long_error() {
        let row = "2020-01-02,1,2,1,2,5,ABC\n";
        let header = "Date,Open,High,Low,Close,Volume,Ticker\n";
        for text in [
            format!("{}{}", header.replace("Vol", "\"Vol"), row.repeat(100)),
            format!("{header}{}{}", row.replace("5,", "5,\""), row.repeat(100)),
            format!(
                "{header}{}{}",
                row.replace("1,2,5", "1,\"2,5"),
                row.repeat(100)
            ),
        ] {
            let error = refused(&text);
            assert!(error.starts_with("prices.csv, line "), "{error}");
            assert!(error.len() < 300 && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn nothing_to_read_is_an_error() {
        assert!(refused("").contains("this file is empty"));
        assert!(refused(HEADER).contains("no bar below it"));
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let error = read_file(Path::new("no/such/prices.csv"))
            .err()
            .map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.starts_with("no/such/prices.csv: cannot be read")));
        let error = read_file(Path::new("/"))
            .err()
            .map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("this is a directory")));
    }
}
