//! One line for each kind of entry.

use std::io::Write;
use std::time::Duration;

use super::escape::{bracketed_name_into, column, column_into, escape_into, name_into};
use super::push_u64;
use super::stamp::Stamps;
use crate::entry::gap::GapReason;
use crate::entry::ids::InferenceId;
use crate::entry::record::Gap;
use crate::entry::timestamp::Timestamp;
use crate::entry::value::Value;

/// Bytes of an inference's or repeat's line besides its names and ids, rounded up.
const FIXED_BYTES: usize = 128;

/// A name as it stands in a line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NameColumn {
    Model,
    Symbol,
    Action,
    Checkpoint,
    /// The name of an outcome's value: in the middle of a line, as wide as it is.
    Value,
}

impl NameColumn {
    /// Allocates: a caller that writes many lines renders each name once.
    pub(crate) fn render(self, text: &str) -> Box<[u8]> {
        let width = match self {
            NameColumn::Model => 15,
            NameColumn::Symbol => 10,
            NameColumn::Action => 4,
            NameColumn::Value => 0,
            NameColumn::Checkpoint => {
                let mut rendered = Vec::with_capacity(text.len());
                bracketed_name_into(&mut rendered, text);
                return rendered.into();
            }
        };
        column(text, width)
    }
}

/// Content of a decision's line. The byte strings are copied as they are; they come from
/// [`NameColumn::render`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecisionLine<'a> {
    pub(crate) time: Timestamp,
    pub(crate) model: &'a [u8],
    pub(crate) symbol: &'a [u8],
    pub(crate) action: &'a [u8],
    pub(crate) answer: AnswerColumn,
    /// Duration of the inference; `None` if it was not measured.
    pub(crate) processing_nanos: Option<u64>,
    /// The id of the checkpoint that decided.
    pub(crate) checkpoint: Option<&'a [u8]>,
}

/// The column of a decision's line that tells an inference from a repeat.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AnswerColumn {
    /// An inference's; NaN if it has none.
    Confidence(f32),
    /// Run and number of the inference that is repeated.
    RepeatOf(u32, u64),
}

/// Appends the line of a decision. Less than 100 ns while times stay within one second.
pub(crate) fn push_decision(out: &mut Vec<u8>, stamps: &mut Stamps, line: &DecisionLine<'_>) {
    push_names(
        out,
        stamps,
        line.time,
        [line.model, line.symbol, line.action],
    );
    match line.answer {
        AnswerColumn::Confidence(confidence) => {
            out.extend_from_slice(b" | conf=");
            push_confidence(out, confidence);
            push_time(out, stamps.micros, line.processing_nanos);
        }
        AnswerColumn::RepeatOf(run, counter) => {
            // As wide as `conf=0.850`, so that the columns after it stay in line.
            out.extend_from_slice(b" | repeat    ");
            push_time(out, stamps.micros, line.processing_nanos);
            out.extend_from_slice(b" [repeat of: ");
            push_u64(out, run.into());
            out.push(b'-');
            push_u64(out, counter);
            out.push(b']');
        }
    }
    push_checkpoint(out, line.checkpoint);
}

/// Appends the line of a system event. All text is escaped here, about 100 ns.
pub(crate) fn push_system_event(
    out: &mut Vec<u8>,
    stamps: &mut Stamps,
    time: Timestamp,
    (level, component): (&str, &str),
    message: &str,
    fields: &[(String, Value)],
) {
    stamps.push(out, time);
    out.extend_from_slice(b" | ");
    column_into(out, level, 5);
    out.extend_from_slice(b" | ");
    column_into(out, component, 15);
    out.extend_from_slice(b" | ");
    escape_into(out, message);
    for (index, (key, value)) in fields.iter().enumerate() {
        if index > 0 || !message.is_empty() {
            out.push(b' ');
        }
        name_into(out, key);
        escape_into(out, &format!("={value}"));
    }
    out.push(b'\n');
}

/// Appends the line of a gap, which is that of a system event.
pub(crate) fn push_gap(out: &mut Vec<u8>, stamps: &mut Stamps, time: Timestamp, gap: &Gap) {
    push_system_event(
        out,
        stamps,
        time,
        ("WARN", "annals"),
        &gap_message(gap),
        &[],
    );
}

/// Appends the line of something that happened to a checkpoint, without the last column if
/// `detail` is empty. All text is escaped here, about 100 ns.
pub(crate) fn push_checkpoint_event(
    out: &mut Vec<u8>,
    stamps: &mut Stamps,
    time: Timestamp,
    action: &str,
    (model, checkpoint): (&str, &str),
    detail: &str,
) {
    stamps.push(out, time);
    out.extend_from_slice(b" | ");
    column_into(out, action, 10);
    out.extend_from_slice(b" | ");
    column_into(out, model, 15);
    out.extend_from_slice(b" | ");
    // Escaped as in brackets, so that searching for an id finds it in every file.
    bracketed_name_into(out, checkpoint);
    if !detail.is_empty() {
        out.extend_from_slice(b" | ");
        escape_into(out, detail);
    }
    out.push(b'\n');
}

/// One value of an outcome.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LineValue<'a> {
    Reward(f64),
    Correct(bool),
    Label(&'a str),
    Named(&'a str, f64),
    /// With a name from [`NameColumn::render`].
    Rendered(&'a [u8], f64),
}

/// Appends the line of an outcome: the id of its decision and its values.
pub(crate) fn push_outcome<'v>(
    out: &mut Vec<u8>,
    stamps: &mut Stamps,
    time: Timestamp,
    of: InferenceId,
    values: impl IntoIterator<Item = LineValue<'v>>,
) {
    stamps.push(out, time);
    out.extend_from_slice(b" | ");
    column_into(out, &of.to_string(), 15);
    out.extend_from_slice(b" |");
    for value in values {
        out.push(b' ');
        // Writing to a vector cannot fail.
        let _ = match value {
            LineValue::Reward(reward) => write!(out, "reward={reward}"),
            LineValue::Correct(correct) => write!(out, "correct={correct}"),
            LineValue::Label(label) => {
                out.extend_from_slice(b"label=");
                escape_into(out, label);
                Ok(())
            }
            LineValue::Named(name, value) => {
                name_into(out, name);
                write!(out, "={value}")
            }
            LineValue::Rendered(name, value) => {
                out.extend_from_slice(name);
                write!(out, "={value}")
            }
        };
    }
    out.push(b'\n');
}

fn push_names(out: &mut Vec<u8>, stamps: &mut Stamps, time: Timestamp, names: [&[u8]; 3]) {
    out.reserve(FIXED_BYTES + names.iter().map(|name| name.len()).sum::<usize>());
    stamps.push(out, time);
    for name in names {
        out.extend_from_slice(b" | ");
        out.extend_from_slice(name);
    }
}

/// `micros`: times below 0.1 ms are written in µs, with the same width.
fn push_time(out: &mut Vec<u8>, micros: bool, nanos: Option<u64>) {
    const TENTH_OF_MS: u64 = 100_000;
    out.extend_from_slice(b" | time=");
    match nanos {
        Some(nanos) if micros && nanos < TENTH_OF_MS => {
            // Hundredths, rounded to the nearest.
            push_fixed::<2>(out, (nanos + 5) / 10, 6);
            out.extend_from_slice("µs".as_bytes());
            return;
        }
        Some(nanos) => push_millis(out, nanos),
        None => out.extend_from_slice(b"     -"),
    }
    out.extend_from_slice(b"ms");
}

/// The end of the line.
fn push_checkpoint(out: &mut Vec<u8>, id: Option<&[u8]>) {
    if let Some(id) = id {
        out.extend_from_slice(b" [checkpoint: ");
        out.extend_from_slice(id);
        out.push(b']');
    }
    out.push(b'\n');
}

/// Appends what `{:.3}` makes of the confidence as an `f64`; NaN and infinities at width 5.
fn push_confidence(out: &mut Vec<u8>, confidence: f32) {
    // Rounding is symmetric, and like Python and `format!` we keep the sign of what rounds to 0.
    let magnitude = confidence.abs();
    if let Some(thousandths) = thousandths(magnitude) {
        if confidence.is_sign_negative() {
            out.push(b'-');
        }
        push_fixed::<3>(out, thousandths, 5);
    } else if confidence.is_nan() {
        out.extend_from_slice(b"  NaN");
    } else if magnitude.is_infinite() {
        out.extend_from_slice(if confidence > 0.0 { b"  inf" } else { b" -inf" });
    } else {
        // Writing to a vector cannot fail.
        let _ = write!(out, "{:.3}", f64::from(confidence));
    }
}

/// `value` times 1000, rounded to the nearest integer and from halfway to the even one; `None`
/// unless 0 ≤ `value` < 2²³.
///
/// Exact: such a value is m / 2ˢ with m < 2²⁴ and s ≥ 1, so m · 1000 is rounded in integers.
const fn thousandths(value: f32) -> Option<u64> {
    /// Below this, 2⁻¹², less than half a thousandth is left.
    const TINY: u32 = (127 - 12) << 23;
    /// 2²³. In bits, all that is larger, infinite, NaN or negative comes after it.
    const HUGE: u32 = (127 + 23) << 23;
    let bits = value.to_bits();
    if bits >= HUGE {
        return None;
    }
    if bits < TINY {
        return Some(0);
    }
    let shift = 127 + 23 - (bits >> 23); // 1..=35
    let scaled = (bits & 0x7f_ffff | 0x80_0000) as u64 * 1_000;
    // Half of a unit rounds up, unless exactly half above an even number.
    let odd = (scaled >> shift) & 1;
    Some((scaled + (1 << (shift - 1)) - 1 + odd) >> shift)
}

/// Appends what `{:>6.1}` makes of `nanos as f64 / 1e6`.
fn push_millis(out: &mut Vec<u8>, nanos: u64) {
    // Thirteen days. Up to here the quotient's error is less than 2⁻²² ms, a quarter of a
    // nanosecond. A tie is at least one nanosecond away, so it cannot be crossed, and rounding the
    // integer is the same. On a tie the error decides, so the quotient must be formed.
    const FAST: u64 = 1 << 50;
    const TENTH: u64 = 100_000;
    if nanos < FAST && nanos % TENTH != TENTH / 2 {
        push_fixed::<1>(out, (nanos + TENTH / 2) / TENTH, 6);
    } else {
        // Writing to a vector cannot fail.
        let _ = write!(out, "{:>6.1}", nanos as f64 / 1e6);
    }
}

/// Appends `number` / 10^`DECIMALS` with that many decimals, right-aligned to `width`.
///
/// There is room for 14 digits; the callers' numbers are below 2³⁴ and have 11.
#[inline]
fn push_fixed<const DECIMALS: usize>(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut text = [b' '; 15];
    let mut start = text.len();
    let mut put = |byte| {
        start -= 1;
        text[start] = byte;
    };
    for _ in 0..DECIMALS {
        put(b'0' + (number % 10) as u8);
        number /= 10;
    }
    put(b'.');
    loop {
        put(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    let start = start.min(text.len() - width);
    out.extend_from_slice(&text[start..]);
}

/// Message of a gap, for people.
fn gap_message(gap: &Gap) -> String {
    let run = gap.run;
    let reason = match gap.reason {
        GapReason::QueueFull => "the queue was full",
        GapReason::Refused => match &gap.refusal {
            Some(refusal) => &format!("they could not be recorded as given ({refusal})"),
            None => "they could not be recorded as given",
        },
        GapReason::Damaged => {
            let (first, count) = (gap.sequence, gap.count.unwrap_or(0));
            let last = first.saturating_add(count.saturating_sub(1));
            let entries = if count == 1 {
                "entry is"
            } else {
                "entries are"
            };
            let times = gap.event_range.map_or_else(String::new, |(first, last)| {
                format!(", decisions of {first} to {last} among them")
            });
            return format!(
                "{count} {entries} missing, sequences {first} to {last}: what was stored cannot be \
                 read any more{times}"
            );
        }
        GapReason::Withdrawn => {
            let count = gap.count.unwrap_or(0);
            let entries = if count == 1 {
                "entry of an import was"
            } else {
                "entries of an import were"
            };
            return format!("{count} {entries} taken out again");
        }
        GapReason::Died => {
            if let Some(lost) = gap.count {
                let missing = match lost {
                    0 => "nothing is missing".to_owned(),
                    1 => "1 event is missing".to_owned(),
                    _ => format!("{lost} events are missing"),
                };
                return format!("run {run} ended without closing: {missing}");
            }
            return match gap.after {
                Some(id) => {
                    format!("run {run} ended without closing: what came after {id} is unknown")
                }
                None => format!("run {run} ended without closing: what it logged is unknown"),
            };
        }
    };
    let count = gap.count.unwrap_or(0);
    let events = if count == 1 { "event is" } else { "events are" };
    let over = gap.recorded_range.map_or(Duration::ZERO, |(first, last)| {
        let micros = last.as_micros().saturating_sub(first.as_micros());
        Duration::from_micros(micros.max(0).unsigned_abs())
    });
    let from = gap
        .recorded_range
        .map_or_else(String::new, |(first, _)| format!(", from {first}"));
    format!("{count} {events} missing in run {run}: {reason}{from} over {over:?}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::logs::line::escape::column;
    use crate::options::logs::LogZone;

    /// 2025-07-25 14:34:39.5 UTC.
    const TIME: Timestamp = Timestamp::from_micros(1_753_454_079_500_000);

    fn written(push: impl FnOnce(&mut Vec<u8>, &mut Stamps)) -> String {
        let mut out = Vec::new();
        push(&mut out, &mut Stamps::new(LogZone::Utc));
        String::from_utf8(out).unwrap()
    }

    fn confidence(value: f32) -> String {
        written(|out, _| push_confidence(out, value))
    }

    #[test]
    fn short_times_are_in_micros_on_request() {
        let line = |micros, nanos| {
            written(|out, _| {
                push_time(out, micros, nanos);
            })
        };
        assert_eq!(line(true, Some(0)), " | time=  0.00µs");
        assert_eq!(line(true, Some(44)), " | time=  0.04µs");
        assert_eq!(line(true, Some(12_345)), " | time= 12.35µs");
        assert_eq!(line(true, Some(99_999)), " | time=100.00µs");
        assert_eq!(line(true, Some(100_000)), " | time=   0.1ms");
        assert_eq!(line(true, None), " | time=     -ms");
        assert_eq!(line(false, Some(44)), " | time=   0.0ms");
    }

    fn millis(nanos: u64) -> String {
        written(|out, _| push_millis(out, nanos))
    }

    fn bracketed(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        bracketed_name_into(&mut out, text);
        out
    }

    fn inference(confidence: f32, nanos: Option<u64>, checkpoint: Option<&str>) -> String {
        let checkpoint = checkpoint.map(bracketed);
        let line = DecisionLine {
            time: TIME,
            model: &column("dqn_agent", 15),
            symbol: &column("ETH/USDT", 10),
            action: &column("BUY", 4),
            answer: AnswerColumn::Confidence(confidence),
            processing_nanos: nanos,
            checkpoint: checkpoint.as_deref(),
        };
        written(|out, stamps| push_decision(out, stamps, &line))
    }

    /// The first line is the one that readers of existing files expect, to the byte.
    #[test]
    fn inferences() {
        let names = "2025-07-25 14:34:39 | dqn_agent       | ETH/USDT   | BUY ";
        let nanos = Some(12_500_000);
        for (line, rest) in [
            (
                inference(0.85, nanos, Some("dqn_agent_20250725_143500")),
                "conf=0.850 | time=  12.5ms [checkpoint: dqn_agent_20250725_143500]",
            ),
            (inference(0.85, nanos, None), "conf=0.850 | time=  12.5ms"),
            (inference(1.0, Some(0), None), "conf=1.000 | time=   0.0ms"),
            (
                inference(1.0, None, Some("a[b]")),
                r"conf=1.000 | time=     -ms [checkpoint: a\[b\]]",
            ),
            (
                inference(-1.5, Some(u64::MAX), None),
                "conf=-1.500 | time=18446744073709.6ms",
            ),
            (
                inference(f32::NAN, nanos, None),
                "conf=  NaN | time=  12.5ms",
            ),
            (
                inference(-f32::NAN, nanos, None),
                "conf=  NaN | time=  12.5ms",
            ),
            (
                inference(f32::INFINITY, nanos, None),
                "conf=  inf | time=  12.5ms",
            ),
            (
                inference(f32::NEG_INFINITY, nanos, None),
                "conf= -inf | time=  12.5ms",
            ),
        ] {
            assert_eq!(line, format!("{names} | {rest}\n"));
        }
    }

    #[test]
    fn repeats() {
        let mut line = DecisionLine {
            time: TIME,
            model: &column("dqn_agent", 15),
            symbol: &column("ETH/USDT", 10),
            action: &column("BUY", 4),
            answer: AnswerColumn::RepeatOf(1, 17),
            processing_nanos: Some(12_500_000),
            checkpoint: None,
        };
        assert_eq!(
            written(|out, stamps| push_decision(out, stamps, &line)),
            "2025-07-25 14:34:39 | dqn_agent       | ETH/USDT   | BUY  | repeat     \
             | time=  12.5ms [repeat of: 1-17]\n"
        );
        line.answer = AnswerColumn::RepeatOf(u32::MAX, u64::MAX);
        line.processing_nanos = None;
        line.checkpoint = Some(b"dqn_agent_20250725_143500");
        assert_eq!(
            written(|out, stamps| push_decision(out, stamps, &line)),
            "2025-07-25 14:34:39 | dqn_agent       | ETH/USDT   | BUY  | repeat     \
             | time=     -ms [repeat of: 4294967295-18446744073709551615] \
             [checkpoint: dqn_agent_20250725_143500]\n"
        );
    }

    #[test]
    fn outcomes() {
        let values = [
            LineValue::Reward(1.5),
            LineValue::Correct(true),
            LineValue::Label("won|"),
            LineValue::Named("a\n", 0.25),
            LineValue::Rendered(&NameColumn::Value.render("b|"), -2.0),
        ];
        let of = InferenceId::from_u64(3 << 40 | 17);
        assert_eq!(
            written(|out, stamps| push_outcome(out, stamps, TIME, of, values)),
            "2025-07-25 14:34:39 | 3-17            | reward=1.5 correct=true label=won\\| \
             a\\n=0.25 b\\|=-2\n"
        );
    }

    #[test]
    fn events() {
        assert_eq!(
            written(|out, stamps| push_system_event(
                out,
                stamps,
                TIME,
                ("WARN", "exchange"),
                "a\nb",
                &[]
            )),
            "2025-07-25 14:34:39 | WARN  | exchange        | a\\nb\n"
        );
        let saved = |id, detail| {
            written(|out, stamps| {
                push_checkpoint_event(out, stamps, TIME, "saved", ("dqn_agent", id), detail);
            })
        };
        assert_eq!(
            saved("dqn_agent_20250725_143500", "reward 1|2 [best]"),
            "2025-07-25 14:34:39 | saved      | dqn_agent       | dqn_agent_20250725_143500 | \
             reward 1\\|2 [best]\n"
        );
        assert_eq!(
            saved("a[1]", ""),
            "2025-07-25 14:34:39 | saved      | dqn_agent       | a\\[1\\]\n"
        );
    }

    /// Halfway between two thousandths lie just the odd multiples of 1/16.
    #[test]
    fn ties_of_confidence_go_to_even() {
        for sixteenths in (1u16..u16::MAX).step_by(2) {
            let value = f32::from(sixteenths) / 16.0;
            assert_eq!(confidence(value), format!("{value:.3}"));
        }
        assert_eq!(confidence(0.0625), "0.062");
        assert_eq!(confidence(0.1875), "0.188");
    }

    #[test]
    fn limits_of_the_fast_paths() {
        for bits in [0, (127 - 12) << 23, (127 + 23) << 23, f32::MAX.to_bits()] {
            for bits in bits.saturating_sub(2)..=(bits + 2).min(f32::MAX.to_bits()) {
                let value = f32::from_bits(bits);
                assert_eq!(confidence(value), format!("{:.3}", f64::from(value)));
                assert_eq!(confidence(-value), format!("{:.3}", -f64::from(value)));
            }
        }
        for nanos in (1 << 50) - 200_000..(1 << 50) + 200_000 {
            assert_eq!(millis(nanos), format!("{:>6.1}", nanos as f64 / 1e6));
        }
    }

    fn any_nanos() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            0..1u64 << 54,
            0..10_000_000_000u64,
            0..3_000_000u64
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn confidence_is_as_format_has_it(bits: u32, usual in 0.0..=1.0f32, wide in -1e4..1e4f32) {
            for value in [f32::from_bits(bits), usual, wide] {
                if value.is_finite() {
                    prop_assert_eq!(confidence(value), format!("{:.3}", f64::from(value)));
                }
            }
        }

        #[test]
        fn millis_are_as_format_has_them(nanos in any_nanos(), tie in 0..1u64 << 34) {
            let tie = tie * 100_000 + 50_000;
            for nanos in [nanos, tie - 1, tie, tie + 1] {
                prop_assert_eq!(millis(nanos), format!("{:>6.1}", nanos as f64 / 1e6));
            }
        }
    }

    proptest! {
        #[test]
        fn inferences_are_as_format_has_them(
            names in prop::array::uniform3("[a-zäß€/_ ]{0,20}"),
            confidence in -2.0..2.0f32,
            nanos in any_nanos(),
            checkpoint in prop::option::of("[a-z0-9_]{0,40}"),
        ) {
            let [model, symbol, action] = &names;
            let expected = format!(
                "2025-07-25 14:34:39 | {model:<15} | {symbol:<10} | {action:<4} \
                 | conf={:.3} | time={:>6.1}ms{}\n",
                f64::from(confidence),
                nanos as f64 / 1e6,
                checkpoint.as_ref().map(|id| format!(" [checkpoint: {id}]")).unwrap_or_default(),
            );
            let line = DecisionLine {
                time: TIME,
                model: &column(model, 15),
                symbol: &column(symbol, 10),
                action: &column(action, 4),
                answer: AnswerColumn::Confidence(confidence),
                processing_nanos: Some(nanos),
                checkpoint: checkpoint.as_ref().map(String::as_bytes),
            };
            prop_assert_eq!(written(|out, stamps| push_decision(out, stamps, &line)), expected);
        }

        #[test]
        fn anything_is_one_line_of_the_right_columns(
            micros: i64,
            texts in prop::array::uniform4(any::<String>()),
            bits: u32,
            nanos: Option<u64>,
            id in any::<(u32, u64)>(),
        ) {
            let time = Timestamp::from_micros(micros);
            let [a, b, c, d] = &texts;
            let columns = [column(a, 15), column(b, 10), column(c, 4)];
            let checkpoint = bracketed(d);
            let inference = DecisionLine {
                time,
                model: &columns[0],
                symbol: &columns[1],
                action: &columns[2],
                answer: AnswerColumn::Confidence(f32::from_bits(bits)),
                processing_nanos: nanos,
                checkpoint: Some(&checkpoint),
            };
            let repeat = DecisionLine {
                time,
                model: &columns[0],
                symbol: &columns[1],
                action: &columns[2],
                answer: AnswerColumn::RepeatOf(id.0, id.1),
                processing_nanos: nanos,
                checkpoint: Some(&checkpoint),
            };
            for (separators, line) in [
                (5, written(|out, stamps| push_decision(out, stamps, &inference))),
                (5, written(|out, stamps| push_decision(out, stamps, &repeat))),
                (3, written(|out, stamps| push_system_event(out, stamps, time, (a, b), c, &[]))),
                (
                    3 + usize::from(!d.is_empty()),
                    written(|out, stamps| push_checkpoint_event(out, stamps, time, a, (b, c), d)),
                ),
            ] {
                prop_assert_eq!(line.find('\n'), Some(line.len() - 1), "{:?}", line);
                let raw = line.replace(r"\\", "").replace(r"\|", "");
                prop_assert_eq!(raw.matches('|').count(), separators, "{:?}", line);
            }
        }
    }
}
