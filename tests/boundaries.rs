//! Holds the table *boundary -> case* to the contract's types and to the suite's cases: each case
//! that it names exists, and each field of a request or a reply has a row.

use std::collections::BTreeSet;

use syn::{Fields, Item, Type};
use weighbridge::contract::DType;
use weighbridge::contract::request::Format;
use weighbridge::harness::boundaries::extents::extents;
use weighbridge::harness::boundaries::keys::keys;
use weighbridge::harness::boundaries::{EMBEDDED, read};
use weighbridge::harness::case::read::CaseSet;
use weighbridge::harness::case::step::Step;
use weighbridge::mutants;

/// The files whose types travel between judge and loader.
const CONTRACT: [(&str, &str); 5] = [
    ("request", include_str!("../src/contract/request.rs")),
    ("reply", include_str!("../src/contract/reply.rs")),
    ("generation", include_str!("../src/contract/generation.rs")),
    ("inference", include_str!("../src/contract/inference.rs")),
    ("plan", include_str!("../src/contract/plan.rs")),
];

/// Types that are not part of a message, or only name one.
const NOT_SENT: [&str; 5] = ["Reply", "OutputKind", "Batch", "State", "Traced"];

fn suite() -> CaseSet {
    CaseSet::embedded(&mutants::names()).expect("the suite's cases")
}

#[test]
fn every_named_case_exists() {
    let suite = suite();
    let ids: BTreeSet<String> = suite.cases().iter().map(|case| case.id()).collect();
    let rows = read(EMBEDDED).expect("the table");
    let lost: Vec<String> = rows
        .iter()
        .flat_map(|row| row.cases.iter().map(move |case| (row, case)))
        .filter(|(_, case)| !ids.contains(*case))
        .map(|(row, case)| format!("{}: no case {case}", row.what))
        .collect();
    assert!(lost.is_empty(), "conformance/boundaries.txt:\n{}", lost.join("\n"));
}

#[test]
fn every_field_of_the_contract_has_a_row() {
    let rows = read(EMBEDDED).expect("the table");
    let told: BTreeSet<&str> = rows
        .iter()
        .filter(|row| ["requests", "replies"].contains(&row.under.as_str()))
        .map(|row| row.what.as_str())
        .collect();
    let sent = sent();
    let sent: BTreeSet<&str> = sent.iter().map(String::as_str).collect();
    let lacking: Vec<_> = sent.difference(&told).collect();
    let strange: Vec<_> = told.difference(&sent).collect();
    assert!(lacking.is_empty(), "conformance/boundaries.txt has no row for {lacking:?}");
    assert!(strange.is_empty(), "the contract has nothing of these names: {strange:?}");
}

/// Fields as `Load.path`, and variants as `Prompt::Chat`.
fn sent() -> Vec<String> {
    let mut all = Vec::new();
    for (file, text) in CONTRACT {
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        for item in parsed.items {
            match item {
                Item::Struct(item) if !NOT_SENT.contains(&item.ident.to_string().as_str()) => {
                    let Fields::Named(fields) = item.fields else { continue };
                    let names = fields.named.into_iter().filter_map(|field| {
                        // A field of a unit type says nothing.
                        let says =
                            !matches!(&field.ty, Type::Tuple(tuple) if tuple.elems.is_empty());
                        field.ident.filter(|_| says)
                    });
                    all.extend(names.map(|name| format!("{}.{name}", item.ident)));
                }
                Item::Enum(item) if !NOT_SENT.contains(&item.ident.to_string().as_str()) => {
                    let of = &item.ident;
                    let names = item.variants.iter().map(|one| format!("{of}::{}", one.ident));
                    all.extend(names);
                }
                _ => {}
            }
        }
    }
    all
}

#[test]
fn counts_and_keys_follow_from_the_cases() {
    let suite = suite();
    let extents = extents(suite.cases());
    let most = |what: &str| extents.iter().find(|one| one.what == what).map_or(0, |one| one.most);
    for (what, least) in [
        ("layers of a model", 12),
        ("query heads of a model", 40),
        ("rows of a batch", 300),
        ("tokens of a row", 700),
        ("tokens of a prompt", 2_101),
        ("tokens of an answer", 300),
        ("tokens of a vocabulary", 140_000),
        ("times that a step is repeated", 300),
    ] {
        assert!(most(what) >= least, "{what}: {}", most(what));
    }
    let keys = keys(suite.cases());
    let case =
        |name: &str| keys.iter().find(|key| key.name == name).and_then(|key| key.case.clone());
    assert!(case("rope_theta").is_some() && case("hidden_size").is_some());
    assert!(case("generation_config.json: repetition_penalty").is_some());
}

/// The format's own runtime rounds activations to BF16 beside BF16 weights, which one layer may not show, and twelve do.
#[test]
fn logits_from_gguf_are_compared_finely_only_where_its_runtime_computes_finely() {
    /// What that runtime reached with BF16 weights is less than this; so it did with quantised ones.
    const COARSE: f64 = 5e-2;
    let suite = suite();
    let mut tried = 0;
    for case in suite.cases() {
        let bounds = case.steps.iter().filter_map(|step| match step {
            // Exact arithmetic is asked for by the default, of loaders that declare more than this format.
            Step::Forward(forward) if forward.tolerance > 1e-3 => Some(forward.tolerance),
            _ => None,
        });
        let finest = bounds.fold(f64::INFINITY, f64::min);
        let mut sources = case.models.values();
        if finest >= COARSE || !sources.any(|source| source.format == Format::Gguf) {
            continue;
        }
        tried += 1;
        let main = case.models.values().find(|source| source.random.is_some());
        let dtype = main.and_then(|source| source.dtype);
        assert!(matches!(dtype, Some(DType::F32 | DType::F16)), "{}: {dtype:?}", case.id());
    }
    assert!(tried >= 10, "{tried}");
}
