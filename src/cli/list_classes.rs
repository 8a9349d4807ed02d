//! `weighbridge list --classes`: what each class of loaders needs, and how many requirements it has.

use std::io::Write;

use serde::Serialize;

use super::lookup::LookupError;
use crate::contract::Capability;
use crate::contract::capability;
use crate::harness::spec::{Class, Spec};

#[derive(Serialize)]
struct Listing<'a> {
    spec_digest: &'a str,
    classes: &'a [Class],
}

/// Prints the classes, or the JSON.
///
/// # Errors
/// If `out` fails.
pub fn print(spec: &Spec, json: bool, out: &mut dyn Write) -> Result<(), LookupError> {
    if json {
        let listing = Listing { spec_digest: spec.digest(), classes: spec.classes() };
        serde_json::to_writer_pretty(&mut *out, &listing)?;
        return Ok(writeln!(out)?);
    }
    for class in spec.classes() {
        writeln!(
            out,
            "{} {}  {} requirements, {}",
            class.name,
            class.version,
            class.requirements.len(),
            devices(class)
        )?;
        writeln!(out, "  {}", class.summary)?;
        writeln!(out, "  needs {}", needs(class))?;
        if !class.features.is_empty() {
            writeln!(out, "  may have {}", names(class.features.iter()))?;
        }
        writeln!(out)?;
    }
    Ok(writeln!(
        out,
        "{} classes; weighbridge certify --class NAME weighs one, weighbridge explain NAME tells all of it",
        spec.classes().len()
    )?)
}

/// Where a class is weighed.
pub fn devices(class: &Class) -> &'static str {
    match (&class.host, &class.gpu) {
        (Some(_), None) => "in host memory",
        (None, Some(_)) => "on a GPU",
        _ => "in host memory or on a GPU",
    }
}

/// What a loader must declare.
pub fn needs(class: &Class) -> String {
    let mut parts = vec![names(class.core.iter())];
    let places = [(&class.host, "in host memory"), (&class.gpu, "on a GPU")];
    for (further, place) in places {
        if let Some(further) = further.as_ref().filter(|further| !further.is_empty()) {
            parts.push(format!("{place} {}", names(further.iter())));
        }
    }
    if !class.one_of.is_empty() {
        parts.push(format!("one of {}", names(class.one_of.iter())));
    }
    parts.join("; ")
}

/// The names of capabilities.
pub fn names<'a>(all: impl Iterator<Item = &'a Capability>) -> String {
    all.copied().map(capability::name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_listed_with_what_it_needs() {
        let spec = Spec::embedded().unwrap();
        let mut out = Vec::new();
        print(&spec, false, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in [
            "weights-host 1.0  32 requirements, in host memory\n",
            "  needs dtype.f32, dtype.f16, dtype.bf16, format.safetensors; in host memory device.cpu, read\n",
            "one of model.qwen2, model.qwen3",
            "reference 1.2  ",
        ] {
            assert!(text.contains(part), "{part:?} not in:\n{text}");
        }
        let mut out = Vec::new();
        print(&spec, true, &mut out).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["classes"].as_array().map(Vec::len), Some(spec.classes().len()));
        assert_eq!(value["classes"][0]["host"][0], "device.cpu");
    }
}
