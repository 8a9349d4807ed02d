//! Submissions and the registry: only what holds, is signed, and leaves nothing open gets in.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::attest::{KEY, OTHER, PUBLIC};
use super::{at, folder, refused, weighbridge};

/// A whole report of a small class, signed.
fn signed(folder: &TempDir) -> [String; 4] {
    let prefix = folder.path().join("report").display().to_string();
    let run =
        ["certify", "--class", "sealed", "--device", "cpu", "--jobs", "2", "--quiet", "--out"];
    let told = weighbridge(&[&run[..], &[&prefix]].concat());
    assert_eq!(told.code, Some(0), "{}", told.err);
    let report = format!("{prefix}.json");
    // A judge from a checkout with changes is an open end; here it stands for a released one.
    let text = fs::read_to_string(&report).expect("a report");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let subject = |name: &str| value["record"]["subject"][name].as_str().expect("a text");
    let text = text
        .replace(subject("binary"), &"b1".repeat(32))
        .replace(subject("commit"), "0123456789ab");
    fs::write(&report, text).expect("written");
    let (key, public) = (at(folder, "key.pem", KEY), at(folder, "key.pub", PUBLIC));
    let told = weighbridge(&["attest", &report, "--key", &key]);
    assert_eq!(told.code, Some(0), "{}", told.err);
    [report, format!("{prefix}.intoto.jsonl"), public, key]
}

fn words<'a>(signed: &'a [String; 4], out: &'a str, contact: &'a str) -> Vec<&'a str> {
    let [report, attestations, public, _] = signed;
    let files = ["submit", report, "--attestation", attestations, "--key", public, "--out", out];
    let facts = ["--contact", contact, "--source", "https://plain.test", "--file-system", "ext4"];
    [&files[..], &facts].concat()
}

#[test]
fn a_submission_is_made_checked_countersigned_and_listed() {
    let folder = folder();
    let signed = signed(&folder);
    let all = folder.path().join("all");
    let one = all.join("reference").display().to_string();
    refused(&words(&signed, &one, "tbd"), 2, &["open ends", "contact is \"tbd\""]);
    assert!(!all.exists(), "a refusal leaves nothing");
    let made = weighbridge(&words(&signed, &one, "anna@plain.test"));
    assert_eq!(made.code, Some(0), "{}", made.err);
    refused(&words(&signed, &one, "anna@plain.test"), 2, &["not empty"]);
    let told = weighbridge(&["verify-submission", &one]);
    assert_eq!(told.code, Some(0), "{}", told.out);
    assert!(
        told.out.contains("sealed 1.0") && told.out.contains("this program's suite"),
        "{}",
        told.out
    );

    // Without the registry's signature it is left out.
    let (all, site) = (all.display().to_string(), folder.path().join("site"));
    let out = site.display().to_string();
    let registry = ["registry", &all, "--key", &signed[2], "--out", &out];
    let told = weighbridge(&registry);
    assert_eq!(told.code, Some(1), "{}", told.err);
    assert!(told.out.contains("not counter-signed"), "{}", told.out);
    let told = weighbridge(&["verify-submission", &one, "--countersign", &signed[3], "--json"]);
    let value: Value = serde_json::from_str(&told.out).expect("one JSON object");
    assert_eq!(value["holds"], true);
    let told = weighbridge(&registry);
    assert_eq!(told.code, Some(0), "{}", told.out);
    let page = fs::read_to_string(site.join("index.html")).expect("an index");
    assert!(page.contains("sealed 1.0 earned") && page.contains("<td>current</td>"), "{page}");
    let badge = fs::read_to_string(site.join("reference.svg")).expect("a badge");
    assert!(badge.contains("sealed 1.0"), "{badge}");
    let page = fs::read_to_string(site.join("reference.html")).expect("a page");
    assert!(page.contains("3 statements by the key"));

    // A folder's name becomes that of a page, so it must be plain.
    let odd = folder.path().join("all").join("a page");
    fs::create_dir(&odd).expect("a folder");
    for entry in fs::read_dir(&one).expect("files") {
        let path = entry.expect("a file").path();
        fs::copy(&path, odd.join(path.file_name().expect("a name"))).expect("copied");
    }
    let told = weighbridge(&registry);
    assert_eq!(told.code, Some(1), "{}", told.out);
    assert!(told.out.contains("the folder's name is no plain name"), "{}", told.out);
    fs::remove_dir_all(&odd).expect("removed");

    // Another registry's key does not count, and nothing that is changed afterwards gets in.
    let other = at(&folder, "other.pub", OTHER);
    let told = weighbridge(&["registry", &all, "--key", &other, "--out", &out]);
    assert!(
        told.code == Some(1) && told.out.contains("no signature of this envelope"),
        "{}",
        told.out
    );
    changes_are_noticed(Path::new(&one));
}

/// Each changed, added or removed file is named.
fn changes_are_noticed(one: &Path) {
    let check = |words: &str| {
        let told = weighbridge(&["verify-submission", &one.display().to_string()]);
        assert_eq!(told.code, Some(1), "{words}: {}", told.out);
        assert!(told.out.contains(words), "no {words:?} in {}", told.out);
    };
    for name in ["report.json", "report.md", "README.md", "report.intoto.jsonl", "key.pub"] {
        let whole = fs::read(one.join(name)).expect("a file");
        fs::write(one.join(name), [&whole[..], b"\n"].concat()).expect("written");
        check(&format!("{name} was changed"));
        fs::remove_file(one.join(name)).expect("removed");
        check(&format!("{name} is missing"));
        fs::write(one.join(name), whole).expect("written");
    }
    fs::write(one.join("more.txt"), "x").expect("written");
    check("\"more.txt\" is not a file of the submission");
    fs::remove_file(one.join("more.txt")).expect("removed");
    let manifest = one.join("submission.json");
    let whole = fs::read_to_string(&manifest).expect("a file");
    fs::write(&manifest, whole.replace("\"parallelism\": 1", "\"parallelism\": 0"))
        .expect("written");
    let told = weighbridge(&["verify-submission", &one.display().to_string()]);
    assert_eq!(told.code, Some(0), "what only the registry's signature protects: {}", told.out);
    fs::write(&manifest, whole.replace("\"card\": \"", "\"card\": \"NVIDIA H100 "))
        .expect("written");
    check("the product is not the one that the report is about");
    fs::write(&manifest, whole.replace("weighbridge.submission/1", "weighbridge.submission/9"))
        .expect("written");
    check("submission.json has the form \"weighbridge.submission/9\", expected");
    fs::write(&manifest, whole.replace("\"key.pub\"", "\"other.pub\"")).expect("written");
    check("submission.json does not name key.pub");
    fs::write(&manifest, "[]").expect("written");
    check("submission.json is not in its form");
    fs::write(&manifest, &whole).expect("written");
    what_its_files_say_is_read(one, &manifest, &whole);
    fs::write(&manifest, whole).expect("written");
}

/// Files that are the submitted ones by their digests, and do not say what a submission needs.
fn what_its_files_say_is_read(one: &Path, manifest: &Path, whole: &str) {
    let mut all: Value = serde_json::from_str(whole).expect("JSON");
    let mut with = |name: &str, text: &[u8], words: &str| {
        let path = one.join(name);
        let before = fs::read(&path).ok();
        let mut file = fs::File::create(&path).expect("a file");
        std::io::Write::write_all(&mut file, text).expect("written");
        let files = all["files"].clone();
        all["files"][name] = Value::from(sha256(text));
        fs::write(manifest, all.to_string()).expect("written");
        let told = weighbridge(&["verify-submission", &one.display().to_string()]);
        assert_eq!(told.code, Some(1), "{words}: {}", told.out);
        assert!(told.out.contains(words), "no {words:?} in {}", told.out);
        all["files"] = files;
        match before {
            Some(before) => fs::write(&path, before).expect("written"),
            None => fs::remove_file(&path).expect("removed"),
        }
    };
    with("report.json", b"{}", "report.json");
    with("report.intoto.jsonl", b"{}\n", "report.intoto.jsonl: envelope 1: not a DSSE envelope");
    with("report.intoto.jsonl", b"\xff\xfe", "report.intoto.jsonl is not UTF-8");
    with("key.pub", b"no key", "key.pub");
    with("key.pub", OTHER.as_bytes(), "no signature of this envelope is by the key");
    with("journal.ndjson", b"{\"header\":1}\n", "journal.ndjson");
    let report = fs::read(one.join("report.json")).expect("a report");
    with("journal.ndjson", &report, "journal.ndjson is no journal");
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
