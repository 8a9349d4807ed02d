//! What must hold, as data: the requirements, and all that was decided about them.
//!
//! The files under `spec/` are embedded in the binary, so that it runs from any folder.
//! [`Spec::embedded`] reads and checks them once; everything else asks the [`Spec`] it returns.
//! How a requirement is tried is not here: cases name requirement ids, never the other way round.

mod check;
mod decision;
mod files;
mod read;
mod requirement;
mod variants;

use std::collections::BTreeMap;

use crate::contract::Code;

pub use decision::{
    ErrorCode, Excluded, Hardware, Limit, Profile, Resolution, Rule, Uncoded, Vram,
};
pub use read::{Place, SpecError};
pub use requirement::{
    Basis, Bound, Document, Evidence, Family, Need, Origin, Requirement, Section, Severity, Source,
    Threshold,
};

/// The whole spec, read and checked.
#[derive(Clone, Debug)]
pub struct Spec {
    documents: Vec<Document>,
    sections: Vec<Section>,
    requirements: Vec<Requirement>,
    by_id: BTreeMap<String, usize>,
    resolutions: Vec<Resolution>,
    error_codes: Vec<ErrorCode>,
    uncoded: Vec<Uncoded>,
    profiles: Vec<Profile>,
    hardware: Vec<Hardware>,
    limits: Vec<Limit>,
    excluded: Vec<Excluded>,
    digest: String,
}

impl Spec {
    /// Reads and checks the files that were embedded at build time.
    ///
    /// # Errors
    /// The first file that cannot be read, or the first row that breaks a rule, with its place.
    pub fn embedded() -> Result<Self, SpecError> {
        let spec = files::read()?;
        check::all(&spec)?;
        Ok(spec)
    }

    /// SHA-256 over all embedded files in the order of their paths, as 64 hex digits. Two reports
    /// with the same digest speak of the same requirements.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The texts that the requirements were taken from.
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// Every section, in the order of reports.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The section with this id.
    pub fn section(&self, id: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.id == id)
    }

    /// Every requirement, section by section.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// The requirement with this id.
    pub fn requirement(&self, id: &str) -> Option<&Requirement> {
        self.by_id.get(id).and_then(|&index| self.requirements.get(index))
    }

    /// The requirements of a section, in order.
    pub fn requirements_of<'a>(
        &'a self,
        section: &'a str,
    ) -> impl Iterator<Item = &'a Requirement> + 'a {
        self.requirements.iter().filter(move |requirement| requirement.section == section)
    }

    /// Every resolution, in order.
    pub fn resolutions(&self) -> &[Resolution] {
        &self.resolutions
    }

    /// The resolution with this id.
    pub fn resolution(&self, id: &str) -> Option<&Resolution> {
        self.resolutions.iter().find(|resolution| resolution.id == id)
    }

    /// The EMB-E table, in order.
    pub fn error_codes(&self) -> &[ErrorCode] {
        &self.error_codes
    }

    /// The EMB-E row with this code (`EMB-E004`), name or alias.
    pub fn error_code(&self, text: &str) -> Option<&ErrorCode> {
        self.error_codes.iter().find(|row| {
            row.code == text || row.name == text || row.aliases.iter().any(|alias| alias == text)
        })
    }

    /// The EMB-E row that a failure of the contract carries; none where [`Spec::uncoded`] says why.
    pub fn error_code_of(&self, failure: Code) -> Option<&ErrorCode> {
        self.error_codes.iter().find(|row| row.failures.contains(&failure))
    }

    /// The failures that carry no EMB-E code, and why.
    pub fn uncoded(&self) -> &[Uncoded] {
        &self.uncoded
    }

    /// Every profile.
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// The profile with this name.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.name == name)
    }

    /// Every hardware profile.
    pub fn hardware_profiles(&self) -> &[Hardware] {
        &self.hardware
    }

    /// The hardware profile with this name.
    pub fn hardware(&self, name: &str) -> Option<&Hardware> {
        self.hardware.iter().find(|hardware| hardware.name == name)
    }

    /// What a certificate does not promise.
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// Rules of the documents that are no requirements here, with the reason.
    pub fn excluded(&self) -> &[Excluded] {
        &self.excluded
    }

    /// Sum of the points of a set of requirements; ids that are not known count nothing.
    pub fn points<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> u32 {
        ids.into_iter().filter_map(|id| self.requirement(id)).map(|row| row.points).sum()
    }
}
