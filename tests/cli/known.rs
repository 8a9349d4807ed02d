//! The end of a run of a loader with one fault: the screen names it, and a list of known failures decides the
//! exit code.

use tempfile::TempDir;

use super::program::Ran;
use super::{at, folder, refused, weighbridge};

/// A requirement that the loader fails, in two cases, with one that it holds.
const CASES: [&str; 3] = [
    "F-DTYPE-053::all_three_widened",
    "F-DTYPE-053::same_bits_of_two_types",
    "F-PARSE-036::readme_smallest",
];

fn entry(pattern: &str, check: &str, until: &str) -> String {
    format!(
        "- match: {pattern}\n  check: {check}\n  reason: it reads BF16 as F16\n  link: https://example.org/1\n  \
         owner: weights team\n  until: {until}\n"
    )
}

/// Runs the cases with a loader that reads BF16 as F16, and a list.
fn run(folder: &TempDir, list: Option<&str>, more: &[&str]) -> Ran {
    let exe = env!("CARGO_BIN_EXE_weighbridge");
    let text = format!("name: liar\ncommand: [{exe:?}, mutant, bf16-as-f16]\n");
    let manifest = at(folder, "m.yaml", &text);
    let out = folder.path().join("r").display().to_string();
    let mut words = vec!["certify", "--profile", "host", "--seed", "7", "--no-progress"];
    words.extend(["--loader", &manifest, "--out", &out]);
    CASES.iter().for_each(|case| words.extend(["--case", case]));
    let list = list.map(|text| at(folder, "known.yaml", text));
    if let Some(list) = &list {
        words.extend(["--known", list]);
    }
    words.extend(more);
    weighbridge(&words)
}

#[test]
fn the_screen_alone_says_what_is_wrong() {
    let folder = folder();
    let ran = run(&folder, None, &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.out.contains("What failed: 1 requirement in 2 cases, 1 cause"), "{}", ran.out);
    let line = ran.out.lines().find(|line| line.starts_with("1. ")).unwrap_or_default();
    assert!(line.starts_with("1. BF16 read as F16: stored 0x"), "{}", ran.out);
    assert!(!ran.out.contains("2. "), "{}", ran.out);
    // The command of the group fails again.
    let again = ran.out.lines().find_map(|line| line.trim().strip_prefix("again: weighbridge "));
    let out = folder.path().join("again").display().to_string();
    let mut words: Vec<&str> = again.expect("a command").split_whitespace().collect();
    words.extend(["--out", &out]);
    let repeated = weighbridge(&words);
    assert_eq!(repeated.code, Some(1), "{}", repeated.err);
    assert!(repeated.out.contains("BF16 read as F16"), "{}", repeated.out);
    let full = run(&folder, None, &["--verbose"]);
    assert!(CASES[..2].iter().all(|case| full.out.contains(case)), "{}", full.out);
}

#[test]
fn an_honest_list_is_no_failure_and_each_kind_of_rot_is_one() {
    let folder = folder();
    let honest = entry("F-DTYPE-053", "BF16 read as F16", "2999-12-31");
    // A run of some cases only is incomplete, whatever they say.
    let ran = run(&folder, Some(&honest), &[]);
    assert_eq!(ran.code, Some(3), "{} {}", ran.out, ran.err);
    assert!(ran.out.contains("Known failures: 1 of 1 as listed, 2 cases"), "{}", ran.out);
    assert!(ran.out.contains("host profile refuted"), "{}", ran.out);
    let report = folder.path().join("r.json").display().to_string();
    assert_eq!(weighbridge(&["verify", &report]).code, Some(0));
    let text = std::fs::read_to_string(&report).expect("a report");
    let edited = at(&folder, "edited.json", &text.replace("2999-12-31", "2998-12-31"));
    let verified = weighbridge(&["verify", &edited]);
    assert_eq!(verified.code, Some(1));
    assert!(verified.out.contains("digest of the known failures"), "{}", verified.out);

    for (rotten, code, word) in [
        (entry("F-PARSE-036::readme_smallest", "anything", "2999-12-31"), 8, "passes"),
        (entry("F-PARSE-038::no_such", "anything", "2999-12-31"), 8, "matches nothing"),
    ] {
        let ran = run(&folder, Some(&format!("{honest}{rotten}")), &[]);
        assert_eq!(ran.code, Some(code), "{}", ran.out);
        assert!(ran.out.contains(word), "{}", ran.out);
    }
    let ran = run(&folder, Some(&entry("F-DTYPE-053", "BF16 read as F16", "2020-02-29")), &[]);
    assert_eq!(ran.code, Some(8), "{}", ran.out);
    assert!(ran.out.contains("past its date: its last day was 2020-02-29"), "{}", ran.out);
    let ran = run(&folder, Some(&entry("F-DTYPE-053", "unsupported_dtype", "2999-12-31")), &[]);
    assert_eq!(ran.code, Some(1), "a failure that is not listed refutes: {}", ran.out);
    assert!(ran.out.contains("fails otherwise"), "{}", ran.out);
}

#[test]
fn a_list_that_is_no_list_is_refused_before_the_run() {
    let folder = folder();
    let whole = entry("F-DTYPE-053", "BF16", "2999-12-31");
    for (text, words) in [
        (whole.replace("F-DTYPE-053", "\"*\""), ["known.yaml:1:", "match", "wider than allowed"]),
        (whole.replace("  owner: weights team\n", ""), ["known.yaml:1:", "owner", "remedy"]),
        (whole.replace("2999-12-31", "later"), ["known.yaml:6:", "until", "YYYY-MM-DD"]),
    ] {
        let list = at(&folder, "known.yaml", &text);
        refused(&["certify", "--profile", "host", "--known", &list], 2, &words);
    }
    refused(&["certify", "--profile", "host", "--known", "/no/such.yaml"], 2, &["--known"]);
}
