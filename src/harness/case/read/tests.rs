//! Case files with mistakes, and the position that is reported for each.

use crate::harness::case::read::*;

const GOOD: &str = "\
- requirement: F-PARSE-036
  name: loads
  tries: A file loads.
  files:
    main: {tensors: [{name: a, dtype: F32, shape: [2]}]}
  steps:
    - load: {expect: {loaded: [table]}}
    - compare: {}
  kills: [zeros-on-device]
";

fn read_text(text: &str) -> Result<CaseSet, ReadError> {
    read(vec![(PathBuf::from("parse/x.yaml"), text.into())], &["zeros-on-device"])
}

fn complaint(text: &str) -> String {
    read_text(text).expect_err("the file has a mistake").to_string()
}

#[test]
fn a_sound_file_is_read() {
    let set = read_text(GOOD).expect("sound");
    assert_eq!(set.cases()[0].id(), "F-PARSE-036::loads");
    assert_eq!(set.digest().len(), 64);
    assert_ne!(set.digest(), read_text(&format!("{GOOD}# more\n")).expect("sound").digest());
}

#[test]
fn a_model_that_loses_a_rank_is_held_and_gone_after_its_step() {
    let with = |step: &str| {
        let text = GOOD.replace("compare: {}", step);
        text.replace("  files:", "  fresh_process: true\n  files:")
    };
    let lost = "divide: {as: divided, tp: 2, lose: ended, expect: held}";
    assert!(read_text(&with(lost)).is_ok());
    let used = complaint(&with(&format!("{lost}\n    - compare: {{model: divided}}")));
    assert!(used.contains("model used before it is defined: divided"), "{used}");
    let refused = "{refused: {class: refused, code: [invalid_request]}}";
    let refused = complaint(&with(&format!("divide: {{tp: 2, lose: ended, expect: {refused}}}")));
    assert!(refused.contains("is expected to be held"), "{refused}");
}

#[test]
fn a_second_process_loads_alone_and_before_it_is_compared() {
    let with = |steps: &str| {
        GOOD.replace("compare: {}", steps).replace("  files:", "  alone: true\n  files:")
    };
    let beside = "load_beside: {}\n    - compare_beside: {}";
    assert!(read_text(&with(beside)).is_ok());
    let first = complaint(&with("compare_beside: {}"));
    assert!(first.contains("compare_beside without a load_beside"), "{first}");
    let other = complaint(&with("load_beside: {file: other}"));
    assert!(other.contains("no such file: other"), "{other}");
    let twice = complaint(&with("load_beside: {}\n    - compare: {}\n    - load_beside: {}"));
    assert!(twice.contains("load_beside behind another, without a compare_beside"), "{twice}");
    let again =
        |times: u32, steps: &str| with(&format!("repeat: {{times: {times}, steps: [{steps}]}}"));
    let load = "{load_beside: {}}, {compare: {}}";
    let twice = complaint(&again(2, load));
    assert!(twice.contains("load_beside behind another"), "{twice}");
    assert!(read_text(&again(1, load)).is_ok());
    assert!(read_text(&again(3, &format!("{load}, {{compare_beside: {{}}}}"))).is_ok());
    let shared = complaint(&GOOD.replace("compare: {}", beside));
    assert!(shared.contains("`alone: true`: load_beside"), "{shared}");
}

#[test]
fn mistakes_are_named_with_their_place() {
    let changed = |from: &str, to: &str| complaint(&GOOD.replace(from, to));
    for (complaint, place, word) in [
        (changed("  tries:", "  triess:"), "parse/x.yaml:3:3:", "triess"),
        (changed("[2]", "two"), "parse/x.yaml:5:51:", ""),
        (changed("shape: [2]", "shape: [-2]"), "parse/x.yaml:5:52:", ""),
        (changed("  name: loads", "\tname: loads"), "parse/x.yaml:2:1:", "tab"),
        (changed("load: {", "load: {file: other, "), "parse/x.yaml:1:3:", "no such file: other"),
        (changed("compare: {}", "compare: {model: m}"), "parse/x.yaml:1:3:", "model used before"),
        (changed("zeros-on-device", "nobody"), "parse/x.yaml:1:3:", "unknown mutant: nobody"),
        (changed("[zeros-on-device]", "[]"), "parse/x.yaml:1:3:", "does not say why"),
        (
            changed("load: {", "load: {within_ms: 5, "),
            "parse/x.yaml:1:3:",
            "`alone: true`: load: within",
        ),
        (changed("name: loads", "name: Loads It"), "parse/x.yaml:1:3:", "snake case"),
        (
            changed("compare: {}", "divide: {tp: 2, lose: ended, expect: held}"),
            "parse/x.yaml:1:3:",
            "`lose` says `fresh_process: true`",
        ),
        (changed("load: {expect", "laod: {expect"), "parse/x.yaml:7:7:", "laod"),
        (
            complaint(
                &GOOD
                    .replace("[2]}]}", "[2]}], shards: {count: 1}}")
                    .replace("compare: {}", "write: {from: main}"),
            ),
            "parse/x.yaml:1:3:",
            "only loaded as it was written: main",
        ),
        (complaint(&format!("{GOOD}  name: again\n")), "parse/x.yaml:10:3:", "name"),
        (
            complaint(&format!("{GOOD}{GOOD}")),
            "parse/x.yaml:10:3:",
            "duplicate case: F-PARSE-036::loads",
        ),
    ] {
        assert!(complaint.starts_with(place), "{place} expected: {complaint}");
        assert!(complaint.contains(word), "{word} expected: {complaint}");
        assert!(!complaint.contains("at line"), "the place is told once: {complaint}");
    }
}

/// Field and variant names that a file of the model declares, as YAML spells them.
fn declared(source: &str) -> BTreeSet<String> {
    let source = source.split("mod tests").next().unwrap_or_default();
    let name = |line: &str| {
        let line = line.strip_prefix("    ").filter(|line| !line.starts_with(' '))?;
        let end = line.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ' ')?;
        match (line[..end].strip_prefix("pub "), &line[end..]) {
            (Some(field), rest) if rest.starts_with(':') => Some(field.to_owned()),
            (None, rest)
                if rest.starts_with([',', '(']) && line.starts_with(char::is_uppercase) =>
            {
                let snake = line[..end].chars().flat_map(|c| {
                    let separator = c.is_uppercase().then_some('_');
                    separator.into_iter().chain(c.to_lowercase())
                });
                Some(snake.skip(1).collect())
            }
            _ => None,
        }
    };
    source.lines().filter_map(name).collect()
}

#[test]
fn the_readme_shows_every_key_and_value() {
    let readme = include_str!("../../../../conformance/readme.yaml");
    let words: BTreeSet<&str> =
        readme.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let model = [
        include_str!("../mod.rs"),
        include_str!("../recipe.rs"),
        include_str!("../damage.rs"),
        include_str!("../shards.rs"),
        include_str!("../synchronize.rs"),
        include_str!("../seal.rs"),
        include_str!("../step.rs"),
        include_str!("../cli.rs"),
        include_str!("../generate.rs"),
        include_str!("../forward.rs"),
        include_str!("../expect.rs"),
    ];
    let declared: BTreeSet<String> = model.into_iter().flat_map(declared).collect();
    assert!(declared.contains("least_payload") && declared.contains("git_lfs_pointer"));
    let missing: Vec<&String> =
        declared.iter().filter(|name| !words.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "not in conformance/readme.yaml: {missing:?}");
}

#[test]
fn what_a_step_does_not_say_is_as_the_readme_shows_it() {
    fn of<T: serde::de::DeserializeOwned>(text: &str) -> T {
        serde_yaml::from_str(text).expect(text)
    }
    use crate::harness::case::{formats::Drift, forward::Forward, generate::BitIdentical};
    let forward: Forward = of("{}");
    assert_eq!((forward.rows, forward.tolerance), (3, 1e-5));
    let bits: BitIdentical = of("{to: b}");
    assert_eq!((bits.rows, bits.prompt, bits.limit), (2, 9, 16));
    assert_eq!(of::<Drift>("{element: 1, norm: 1}").rows, 16);
}
