//! Values of Python as values of annals, and back: texts, numbers, times, durations, ids.
//!
//! Every refusal names the argument, and what would be accepted.

use std::borrow::Cow;
use std::time::Duration;

use annals::entry::EpisodeId;
use annals::{InferenceId, Timestamp, Value};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDateTime, PyDelta, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::errors::{OrRaise, invalid};

/// The text of a Python string. Lone surrogates have no bytes in UTF-8 and are refused.
pub(crate) fn text<'a>(name: &str, given: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, str>> {
    let Ok(string) = given.cast::<PyString>() else {
        return Err(invalid(
            name,
            format!("expected a str, got {}", kind_of(given)),
        ));
    };
    string.to_cow().map_err(|_| {
        invalid(
            name,
            "the text has lone surrogates, which UTF-8 cannot hold; \
             give text.encode('utf-8', 'replace').decode()",
        )
    })
}

/// Texts of a list, a tuple or any other sequence that is no string.
pub(crate) fn texts(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if given.is_instance_of::<PyString>() {
        return Err(invalid(name, "expected a list of str, got one str"));
    }
    let items = given.try_iter().map_err(|_| {
        invalid(
            name,
            format!("expected a list of str, got {}", kind_of(given)),
        )
    })?;
    items
        .map(|item| text(name, &item?).map(Cow::into_owned))
        .collect()
}

/// The name of a value's type, for messages.
pub(crate) fn kind_of(given: &Bound<'_, PyAny>) -> String {
    let name = given.get_type().qualname();
    name.map_or_else(|_| "an object".to_owned(), |name| name.to_string())
}

/// A value that is attached to a decision or an event: bool, int of 64 bits, float or str, or a
/// scalar of numpy.
pub(crate) fn value(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Value> {
    if let Ok(flag) = given.cast::<PyBool>() {
        return Ok(Value::Flag(flag.is_true()));
    }
    if given.is_instance_of::<PyInt>() {
        let number = given.extract::<i64>();
        return number.map(Value::Integer).map_err(|_| {
            invalid(
                name,
                "the int does not fit into 64 bits; give it as float or str",
            )
        });
    }
    if let Ok(number) = given.cast::<PyFloat>() {
        return Ok(Value::Real(number.value()));
    }
    if given.is_instance_of::<PyString>() {
        return text(name, given).map(|text| Value::Text(text.into_owned()));
    }
    // Scalars of numpy, and tensors of one element, give their value as Python's own.
    if let Ok(item) = given.call_method0(intern!(given.py(), "item"))
        && !item.get_type().is(given.get_type())
    {
        return value(name, &item);
    }
    let kind = kind_of(given);
    Err(invalid(
        name,
        format!("expected bool, int, float or str, got {kind}"),
    ))
}

/// Named values of a dict, or of any mapping.
pub(crate) fn named_values(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Vec<(String, Value)>> {
    let dict = as_dict(name, given)?;
    let items = dict.iter();
    items
        .map(|(key, item)| {
            let key = text(name, &key)?.into_owned();
            let item = value(&key, &item)?;
            Ok((key, item))
        })
        .collect()
}

/// A dict, or a mapping as one.
pub(crate) fn as_dict<'py>(name: &str, given: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    if let Ok(dict) = given.cast::<PyDict>() {
        return Ok(dict.clone());
    }
    let dict = given.py().get_type::<PyDict>().call1((given,));
    let dict =
        dict.map_err(|_| invalid(name, format!("expected a dict, got {}", kind_of(given))))?;
    Ok(dict.cast_into::<PyDict>()?)
}

/// A float, an int, or a scalar of numpy or torch.
pub(crate) fn real(name: &str, given: &Bound<'_, PyAny>) -> PyResult<f64> {
    let number = given.extract::<f64>();
    number.map_err(|_| invalid(name, format!("expected a number, got {}", kind_of(given))))
}

/// Microseconds of the years 1 to 9999, which datetime can hold.
const DATETIMES: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;
/// Numbers that are seconds or milliseconds of our days, and not microseconds.
const DOUBTFUL: std::ops::Range<i64> = 100_000_000..100_000_000_000_000;

/// A time: an aware datetime, a float of seconds as `time.time()` gives, an int of microseconds
/// since 1970, a text of ISO 8601 with an offset, or a duration before now such as `"24h"`.
pub(crate) fn timestamp(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Timestamp> {
    if given.is_instance_of::<PyBool>() {
        return Err(invalid(name, "expected a time, got bool"));
    }
    if given.is_instance_of::<PyDateTime>() {
        return of_datetime(name, given);
    }
    if given.is_instance_of::<PyInt>() {
        let micros = given.extract::<i64>().ok();
        let micros = micros.filter(|micros| DATETIMES.contains(micros));
        return match micros {
            Some(micros) if !DOUBTFUL.contains(&micros) => Ok(Timestamp::from_micros(micros)),
            _ => Err(invalid(
                name,
                format!(
                    "{given} is no time in microseconds since 1970 of our days; give seconds as \
                     float, microseconds as int, or a datetime"
                ),
            )),
        };
    }
    if let Ok(seconds) = given.cast::<PyFloat>() {
        let micros = (seconds.value() * 1e6).round();
        #[expect(clippy::cast_precision_loss, reason = "only the range is compared")]
        let fits = micros >= *DATETIMES.start() as f64 && micros <= *DATETIMES.end() as f64;
        if !fits {
            return Err(invalid(
                name,
                format!("{given} is no time in seconds since 1970"),
            ));
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked above")]
        return Ok(Timestamp::from_micros(micros as i64));
    }
    if given.is_instance_of::<PyString>() {
        let words = text(name, given)?;
        if let Some(ago) = duration_words(&words) {
            return Ok(Timestamp::now().saturating_sub(ago));
        }
        return words.parse::<Timestamp>().map_err(|_| {
            invalid(
                name,
                format!(
                    "{words:?} is no time; give \"24h\", \"7d\", or a time with an offset such as \
                     \"2025-07-25T14:35:00Z\""
                ),
            )
        });
    }
    if given.is_instance_of::<PyDelta>() {
        return Ok(Timestamp::now().saturating_sub(duration(name, given)?));
    }
    let kind = kind_of(given);
    if kind == "datetime64" {
        // numpy's own times have no zone and are meant as UTC.
        let micros = given.call_method1("astype", ("datetime64[us]",))?;
        let micros = micros
            .call_method1("astype", ("int64",))?
            .call_method0("item")?;
        return micros.extract::<i64>().map(Timestamp::from_micros);
    }
    let accepted = "an aware datetime, seconds as float, microseconds as int, or a text";
    Err(invalid(name, format!("expected {accepted}, got {kind}")))
}

/// 1970 in UTC.
fn epoch(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static EPOCH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let epoch = EPOCH.get_or_try_init(py, || {
        let datetime = py.import("datetime")?;
        let utc = datetime.getattr("timezone")?.getattr("utc")?;
        let time = datetime.getattr("datetime")?;
        time.call1((1970, 1, 1, 0, 0, 0, 0, utc)).map(Bound::unbind)
    })?;
    Ok(epoch.bind(py))
}

fn of_datetime(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Timestamp> {
    let py = given.py();
    if given.call_method0(intern!(py, "utcoffset"))?.is_none() {
        return Err(invalid(
            name,
            format!(
                "{given} has no time zone; give datetime.now(timezone.utc), or {name}.astimezone() \
                 if it is local time"
            ),
        ));
    }
    let since = given.sub(epoch(py)?)?;
    let micro = PyDelta::new(py, 0, 0, 1, false)?;
    since
        .floor_div(micro)?
        .extract::<i64>()
        .map(Timestamp::from_micros)
}

/// A time as an aware datetime in UTC.
pub(crate) fn datetime(py: Python<'_>, time: Timestamp) -> PyResult<Bound<'_, PyAny>> {
    const DAY: i64 = 86_400_000_000;
    let micros = time.as_micros();
    if !DATETIMES.contains(&micros) {
        return Err(invalid(
            "time",
            format!("{micros} microseconds are beyond datetime's years"),
        ));
    }
    let (days, rest) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let delta = py.import("datetime")?.getattr("timedelta")?;
    epoch(py)?.add(delta.call1((days, rest / 1_000_000, rest % 1_000_000))?)
}

/// Units of time in seconds.
const UNITS: [(&str, f64); 9] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3_600.0),
    ("d", 86_400.0),
    ("w", 604_800.0),
];

/// A duration in words, such as `24h` or `1h 30m`.
fn duration_words(words: &str) -> Option<Duration> {
    let mut rest = words.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let behind = behind.trim_start();
        let end = behind.find(|c: char| !c.is_alphabetic());
        let (unit, behind) = behind.split_at(end.unwrap_or(behind.len()));
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        seconds += number.parse::<f64>().ok()? * factor;
        rest = behind.trim_start();
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// A duration: a timedelta, seconds as float or int, or words such as `"24h"` and `"200ms"`.
pub(crate) fn duration(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let seconds = if given.is_instance_of::<PyDelta>() {
        given
            .call_method0(intern!(given.py(), "total_seconds"))?
            .extract::<f64>()?
    } else if given.is_instance_of::<PyString>() {
        let words = text(name, given)?;
        return duration_words(&words).ok_or_else(|| {
            invalid(
                name,
                format!("{words:?} is no duration; give \"24h\" or \"200ms\""),
            )
        });
    } else {
        let kind = kind_of(given);
        let wanted = "a timedelta, seconds, or a text such as \"200ms\"";
        let is_flag = given.is_instance_of::<PyBool>();
        let seconds = given.extract::<f64>().ok().filter(|_| !is_flag);
        seconds.ok_or_else(|| invalid(name, format!("expected {wanted}, got {kind}")))?
    };
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| invalid(name, format!("{seconds} s is no duration; give 0 or more")))
}

/// The id of a decision: an int as `log` returns it, or its text such as `"3-17"`.
pub(crate) fn inference_id(name: &str, given: &Bound<'_, PyAny>) -> PyResult<InferenceId> {
    if given.is_none() {
        return Err(invalid(
            name,
            "None is no id: that decision was not recorded",
        ));
    }
    if given.is_instance_of::<PyString>() {
        return text(name, given)?.parse().or_raise();
    }
    let number = given.extract::<u64>();
    number.map(InferenceId::from_u64).map_err(|_| {
        let kind = kind_of(given);
        invalid(
            name,
            format!("expected an id from log, or a text such as \"3-17\", got {kind}"),
        )
    })
}

/// The id of an episode: an int, or its text such as `"3-17"`.
pub(crate) fn episode_id(name: &str, given: &Bound<'_, PyAny>) -> PyResult<EpisodeId> {
    if given.is_instance_of::<PyString>() {
        return text(name, given)?.parse().or_raise();
    }
    count(name, given).map(EpisodeId::from_u64)
}

/// A whole number from 0 to 2^64 - 1.
pub(crate) fn count(name: &str, given: &Bound<'_, PyAny>) -> PyResult<u64> {
    let is_flag = given.is_instance_of::<PyBool>();
    let number = given.extract::<u64>().ok().filter(|_| !is_flag);
    number.ok_or_else(|| {
        let kind = kind_of(given);
        invalid(
            name,
            format!("expected an int from 0 to 2^64 - 1, got {kind}"),
        )
    })
}

/// Settings and metadata as JSON. Durations become words.
pub(crate) fn json(name: &str, given: &Bound<'_, PyAny>) -> PyResult<serde_json::Value> {
    json_within(name, given, 0)
}

/// Deeper nesting than this is a circle, or as good as one.
const DEEPEST: u32 = 64;

fn json_within(name: &str, given: &Bound<'_, PyAny>, depth: u32) -> PyResult<serde_json::Value> {
    if depth > DEEPEST {
        return Err(invalid(
            name,
            format!("it is nested more than {DEEPEST} deep"),
        ));
    }
    if given.is_none() {
        return Ok(serde_json::Value::Null);
    }
    if let Ok(dict) = given.cast::<PyDict>() {
        let items = dict.iter().map(|(key, item)| {
            let key = text(name, &key)?.into_owned();
            let item = json_within(&key, &item, depth + 1)?;
            Ok((key, item))
        });
        return items
            .collect::<PyResult<serde_json::Map<_, _>>>()
            .map(Into::into);
    }
    if given.is_instance_of::<PyList>() || given.is_instance_of::<PyTuple>() {
        let items = given
            .try_iter()?
            .map(|item| json_within(name, &item?, depth + 1));
        return items.collect::<PyResult<Vec<_>>>().map(Into::into);
    }
    if given.is_instance_of::<PyDelta>() {
        let nanos = duration(name, given)?.as_nanos();
        return Ok(format!("{nanos}ns").into());
    }
    if given.hasattr(intern!(given.py(), "__fspath__"))? {
        let path = given.call_method0(intern!(given.py(), "__fspath__"))?;
        return text(name, &path).map(|path| path.into_owned().into());
    }
    Ok(match value(name, given)? {
        Value::Flag(flag) => flag.into(),
        Value::Integer(number) => number.into(),
        Value::Real(number) => serde_json::Number::from_f64(number)
            .map(Into::into)
            .ok_or_else(|| invalid(name, format!("{number} cannot be stored here")))?,
        Value::Text(text) => text.into(),
        _ => return Err(invalid(name, "this kind of value is not known")),
    })
}

/// JSON as Python's own values.
pub(crate) fn from_json<'py>(
    py: Python<'py>,
    given: &serde_json::Value,
) -> PyResult<Bound<'py, PyAny>> {
    use serde_json::Value as Json;
    Ok(match given {
        Json::Null => py.None().into_bound(py),
        Json::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.into_pyobject(py)?.into_any(),
            (_, Some(number)) => number.into_pyobject(py)?.into_any(),
            _ => PyFloat::new(py, number.as_f64().unwrap_or(f64::NAN)).into_any(),
        },
        Json::String(text) => PyString::new(py, text).into_any(),
        Json::Array(items) => {
            let items = items.iter().map(|item| from_json(py, item));
            PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)?.into_any()
        }
        Json::Object(items) => {
            let dict = PyDict::new(py);
            for (key, item) in items {
                dict.set_item(key, from_json(py, item)?)?;
            }
            dict.into_any()
        }
    })
}

/// Anything that can be serialised, as Python's own values.
pub(crate) fn serialized<'py>(
    py: Python<'py>,
    given: &impl serde::Serialize,
) -> PyResult<Bound<'py, PyAny>> {
    let json = serde_json::to_value(given)
        .map_err(|error| invalid("result", format!("it cannot be given as a dict: {error}")))?;
    from_json(py, &json)
}

/// The text of an id, as text files and the command line show it: "3-17" for number 17 of run 3.
#[pyfunction]
fn id_text(id: &Bound<'_, PyAny>) -> PyResult<String> {
    inference_id("id", id).map(|id| id.to_string())
}

/// The number of an id, from its text such as "3-17".
#[pyfunction]
fn id_number(id: &Bound<'_, PyAny>) -> PyResult<u64> {
    inference_id("id", id).map(InferenceId::to_u64)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(id_text, module)?)?;
    module.add_function(wrap_pyfunction!(id_number, module)?)
}
