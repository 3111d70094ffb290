//! The manifest of a run.

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::fields::InOrder;
use crate::entry::hex::{hex, unhex};
use crate::entry::manifest::RunManifest;

/// The fields, in the order in which they are written.
#[derive(Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct ManifestFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    features: Vec<String>,
    /// 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    command_line: Vec<String>,
    /// As text: a seed has 64 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pairs: Option<InOrder<String, String>>,
}

fn write_manifest(manifest: &RunManifest) -> ManifestFields {
    let pairs = manifest.pairs.clone();
    ManifestFields {
        program: manifest.program.clone(),
        version: manifest.version.clone(),
        features: manifest.features.clone(),
        executable: manifest.executable.map(|digest| hex(&digest)),
        host: manifest.host.clone(),
        command_line: manifest.command_line.clone(),
        seed: manifest.seed.map(|seed| seed.to_string()),
        pairs: (!pairs.is_empty()).then_some(InOrder(pairs)),
    }
}

fn read_manifest<E: serde::de::Error>(fields: ManifestFields) -> Result<RunManifest, E> {
    let wrong = |what, text: &str| E::custom(format_args!("{text:?} is no {what}"));
    let executable = fields.executable.map(|text| {
        let digest = unhex(&text);
        digest.ok_or_else(|| wrong("digest of 64 hexadecimal digits", &text))
    });
    let seed = fields.seed.map(|text| {
        let seed = text.parse();
        seed.map_err(|_| wrong("seed of 64 bits", &text))
    });
    Ok(RunManifest {
        program: fields.program,
        version: fields.version,
        features: fields.features,
        executable: executable.transpose()?,
        host: fields.host,
        command_line: fields.command_line,
        seed: seed.transpose()?,
        pairs: fields.pairs.map_or_else(Vec::new, |InOrder(pairs)| pairs),
    })
}

super::as_object! {
    RunManifest as ManifestFields: write_manifest, read_manifest;
}
