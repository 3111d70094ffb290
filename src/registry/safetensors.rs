//! The header of a safetensors file: names, shapes and types of its tensors without their values.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::result::Result;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

#[cfg(feature = "safetensors")]
use super::Registry;
use super::metadata::Metadata;
use super::sidecar;
use crate::entry::error;
use crate::entry::error::Error;
use crate::fs::disk;

/// A longer header is refused before anything is read.
/// No shard of a model comes near it, or near the number of values that is read.
const LONGEST: u64 = 16 << 20;

/// Content of a safetensors file's header. Needs the feature `safetensors`.
#[derive(Clone, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct SafetensorsHeader {
    /// Its tensors, by name.
    pub tensors: Vec<TensorInfo>,
    /// Names and texts of `__metadata__`, by name.
    pub metadata: Vec<(String, String)>,
}

/// One tensor of a safetensors file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// Its element type as the file spells it, such as `F32` or `BF16`.
    pub dtype: String,
    /// Its extent in each dimension.
    pub shape: Vec<u64>,
    /// Where it begins and ends, counted from the end of the header.
    pub offsets: (u64, u64),
}

/// Names and texts in the header of a safetensors file.
pub(super) fn metadata(path: &Path) -> Vec<(String, Metadata)> {
    if path
        .extension()
        .is_none_or(|extension| extension != "safetensors")
    {
        return Vec::new();
    }
    let header = SafetensorsHeader::read(path);
    let metadata = header.map(|header| header.metadata).unwrap_or_default();
    metadata
        .into_iter()
        .map(|(name, text)| (name, Metadata::Text(text)))
        .collect()
}

impl SafetensorsHeader {
    /// Reads the header of the file at `path`, and nothing behind it.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, and with
    /// [`InvalidData`](io::ErrorKind::InvalidData) if it is no safetensors file.
    // Without the feature the type has no public name, and the example would not compile.
    #[cfg_attr(feature = "safetensors", doc = "\n```")]
    #[cfg_attr(not(feature = "safetensors"), doc = "\n```ignore")]
    /// use annals::registry::SafetensorsHeader;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// std::fs::create_dir_all(&dir).unwrap();
    /// let path = dir.join("model.safetensors");
    /// std::fs::write(&path, b"no weights").unwrap();
    /// assert!(SafetensorsHeader::read(&path).is_err());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn read(path: impl AsRef<Path>) -> error::Result<Self> {
        let path = path.as_ref();
        header(disk::open_regular_anywhere(path), path)
    }
}

fn header(opened: io::Result<File>, path: &Path) -> error::Result<SafetensorsHeader> {
    let read = opened.and_then(|mut file| {
        let length = file.metadata()?.len();
        parse(&mut file, length)
    });
    read.map_err(|cause| Error::io("read the safetensors header of", path, cause))
}

#[cfg(feature = "safetensors")]
impl Registry {
    /// The header of a checkpoint's weights, which must be a safetensors file. Tensors are not
    /// read, and the digest is not compared. Needs the feature `safetensors`.
    ///
    /// # Errors
    /// Those of [`find`](Registry::find) and of [`SafetensorsHeader::read`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// let header = br#"{"bias":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    /// let mut weights = (header.len() as u64).to_le_bytes().to_vec();
    /// weights.extend_from_slice(header);
    /// weights.extend_from_slice(&[0; 4]);
    /// let saved = registry.checkpoint("dqn_agent").extension("safetensors").save(&weights)?;
    /// let header = registry.safetensors(saved.id())?;
    /// assert_eq!((&*header.tensors[0].name, &*header.tensors[0].shape), ("bias", &[1][..]));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn safetensors(&self, id: &str) -> error::Result<SafetensorsHeader> {
        let found = self.find(id)?;
        header(found.open(), &found.path())
    }
}

fn bad(why: impl Into<String>) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("no safetensors file: {}", why.into()),
    )
}

/// Reads a header and judges it by the rules of the format: no name twice, known types, and shapes
/// that fit their bytes. Tensors have to fill the rest of the file without holes and overlaps.
pub(crate) fn parse(file: &mut impl Read, file_length: u64) -> io::Result<SafetensorsHeader> {
    let mut length = [0; 8];
    file.read_exact(&mut length)
        .map_err(|_| bad("it is shorter than 8 bytes"))?;
    let length = u64::from_le_bytes(length);
    let rest = file_length.saturating_sub(8);
    // Before anything is read: the length is the file's own claim.
    if length > LONGEST || length > rest {
        return Err(bad(format!(
            "a header of {length} bytes in a file of {file_length}"
        )));
    }
    let mut text = Vec::new();
    // Grows with what is really there, whatever length was claimed.
    file.take(length).read_to_end(&mut text)?;
    if text.first() != Some(&b'{') {
        return Err(bad("the header does not begin with {"));
    }
    // Each value takes many times its text in memory: counted before it is parsed.
    let values = sidecar::count_values(&text);
    if values > sidecar::MOST_VALUES {
        return Err(bad(format!("a header of {values} values")));
    }
    let header: HeaderText =
        serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
    let mut tensors = Vec::with_capacity(header.tensors.len());
    for (name, entry) in header.tensors {
        let size = entry
            .size()
            .map_err(|why| bad(format!("tensor {name:?}: {why}")))?;
        let [begin, end] = entry.data_offsets;
        if end.checked_sub(begin) != Some(size) {
            return Err(bad(format!(
                "tensor {name:?} has {size} bytes by its shape, and offsets {begin} to {end}"
            )));
        }
        tensors.push(TensorInfo {
            name,
            dtype: entry.dtype,
            shape: entry.shape,
            offsets: (begin, end),
        });
    }
    // Sorted, so that a single pass finds holes and overlaps.
    tensors.sort_by_key(|tensor| tensor.offsets);
    let mut reached = 0;
    for tensor in &tensors {
        if tensor.offsets.0 != reached {
            let (name, begin) = (&tensor.name, tensor.offsets.0);
            return Err(bad(format!(
                "tensor {name:?} begins at {begin}, and the one before it ends at {reached}"
            )));
        }
        reached = tensor.offsets.1;
    }
    let data = rest.saturating_sub(length);
    // A file that was cut short, or has bytes behind its last tensor.
    if reached != data {
        return Err(bad(format!(
            "its tensors have {reached} bytes, and {data} are there"
        )));
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(SafetensorsHeader {
        tensors,
        metadata: header.metadata,
    })
}

/// The defect of the file, if its name is that of a safetensors file and its header is invalid.
/// Reads the header alone.
pub(super) fn fault(path: &Path, file: &mut File) -> io::Result<Option<String>> {
    use std::io::Seek;
    let is_one = path
        .extension()
        .is_some_and(|extension| extension == "safetensors");
    if !is_one {
        return Ok(None);
    }
    let length = file.metadata()?.len();
    // The caller may have read of it, and reads it from the beginning afterwards.
    file.rewind()?;
    let read = parse(file, length);
    file.rewind()?;
    match read {
        Ok(_) => Ok(None),
        // A disk that fails to read says nothing about the file.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

/// The header's text, with every name once.
struct HeaderText {
    tensors: Vec<(String, TensorEntry)>,
    metadata: Vec<(String, String)>,
}

/// One tensor as the text has it. A field that occurs twice is an error.
#[derive(Deserialize)]
struct TensorEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl TensorEntry {
    /// Bytes by type and shape.
    fn size(&self) -> Result<u64, String> {
        let bits: u64 = match self.dtype.as_str() {
            "F4" => 4,
            "F6_E2M3" | "F6_E3M2" => 6,
            "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E5M2FNUZ"
            | "F8_E4M3FNUZ" => 8,
            "I16" | "U16" | "F16" | "BF16" => 16,
            "I32" | "U32" | "F32" => 32,
            "I64" | "U64" | "F64" | "C64" => 64,
            other => return Err(format!("{other:?} is no type of the format")),
        };
        let mut bits = Some(bits);
        for extent in &self.shape {
            // Extents are the file's own numbers, and may be of any size.
            bits = bits.and_then(|bits| bits.checked_mul(*extent));
        }
        match bits {
            // A product of zero is a tensor without elements, whatever its other extents.
            _ if self.shape.contains(&0) => Ok(0),
            Some(bits) if bits.is_multiple_of(8) => Ok(bits / 8),
            Some(_) => Err("its shape ends within a byte".to_owned()),
            None => Err("its shape is larger than any file".to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for HeaderText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = HeaderText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderText, A::Error> {
                let mut names = HashSet::new();
                let mut header = HeaderText {
                    tensors: Vec::new(),
                    metadata: Vec::new(),
                };
                while let Some(name) = map.next_key::<String>()? {
                    // Readers differ in which of two they take, so neither can be told to be meant.
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom(format!("{name:?} is there twice")));
                    }
                    if name == "__metadata__" {
                        let texts = map.next_value::<Option<HeaderTexts>>()?;
                        header.metadata = texts.map_or_else(Vec::new, |texts| texts.0);
                    } else {
                        header.tensors.push((name, map.next_value()?));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Names and texts, each name once, by name.
struct HeaderTexts(Vec<(String, String)>);

impl<'de> Deserialize<'de> for HeaderTexts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = HeaderTexts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderTexts, A::Error> {
                let mut pairs = BTreeMap::new();
                while let Some((name, text)) = map.next_entry::<String, String>()? {
                    if pairs.contains_key(&name) {
                        return Err(A::Error::custom(format!(
                            "metadata {name:?} is there twice"
                        )));
                    }
                    pairs.insert(name, text);
                }
                Ok(HeaderTexts(pairs.into_iter().collect()))
            }
        }
        deserializer.deserialize_map(TextsVisitor)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    fn read(bytes: &[u8]) -> io::Result<SafetensorsHeader> {
        parse(&mut &bytes[..], bytes.len() as u64)
    }

    const HEADER: &str = r#"{"__metadata__":{"format":"pt"},
        "w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}"#;

    #[test]
    fn names_shapes_and_metadata_are_read() {
        let found = read(&file(HEADER, 8)).unwrap();
        assert_eq!(found.metadata, [("format".to_owned(), "pt".to_owned())]);
        assert_eq!(found.tensors.len(), 1);
        assert_eq!(
            (&*found.tensors[0].name, &*found.tensors[0].dtype),
            ("w", "F32")
        );
        assert_eq!(found.tensors[0].shape, [2, 1]);
    }

    #[test]
    fn anything_else_is_refused() {
        let whole = file(HEADER, 8);
        for cut in 0..whole.len() {
            assert!(read(&whole[..cut]).is_err(), "{cut}");
        }
        let entry = |dtype: &str, shape: &str, offsets: &str| {
            format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
        };
        let one = entry("F32", "[1]", "[0,4]");
        let forbidden = [
            (format!(r#"{{"w":{one},"w":{one}}}"#), 4, "twice"),
            (
                r#"{"__metadata__":{"a":"1","a":"2"}}"#.to_owned(),
                0,
                "twice",
            ),
            (
                r#"{"w":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
                    .to_owned(),
                4,
                "duplicate",
            ),
            (
                format!(r#"{{"a":{one},"b":{}}}"#, entry("F32", "[1]", "[2,6]")),
                6,
                "begins at 2",
            ),
            (
                format!(r#"{{"a":{one},"b":{}}}"#, entry("F32", "[1]", "[8,12]")),
                12,
                "begins at 8",
            ),
            (format!(r#"{{"a":{one}}}"#), 8, "8 are there"),
            (
                format!(r#"{{"a":{}}}"#, entry("F32", "[1000,1000]", "[0,4]")),
                4,
                "by its shape",
            ),
            (
                format!(
                    r#"{{"a":{}}}"#,
                    entry("F32", "[4294967296,4294967296]", "[0,0]")
                ),
                0,
                "larger than any file",
            ),
            (
                format!(r#"{{"a":{}}}"#, entry("F31", "[1]", "[0,4]")),
                4,
                "no type",
            ),
            (
                format!(r#"{{"a":{}}}"#, entry("F4", "[1]", "[0,0]")),
                0,
                "within a byte",
            ),
            (
                format!(r#"{{"a":{}}}"#, entry("F32", "[1]", "[4,0]")),
                4,
                "by its shape",
            ),
            (
                format!(r#"{{"a":{}}}"#, entry("F32", "[-1]", "[0,4]")),
                4,
                "invalid",
            ),
            (format!(" {{\"a\":{one}}}"), 4, "begin with {"),
            (format!("\u{feff}{{\"a\":{one}}}"), 4, "begin with {"),
        ];
        for (header, data, why) in forbidden {
            let error = read(&file(&header, data)).unwrap_err().to_string();
            assert!(error.contains(why), "{header}: {error}");
        }
        // Allowed by the format: no elements, padding, no metadata.
        let allowed = [
            (format!(r#"{{"a":{}}}"#, entry("F32", "[0,9]", "[0,0]")), 0),
            (format!(r#"{{"__metadata__":null,"a":{one}}}   "#), 4),
            ("{}".to_owned(), 0),
        ];
        for (header, data) in allowed {
            assert!(read(&file(&header, data)).is_ok(), "{header}");
        }
        let huge = u64::MAX.to_le_bytes();
        for bytes in [&huge[..], b"", &file("[]", 0), &file(r#"{"w":{}}"#, 0)] {
            assert_eq!(read(bytes).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
