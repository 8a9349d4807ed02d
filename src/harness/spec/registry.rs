//! The spec in memory, with functions to look up its parts.

use std::collections::BTreeMap;

use super::class::Class;
use super::decision::{ErrorCode, Excluded, Hardware, Limit, Profile, Resolution, Uncoded};
use super::kind::KindGroup;
use super::requirement::{Document, Requirement, Section};
use super::role::Role;
use crate::contract::Code;

/// The whole spec, read and checked.
#[derive(Clone, Debug)]
pub struct Spec {
    pub(super) documents: Vec<Document>,
    pub(super) sections: Vec<Section>,
    pub(super) requirements: Vec<Requirement>,
    pub(super) by_id: BTreeMap<String, usize>,
    pub(super) resolutions: Vec<Resolution>,
    pub(super) error_codes: Vec<ErrorCode>,
    pub(super) uncoded: Vec<Uncoded>,
    pub(super) profiles: Vec<Profile>,
    pub(super) hardware: Vec<Hardware>,
    pub(super) limits: Vec<Limit>,
    pub(super) excluded: Vec<Excluded>,
    pub(super) roles: Vec<Role>,
    pub(super) kinds: Vec<KindGroup>,
    pub(super) classes: Vec<Class>,
    pub(super) digest: String,
}

impl Spec {
    /// SHA-256 over all embedded files in the order of their paths, as 64 hex digits. Two reports
    /// with the same digest are about the same requirements.
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

    /// The EMB-E row of a failure of the contract; `None` for the failures in [`Spec::uncoded`].
    pub fn error_code_of(&self, failure: Code) -> Option<&ErrorCode> {
        self.error_codes.iter().find(|row| row.failures.contains(&failure))
    }

    /// The failures without an EMB-E code, and why they have none.
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

    /// The requirements outside a profile. The profile's certificate must name them.
    pub fn outside<'a>(&'a self, profile: &'a Profile) -> impl Iterator<Item = &'a Requirement> {
        self.requirements.iter().filter(|row| !profile.rule.takes(row))
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

    /// Rules of the documents that are not requirements here, with the reason.
    pub fn excluded(&self) -> &[Excluded] {
        &self.excluded
    }

    /// Roles of tensors in which values that look like damage are normal.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// The kind of a requirement, with the reason.
    pub fn kind(&self, id: &str) -> Option<&KindGroup> {
        self.kinds.iter().find(|group| group.requirements.iter().any(|one| one == id))
    }

    /// Every class of loaders.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// The class with this name.
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.classes.iter().find(|class| class.name == name)
    }

    /// Sum of the points of a set of requirements. An unknown id counts as 0 points.
    pub fn points<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> u32 {
        ids.into_iter().filter_map(|id| self.requirement(id)).map(|row| row.points).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::harness::spec::requirement::{Family, Need, Origin, Severity};

    fn spec() -> Spec {
        Spec::embedded().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_checklist_has_a_hundred_points() {
        let spec = spec();
        let points: Vec<u32> = spec
            .sections()
            .iter()
            .filter(|section| section.family == Family::Checklist)
            .map(|section| section.points)
            .collect();
        assert_eq!(points, [10, 10, 15, 10, 10, 10, 15, 10, 5, 5]);
        assert_eq!(points.iter().sum::<u32>(), 100);
        let all = spec.requirements().iter().map(|row| row.id.as_str());
        assert_eq!(spec.points(all), 100);
    }

    #[test]
    fn warnings_are_where_the_checklist_has_them() {
        let spec = spec();
        let warnings: Vec<&str> = spec
            .requirements()
            .iter()
            .filter(|row| row.severity == Severity::Warning)
            .map(|row| row.id.as_str())
            .collect();
        assert_eq!(warnings, ["F-MEM-034", "F-PERF-084", "F-PERF-088", "F-PERF-090"]);
    }

    #[test]
    fn families_are_whole() {
        let spec = spec();
        for (section, ids) in [
            ("UT-WARM", vec!["UT-WARM-001", "UT-WARM-005"]),
            ("IT-WARM", vec!["IT-WARM-001", "IT-WARM-003"]),
            ("INVARIANTS", vec!["INV-WARM-1", "INV-WARM-5"]),
            ("DATA-QUALITY", vec!["F-DATA-QUALITY-001", "F-DATA-QUALITY-004"]),
        ] {
            let rows: Vec<&str> =
                spec.requirements_of(section).map(|row| row.id.as_str()).collect();
            assert_eq!([rows[0], rows[rows.len() - 1]], [ids[0], ids[1]], "{section}");
        }
        assert_eq!(spec.requirements_of("UT-WARM").count(), 5);
        assert_eq!(spec.requirements_of("INVARIANTS").count(), 5);
        assert!(spec.requirement("F-LAYOUT-001").is_some());
    }

    #[test]
    fn gpu_rows_need_a_gpu_and_host_rows_need_nothing() {
        let spec = spec();
        for row in spec.requirements() {
            if row.id.starts_with("F-CUDA-") || row.id.starts_with("F-MEM-") {
                assert!(row.needs_gpu(), "{}", row.id);
            }
            for prefix in ["F-PARSE-", "F-DTYPE-", "F-DATA-QUALITY-", "GH-205-"] {
                assert!(!row.id.starts_with(prefix) || row.needs.is_empty(), "{}", row.id);
            }
            if row.id.starts_with("F-BUILD-") {
                assert_eq!(row.needs, BTreeSet::from([Need::Toolchain]), "{}", row.id);
            }
        }
        let needs_gpu = |id: &str| spec.requirement(id).unwrap().needs_gpu();
        assert!(needs_gpu("F-ERR-092") && needs_gpu("UT-WARM-002"));
        for id in ["UT-WARM-001", "UT-WARM-004", "UT-WARM-005", "F-ERR-091", "F-ERR-095"] {
            assert!(spec.profile("host").unwrap().requirements.iter().any(|held| held == id));
        }
    }

    #[test]
    fn profiles_hold_what_they_say() {
        let spec = spec();
        let size = |name: &str| spec.profile(name).unwrap().requirements.len();
        assert_eq!(size("full"), spec.requirements().len());
        assert_eq!(size("build"), 10);
        assert_eq!(size("host"), 163);
        assert!(spec.profile("full").unwrap().gpu_certificate);
        assert!(!spec.profile("host").unwrap().gpu_certificate);
        assert!(spec.profile("everything").is_none());
        for profile in spec.profiles() {
            let outside = spec.outside(profile).count();
            assert_eq!(outside + profile.requirements.len(), spec.requirements().len());
        }
    }

    #[test]
    fn codes_of_the_documents_keep_their_names() {
        let spec = spec();
        let name = |failure| spec.error_code_of(failure).map(|row| row.name.as_str());
        assert_eq!(name(Code::CudaUnavailable), Some("CUDA_UNAVAILABLE"));
        assert_eq!(name(Code::ChecksumMismatch), Some("WEIGHT_CHECKSUM_MISMATCH"));
        assert_eq!(name(Code::NonFinite), Some("CORRUPTED_WEIGHT"));
        let by_alias = spec.error_code("CUDA_REQUIRED").map(|row| row.code.as_str());
        assert_eq!(by_alias, Some("EMB-E001"));
        for row in spec.error_codes() {
            let given = matches!(row.code.as_str(), "EMB-E001" | "EMB-E004" | "EMB-E007");
            assert_eq!(row.code_is == Origin::Document, given, "{}", row.code);
        }
    }

    #[test]
    fn thresholds_are_the_documents() {
        let spec = spec();
        let limit = |id: &str, name: &str| &spec.requirement(id).unwrap().thresholds[name];
        assert!(!limit("F-MEM-029", "bandwidth").admits(5.0));
        assert!(limit("F-MEM-029", "bandwidth").admits(5.1));
        assert!(!limit("F-PERF-081", "load_time").admits(2.0));
        assert!(!limit("F-DATA-QUALITY-001", "embedding_zeros").admits(50.0));
        assert!(limit("F-DATA-QUALITY-001", "weight_zeros").admits(79.9));
        assert!(limit("F-DATA-QUALITY-003", "l2_norm").admits(1.1e-6));
        assert!(!limit("F-DATA-QUALITY-003", "l2_norm").admits(f64::NAN));
        assert!(limit("IT-WARM-003", "absolute_difference").admits(1e-5));
        let steps = &spec.requirement("BUDGET-STEPS").unwrap().thresholds;
        let whole = steps["model"].value;
        let sum: f64 = steps
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "model" | "set"))
            .map(|(_, step)| step.value)
            .sum();
        assert_eq!((sum, 13.0 * whole), (whole, steps["set"].value));
    }

    #[test]
    fn sentences_are_sentences() {
        let spec = spec();
        for row in spec.requirements() {
            for text in [&row.sentence, &row.evidence.what] {
                assert!(text.ends_with('.') && !text.contains('\n'), "{}: {text}", row.id);
            }
        }
        for row in spec.resolutions() {
            for text in [&row.conflict, &row.choice, &row.reason] {
                assert!(text.ends_with('.'), "{}: {text}", row.id);
            }
        }
    }

    #[test]
    fn every_resolution_shapes_something_or_says_what_it_drops() {
        let spec = spec();
        for row in spec.resolutions() {
            let used = spec.requirements().iter().any(|held| held.resolutions.contains(&row.id));
            assert!(used || row.choice.contains("not used"), "{}", row.id);
        }
    }

    #[test]
    fn the_digest_is_stable_within_a_build() {
        assert_eq!(spec().digest(), spec().digest());
        assert!(spec().digest().bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
