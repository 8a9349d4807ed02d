//! The embedded classes: frozen lists, and what each class has.

use super::*;
use crate::harness::case::model::ModelSource;
use crate::harness::case::read::CaseSet;
use crate::harness::model::Architecture;

fn suite() -> (Spec, CaseSet) {
    let cases = CaseSet::embedded(&crate::mutants::names()).unwrap();
    (Spec::embedded().unwrap(), cases)
}

#[test]
fn the_frozen_lists_are_what_their_rules_select() {
    let (spec, cases) = suite();
    assert_eq!(check(&spec, cases.cases()), Ok(()));
    // Without the case that it rests on, a requirement leaves the class.
    let fewer: Vec<Case> =
        cases.cases().iter().filter(|case| case.requirement != "CHEAT-005").cloned().collect();
    let message = check(&spec, &fewer).unwrap_err();
    assert!(message.contains("the list of class weights-host is not"), "{message}");
    assert!(message.starts_with("spec/classes.yaml:"), "{message}");
}

#[test]
fn a_whole_class_declares_all_that_its_cases_need() {
    let (spec, cases) = suite();
    for class in spec.classes().iter().filter(|class| class.rule.is_whole()) {
        let found = cases.cases().iter().find(|case| beyond(case, class));
        assert!(found.is_none(), "{}: {:?}", class.name, found.map(Case::id));
        let needed = class.core.iter().all(|one| {
            Capability::ALL.contains(one)
                && (class.name == "reference"
                    || cases.cases().iter().any(|case| {
                        class.requirements.contains(&case.requirement)
                            && case.relies(None).on(Device::Cuda(0)).contains(one)
                    }))
        });
        assert!(needed, "{} asks for a capability that no case of it needs", class.name);
    }
}

#[test]
fn a_whole_class_with_a_case_beyond_its_core_is_refused() {
    let (spec, cases) = suite();
    let mut all = cases.cases().to_vec();
    let case = all.iter_mut().find(|case| case.requirement == "CHEAT-005").unwrap();
    let random = Some(Architecture::Mistral);
    let mistral = ModelSource { random, ..ModelSource::default() };
    case.models.insert("mistral".to_owned(), mistral);
    let (id, message) = (case.id(), check(&spec, &all).unwrap_err());
    let wanted = format!("class warm-service has {id}, which needs more than its core");
    assert!(message.contains(&wanted), "{message}");
    assert!(!message.contains("class reference has"), "{message}");
}

#[test]
fn the_table_says_of_each_class_what_the_spec_says() {
    let (spec, cases) = suite();
    let table = table(&spec, cases.cases());
    for class in spec.classes() {
        let row = table.class(&class.name).unwrap();
        assert_eq!(row.whole, class.rule.is_whole(), "{}", class.name);
        assert_eq!(row.host.is_some(), class.host.is_some(), "{}", class.name);
        assert_eq!(row.gpu.is_some(), class.gpu.is_some(), "{}", class.name);
    }
    let policy = cases.cases().iter().filter(|case| kind(&spec, case) == Kind::Policy);
    assert!(policy.map(Case::id).eq(table.policy.iter().cloned()));
    assert!(table.is_policy("F-DTYPE-049::f64_alone"));
}

#[test]
fn a_plain_loader_of_safetensors_can_earn_the_weights_classes() {
    let (spec, cases) = suite();
    let table = table(&spec, cases.cases());
    for (name, gpu, device, bytes) in [
        ("weights-host", false, "device.cpu", "read"),
        ("weights-gpu", true, "device.cuda", "export"),
    ] {
        let class = table.class(name).unwrap();
        let declared =
            ["format.safetensors", "dtype.f32", "dtype.f16", "dtype.bf16", device, bytes];
        let claims = Claims { declared: declared.into_iter().collect(), gpu };
        assert_eq!(claims.lacks(class, gpu), Some(Vec::new()));
        let scope = claims.scope(&table, class);
        assert!(scope.cases.len() > 200 && scope.cases.values().all(Vec::is_empty));
        let needs = |id: &str| cases.cases().iter().find(|case| case.id() == id).unwrap().words();
        let beyond = ["digest", "gates", "widen", "sealed", "logits", "embedding", "stat"];
        for id in scope.cases.keys() {
            assert!(!needs(id).iter().any(|word| beyond.contains(&word.as_str())), "{id}");
        }
        assert!(scope.policy.contains("F-DTYPE-049::f64_alone"));
    }
}

#[test]
fn every_feature_of_a_class_has_a_case() {
    let (spec, cases) = suite();
    let table = table(&spec, cases.cases());
    for (class, row) in spec.classes().iter().zip(&table.classes) {
        for feature in &row.features {
            let weighed = [false, true].into_iter().filter(|gpu| class.core_on(*gpu).is_some());
            let tried = weighed.into_iter().any(|gpu| {
                let core = class.core_on(gpu).unwrap_or_default();
                let all = core.iter().chain(&class.one_of).chain(&class.features);
                let names: Vec<String> = all.copied().map(capability::name).collect();
                let claims = Claims { declared: names.iter().map(String::as_str).collect(), gpu };
                let scope = claims.scope(&table, row);
                let relied = scope.cases.values().flatten().any(|name| name == feature);
                relied || scope.policy.iter().any(|id| words_of(&cases, id).contains(feature))
            });
            assert!(tried, "class {} has no case for its feature {feature}", row.name);
        }
    }
}

fn words_of(cases: &CaseSet, id: &str) -> BTreeSet<String> {
    cases.cases().iter().find(|case| case.id() == id).map(Case::words).unwrap_or_default()
}

#[test]
fn a_case_may_be_policy_where_its_requirement_is_none() {
    let (spec, cases) = suite();
    let of = |id: &str| {
        let case = cases.cases().iter().find(|case| case.id() == id).unwrap();
        kind(&spec, case)
    };
    assert_eq!(of("F-PARSE-042::dtype_unknown"), Kind::Format);
    assert_eq!(of("F-PARSE-042::unknown_field"), Kind::Policy);
    assert_eq!(of("F-DTYPE-049::f64_alone"), Kind::Policy);
    let silent: Vec<String> = cases
        .cases()
        .iter()
        .filter(|case| {
            case.policy.is_some()
                && spec.kind(&case.requirement).is_some_and(|group| group.kind == Kind::Policy)
        })
        .map(Case::id)
        .collect();
    assert!(silent.is_empty(), "policy already, by the requirement: {silent:?}");
}
