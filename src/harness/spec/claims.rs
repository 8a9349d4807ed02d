//! Checks kinds and classes, as far as that needs no case.

use std::collections::BTreeMap;

use super::place::{Place, SpecError};
use super::registry::Spec;

/// Checks that every requirement stands in exactly one group.
pub(super) fn kinds(spec: &Spec) -> Result<(), SpecError> {
    let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
    for group in &spec.kinds {
        for id in &group.requirements {
            if spec.requirement(id).is_none() {
                let message = format!("kind of an unknown requirement: {id}");
                return Err(SpecError::broken(&group.at, message));
            }
            if let Some(first) = seen.insert(id, &group.at) {
                let message = format!("{id} has a kind twice (also at {first})");
                return Err(SpecError::broken(&group.at, message));
            }
        }
    }
    match spec.requirements.iter().find(|row| !seen.contains_key(row.id.as_str())) {
        None => Ok(()),
        Some(row) => {
            let message = format!("{} stands in no group of spec/kinds.yaml", row.id);
            Err(SpecError::broken(&row.at, message))
        }
    }
}

/// Checks what a class says, as far as that needs no case.
pub(super) fn classes(spec: &Spec) -> Result<(), SpecError> {
    for class in &spec.classes {
        let broken = |message: String| Err(SpecError::broken(&class.at, message));
        if spec.profile(&class.name).is_some() {
            return broken(format!("a class and a profile of one name: {}", class.name));
        }
        if class.host.is_none() && class.gpu.is_none() {
            return broken(format!("class {} is weighed on no device", class.name));
        }
        if let Some(id) = class.requirements.iter().find(|id| spec.requirement(id).is_none()) {
            return broken(format!("unknown requirement in class {}: {id}", class.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Capability;
    use crate::harness::spec::kind::Kind;

    type Damage = fn(&mut Spec);

    #[test]
    fn every_requirement_has_one_kind_and_a_reason() {
        let spec = Spec::embedded().unwrap();
        for row in spec.requirements() {
            let group = spec.kind(&row.id).unwrap_or_else(|| panic!("{} has no kind", row.id));
            assert!(group.reason.ends_with('.'), "{}", group.reason);
        }
        let of = |id: &str| spec.kind(id).map(|group| group.kind);
        assert_eq!(of("F-PARSE-041"), Some(Kind::Format));
        assert_eq!(of("UT-WARM-001"), Some(Kind::Contract));
        assert_eq!(of("F-DTYPE-049"), Some(Kind::Policy));
    }

    #[test]
    fn a_gap_a_double_and_a_stranger_are_refused() {
        let breaches: [(Damage, &str); 3] = [
            (|spec| drop(spec.kinds[0].requirements.remove(0)), "stands in no group"),
            (|spec| spec.kinds[1].requirements.push("F-PARSE-036".into()), "has a kind twice"),
            (|spec| spec.kinds[1].requirements.push("F-PARSE-036x".into()), "unknown requirement"),
        ];
        for (damage, expected) in breaches {
            let mut spec = Spec::embedded().unwrap();
            damage(&mut spec);
            let message = kinds(&spec).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn classes_are_named_apart_from_profiles_and_know_their_devices() {
        let spec = Spec::embedded().unwrap();
        let class = spec.class("weights-gpu").unwrap();
        assert!(class.core_on(false).is_none());
        assert!(class.core_on(true).unwrap().contains(&Capability::Export));
        let mut named = spec.clone();
        named.classes[0].name = "host".to_owned();
        assert!(classes(&named).unwrap_err().to_string().contains("of one name"));
        let mut nowhere = spec.clone();
        (nowhere.classes[0].host, nowhere.classes[0].gpu) = (None, None);
        assert!(classes(&nowhere).unwrap_err().to_string().contains("on no device"));
        let mut strange = spec;
        strange.classes[0].requirements.push("F-000".to_owned());
        assert!(classes(&strange).unwrap_err().to_string().contains("unknown requirement"));
    }
}
