//! What fuzzers do for hours, for a moment: the checks of `fuzz/` over changed headers, seals and files of other formats.

#[path = "../fuzz/src/checks.rs"]
mod checks;

#[path = "../fuzz/src/judge_checks.rs"]
mod judge_checks;
#[path = "../fuzz/src/seeds.rs"]
mod seeds;

use proptest::prelude::*;
use weighbridge::contract::request::Format;

use self::seeds::{HEADERS, file};

/// Changes some bytes: another value, one left out, one twice, or a piece of another place.
fn change(bytes: &mut Vec<u8>, changes: &[(prop::sample::Index, u8, u8)]) {
    for (at, kind, byte) in changes {
        if bytes.is_empty() {
            return;
        }
        let at = at.index(bytes.len());
        match kind % 5 {
            0 => bytes[at] = *byte,
            1 => bytes[at] ^= 1 << (byte % 8),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, bytes[at]),
            _ => {
                let from = *byte as usize * bytes.len() / 256;
                let piece: Vec<u8> = bytes[from..].iter().take(12).copied().collect();
                bytes.splice(at..at, piece);
            }
        }
    }
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<u8>()), 1..5)
}

#[test]
fn what_changes_begin_with_is_accepted() {
    for (text, data) in HEADERS {
        assert!(checks::header(&file(text.as_bytes(), data)), "{text}");
    }
    assert!(checks::seal(&seeds::seal()));
    let chat = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/chat/chat.gguf");
    assert!(checks::foreign(Format::Gguf, &std::fs::read(chat).expect("the small chat model")));
    assert!(checks::foreign(Format::Gguf, &seeds::gguf()));
    assert!(checks::apr(&seeds::apr()));
    assert!(seeds::case_files().iter().all(|text| judge_checks::case_file(text)));
    assert!(seeds::manifests().iter().any(|text| judge_checks::manifest(text)));
    assert!(seeds::lines().iter().filter(|line| judge_checks::wire_line(line)).count() >= 3);
    assert!(seeds::reports().iter().all(|text| judge_checks::report(text)));
    let alike = seeds::templates().iter().filter(|text| judge_checks::chat_template(text)).count();
    assert!(alike > 100, "{alike}");
}

/// One of a target's seeds, with changes.
fn changed(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (prop::sample::select(seeds), changes()).prop_map(|(mut bytes, changes)| {
        change(&mut bytes, &changes);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn headers(which in 0..HEADERS.len(), changes in changes(), prefix in any::<bool>()) {
        let (text, data) = HEADERS[which];
        let mut bytes = text.as_bytes().to_vec();
        if prefix {
            // The length counts as well.
            bytes = file(&bytes, data);
            change(&mut bytes, &changes);
        } else {
            change(&mut bytes, &changes);
            bytes = file(&bytes, data);
        }
        checks::header(&bytes);
    }

    #[test]
    fn offsets_and_shapes(
        tensors in prop::collection::vec((0u64..3, 0u64..3, 0u64..7, 0u64..7), 0..4), data in 0usize..8,
    ) {
        let entries: Vec<String> = tensors.iter().enumerate().map(|(index, (rows, columns, begin, end))| {
            format!(r#""{index}":{{"dtype":"U8","shape":[{rows},{columns}],"data_offsets":[{begin},{end}]}}"#)
        }).collect();
        checks::header(&file(format!("{{{}}}", entries.join(",")).as_bytes(), data));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn files_in_apr(changes in changes()) {
        let mut file = seeds::apr();
        change(&mut file, &changes);
        checks::apr(&file);
    }

    #[test]
    fn seals(changes in changes()) {
        let mut text = seeds::seal();
        change(&mut text, &changes);
        checks::seal(&text);
    }

    #[test]
    fn files_in_gguf(file in changed(vec![seeds::gguf()])) {
        checks::foreign(Format::Gguf, &file);
    }

    #[test]
    fn case_files(text in changed(seeds::case_files())) {
        judge_checks::case_file(&text);
    }

    #[test]
    fn manifests(text in changed(seeds::manifests())) {
        judge_checks::manifest(&text);
    }

    #[test]
    fn lines_of_the_contract(text in changed(seeds::lines())) {
        judge_checks::wire_line(&text);
    }

    #[test]
    fn chat_templates(text in changed(seeds::templates())) {
        judge_checks::chat_template(&text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn reports(text in changed(seeds::reports())) {
        judge_checks::report(&text);
    }
}
