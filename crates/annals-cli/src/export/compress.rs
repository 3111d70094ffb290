//! Compression of an export on its way, and the option for it.

use std::io::{self, Write};
use std::path::Path;

use flate2::write::GzEncoder;

use super::Format;
use super::file::Finish;
use crate::failure::{Failure, Result};

/// Levels of zstd. The default is that of the `zstd` command.
const ZSTD: std::ops::RangeInclusive<i32> = 1..=22;
const ZSTD_DEFAULT: i32 = 3;
/// Levels of gzip. The default is that of the `gzip` command.
const GZIP: std::ops::RangeInclusive<u32> = 1..=9;
const GZIP_DEFAULT: u32 = 6;

/// How a file is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    None,
    Gzip(u32),
    /// Parquet's usual one: within its pages.
    Snappy,
    Zstd(i32),
}

impl Compression {
    /// The compression in a name: `.gz` or `.zst`.
    pub fn of_name(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "gz" => Some(Compression::Gzip(GZIP_DEFAULT)),
            "zst" | "zstd" => Some(Compression::Zstd(ZSTD_DEFAULT)),
            _ => None,
        }
    }

    /// How names of such files go on after that of the format.
    pub fn ending(self) -> &'static str {
        match self {
            Compression::Gzip(_) => ".gz",
            Compression::Zstd(_) => ".zst",
            Compression::None | Compression::Snappy => "",
        }
    }

    /// Whether both are the same but for the level.
    fn is_kind_of(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

/// `zstd`, `zstd:19`, `gzip:9`, `snappy` or `none`.
impl std::str::FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let number = |least: i64, most: i64| -> Result<Option<i64>, String> {
            let Some(level) = level else {
                return Ok(None);
            };
            match level.parse() {
                Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
                _ => Err(format!(
                    "{level:?} is no level of {name}: give {least} to {most}"
                )),
            }
        };
        let known = match name {
            "none" => Compression::None,
            "snappy" => Compression::Snappy,
            "gzip" | "gz" => {
                let level = number((*GZIP.start()).into(), (*GZIP.end()).into())?;
                let level = level.and_then(|level| level.try_into().ok());
                return Ok(Compression::Gzip(level.unwrap_or(GZIP_DEFAULT)));
            }
            "zstd" | "zst" => {
                let level = number((*ZSTD.start()).into(), (*ZSTD.end()).into())?;
                let level = level.and_then(|level| level.try_into().ok());
                return Ok(Compression::Zstd(level.unwrap_or(ZSTD_DEFAULT)));
            }
            _ => {
                return Err(format!(
                    "{name:?} is not known: give zstd, zstd:LEVEL, gzip, gzip:LEVEL, snappy or none"
                ));
            }
        };
        match level {
            Some(_) => Err(format!("{name} has no levels")),
            None => Ok(known),
        }
    }
}

/// How a file is compressed, by what was said and what its name says; `name` is none where the
/// output has no name of its own.
pub fn choose(
    said: Option<Compression>,
    name: Option<&Path>,
    format: Format,
) -> Result<Compression> {
    let named = name.and_then(Compression::of_name);
    if format == Format::Parquet {
        return match (said, named) {
            (_, Some(_)) => Err(Failure::Usage(
                "Parquet is compressed within: leave .gz or .zst out of the name, and give \
                 --compress zstd"
                    .into(),
            )),
            (Some(Compression::Gzip(_)), _) => Err(Failure::Usage(
                "Parquet is compressed with zstd or snappy: give one of these".into(),
            )),
            (said, None) => Ok(said.unwrap_or(Compression::Snappy)),
        };
    }
    if said == Some(Compression::Snappy) {
        return Err(Failure::Usage(
            "snappy is for Parquet: give zstd or gzip".into(),
        ));
    }
    match (said, named) {
        (None, None) => Ok(Compression::None),
        (None, Some(named)) => Ok(named),
        (Some(said), Some(named)) if said.is_kind_of(named) => Ok(said),
        (Some(said), None) if name.is_none() || said == Compression::None => Ok(said),
        (Some(said), _) => {
            let name = name.unwrap_or(Path::new("-")).display();
            Err(Failure::Usage(match said {
                Compression::None => format!("{name} says that it is compressed: change the name"),
                _ => format!(
                    "{name} would not be what its name says: let it end in {}",
                    said.ending()
                ),
            }))
        }
    }
}

/// An output that is compressed on its way, or not.
pub enum Packed<W: Write> {
    Plain(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Packed<W> {
    /// `Snappy` is for Parquet, which compresses by itself.
    pub fn new(to: W, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None | Compression::Snappy => Packed::Plain(to),
            Compression::Gzip(level) => {
                Packed::Gzip(GzEncoder::new(to, flate2::Compression::new(level)))
            }
            Compression::Zstd(level) => {
                let mut encoder = zstd::stream::write::Encoder::new(to, level)?;
                // The reader notices changes on the way.
                encoder.include_checksum(true)?;
                Packed::Zstd(encoder)
            }
        })
    }
}

impl<W: Write> Write for Packed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Packed::Plain(to) => to.write(bytes),
            Packed::Gzip(to) => to.write(bytes),
            Packed::Zstd(to) => to.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Packed::Plain(to) => to.flush(),
            Packed::Gzip(to) => to.flush(),
            Packed::Zstd(to) => to.flush(),
        }
    }
}

impl<W: Finish> Finish for Packed<W> {
    fn finish(&mut self) -> Result<()> {
        match self {
            Packed::Plain(to) => to.finish(),
            Packed::Gzip(to) => {
                to.try_finish()?;
                to.get_mut().finish()
            }
            Packed::Zstd(to) => {
                to.do_finish()?;
                to.get_mut().finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_checked() {
        for (text, known) in [
            ("zstd", Some(Compression::Zstd(3))),
            ("zstd:22", Some(Compression::Zstd(22))),
            ("zst:1", Some(Compression::Zstd(1))),
            ("gzip:9", Some(Compression::Gzip(9))),
            ("gz", Some(Compression::Gzip(6))),
            ("none", Some(Compression::None)),
            ("snappy", Some(Compression::Snappy)),
            ("zstd:0", None),
            ("zstd:23", None),
            ("zstd:99999999999999999999", None),
            ("zstd:", None),
            ("gzip:10", None),
            ("none:1", None),
            ("xz", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok(), known, "{text}");
        }
    }

    #[test]
    fn a_name_and_what_was_said_have_to_agree() {
        let lines = |said: Option<&str>, name: &str| {
            let said = said.map(|said| said.parse().unwrap());
            choose(said, Some(Path::new(name)), Format::Jsonl).ok()
        };
        assert_eq!(lines(None, "a.jsonl"), Some(Compression::None));
        assert_eq!(lines(None, "a.jsonl.zst"), Some(Compression::Zstd(3)));
        assert_eq!(lines(Some("zstd:9"), "a.zst"), Some(Compression::Zstd(9)));
        assert_eq!(lines(Some("none"), "a.jsonl"), Some(Compression::None));
        for (said, name) in [
            ("zstd", "a.jsonl"),
            ("zstd", "a.gz"),
            ("none", "a.gz"),
            ("snappy", "a.jsonl"),
        ] {
            assert_eq!(lines(Some(said), name), None, "{said} {name}");
        }
        let zstd = Some(Compression::Zstd(3));
        assert_eq!(choose(zstd, None, Format::Jsonl).ok(), zstd);
        assert_eq!(choose(zstd, None, Format::Parquet).ok(), zstd);
        let named = Some(Path::new("a.parquet.zst"));
        assert!(choose(None, named, Format::Parquet).is_err());
        assert!(choose(Some(Compression::Gzip(6)), None, Format::Parquet).is_err());
    }
}
