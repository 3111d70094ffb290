//! The header of a safetensors file: names, shapes and types of its tensors without their values.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use super::{Registry, sidecar};
use crate::disk;
use crate::error::{Error, Result};

/// A longer header is refused before anything is read.
/// No shard of a model comes near it, or near the number of values that is read.
const LONGEST: u64 = 16 << 20;

/// What a safetensors file says of itself in its header. Needs the feature `safetensors`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SafetensorsHeader {
    /// Its tensors, by name.
    pub tensors: Vec<TensorInfo>,
    /// Names and texts of `__metadata__`, by name.
    pub metadata: Vec<(String, String)>,
}

/// One tensor of a safetensors file.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl SafetensorsHeader {
    /// Reads the header of the file at `path`, and nothing behind it.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, and with
    /// [`InvalidData`](io::ErrorKind::InvalidData) if it is no safetensors file.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        header(disk::open_regular_anywhere(path), path)
    }
}

fn header(opened: io::Result<File>, path: &Path) -> Result<SafetensorsHeader> {
    let read = opened.and_then(|mut file| {
        let length = file.metadata()?.len();
        parse(&mut file, length)
    });
    read.map_err(|cause| Error::io("read the safetensors header of", path, cause))
}

impl Registry {
    /// The header of a checkpoint's weights, which must be a safetensors file. Tensors are not
    /// read, and the digest is not compared. Needs the feature `safetensors`.
    ///
    /// # Errors
    /// Those of [`find`](Registry::find) and of [`SafetensorsHeader::read`].
    pub fn safetensors(&self, id: &str) -> Result<SafetensorsHeader> {
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

pub(crate) fn parse(file: &mut impl Read, file_length: u64) -> io::Result<SafetensorsHeader> {
    let mut length = [0; 8];
    file.read_exact(&mut length)
        .map_err(|_| bad("it is shorter than 8 bytes"))?;
    let length = u64::from_le_bytes(length);
    let rest = file_length.saturating_sub(8);
    if length > LONGEST || length > rest {
        return Err(bad(format!(
            "a header of {length} bytes in a file of {file_length}"
        )));
    }
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text)?;
    let values = sidecar::count_values(&text);
    if values > sidecar::MOST_VALUES {
        return Err(bad(format!("a header of {values} values")));
    }
    let header: Value = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
    let Value::Object(entries) = header else {
        return Err(bad("the header is no object"));
    };
    let mut found = SafetensorsHeader::default();
    for (name, entry) in entries {
        if name == "__metadata__" {
            let texts = entry
                .as_object()
                .ok_or_else(|| bad("__metadata__ is no object"))?;
            for (name, text) in texts {
                let text = text
                    .as_str()
                    .ok_or_else(|| bad("metadata that is no text"))?;
                found.metadata.push((name.clone(), text.to_owned()));
            }
            continue;
        }
        let tensor = tensor(&name, &entry, rest.saturating_sub(length));
        found
            .tensors
            .push(tensor.ok_or_else(|| bad(format!("tensor {name:?}")))?);
    }
    Ok(found)
}

fn tensor(name: &str, entry: &Value, data: u64) -> Option<TensorInfo> {
    let shape = entry.get("shape")?.as_array()?.iter();
    let offsets = entry.get("data_offsets")?.as_array()?;
    let offsets = match offsets.as_slice() {
        [begin, end] => (begin.as_u64()?, end.as_u64()?),
        _ => return None,
    };
    if offsets.0 > offsets.1 || offsets.1 > data {
        return None;
    }
    Some(TensorInfo {
        name: name.to_owned(),
        dtype: entry.get("dtype")?.as_str()?.to_owned(),
        shape: shape.map(Value::as_u64).collect::<Option<_>>()?,
        offsets,
    })
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
        let huge = u64::MAX.to_le_bytes();
        for bytes in [&huge[..], b"", &file("[]", 0), &file(r#"{"w":{}}"#, 0)] {
            assert_eq!(read(bytes).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
