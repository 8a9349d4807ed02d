//! Attestations: what is signed follows from the report, and neither can be changed, moved or replaced unnoticed.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use super::{at, folder, refused, small, weighbridge};

/// Two key pairs that `openssl genpkey -algorithm ed25519` made for these tests alone.
pub const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIC49MJKCTCMaOMz4QTm+0bINfa+KUzx9INLog2MscMVx\n-----END PRIVATE KEY-----\n";
pub const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAzCS9PXECkHCoxYiI34R69YgsNkqM7TpnQnCH5aP2Uqo=\n-----END PUBLIC KEY-----\n";
pub const OTHER: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAgh8DdsXl6ORgD3J5AdKLX+/adsLWMBzFTDZfKiLHqP8=\n-----END PUBLIC KEY-----\n";

/// A key pair over P-256, the kind that cosign makes, by `openssl genpkey -algorithm EC` for these tests alone.
const ECDSA: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgV2NYcXuDgW0J9vyM
VY2qceunxvucjHl0g7cuP/z71FChRANCAARrb3PZ/9E2/d3s0HHpN/oXcd9rZMcz
IbrADcU8aVEf90Sd8UpJ4u+c1jBiUki21iyAcRsSSQCZpFMwy65Hggyr
-----END PRIVATE KEY-----
";
const ECDSA_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEa29z2f/RNv3d7NBx6Tf6F3Hfa2TH
MyG6wA3FPGlRH/dEnfFKSeLvnNYwYlJIttYsgHEbEkkAmaRTMMuuR4IMqw==
-----END PUBLIC KEY-----
";

/// A report of one case, made once.
fn report() -> &'static str {
    static REPORT: OnceLock<String> = OnceLock::new();
    REPORT.get_or_init(|| {
        let folder = folder();
        let prefix = folder.path().join("report").display().to_string();
        let ran = weighbridge(&small(&prefix, &[]));
        assert_eq!(ran.code, Some(3), "one case alone is incomplete: {}", ran.err);
        fs::read_to_string(format!("{prefix}.json")).expect("a report")
    })
}

/// A report with its attestations: paths of the report, of them, and of the public key.
struct Signed {
    folder: TempDir,
    report: String,
    attestations: String,
    public: String,
}

fn signed() -> Signed {
    let folder = folder();
    let path = at(&folder, "report.json", report());
    let key = at(&folder, "key.pem", KEY);
    let ran = weighbridge(&["attest", &path, "--key", &key]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let public = at(&folder, "key.pub", PUBLIC);
    let attestations = folder.path().join("report.intoto.jsonl").display().to_string();
    Signed { folder, report: path, attestations, public }
}

fn verify<'a>(signed: &'a Signed, more: &[&'a str]) -> Vec<&'a str> {
    let Signed { report, attestations, public, .. } = signed;
    [&["verify", report, "--attestation", attestations, "--key", public], more].concat()
}

/// Changes the text of a file.
fn edit(path: &str, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("readable");
    assert!(text.contains(from), "no {from:?} in {path}");
    fs::write(path, text.replacen(from, to, 1)).expect("writable");
}

#[test]
fn a_signed_report_is_verified_and_says_whose_word_it_is() {
    let signed = signed();
    let ran = weighbridge(&verify(&signed, &[]));
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(
        ran.out.contains("signed: 3 statements") && ran.out.contains("own word"),
        "{}",
        ran.out
    );
    let ran = weighbridge(&verify(&signed, &["--json"]));
    let value: Value = serde_json::from_str(&ran.out).expect("one JSON object");
    assert_eq!(value["attested"]["statements"], 3);
    let Signed { report, attestations, public, .. } = &signed;
    let page =
        ["report", "--from", report, "--format", "html", "--attestation", attestations, "--key"];
    let ran = weighbridge(&[&page[..], &[public]].concat());
    assert!(ran.out.contains("3 statements by the key"), "{}", ran.err);
    fs::write(public, OTHER).expect("written");
    refused(&[&page[..], &[public]].concat(), 2, &["no signature of this envelope is by the key"]);
}

#[test]
fn what_only_a_signature_protects_is_protected_by_it() {
    // Each of these agrees with the rest of the report, so only the signature shows it.
    for (from, to) in [
        ("\"loader\": \"weighbridge-reference\"", "\"loader\": \"my-loader\""),
        ("\"cores\": ", "\"cores\": 1"),
        ("\"started\": \"20", "\"started\": \"21"),
        ("\"gpu\": null", "\"gpu\": \"NVIDIA H100 80GB HBM3\""),
    ] {
        let signed = signed();
        edit(&signed.report, from, to);
        assert_eq!(weighbridge(&["verify", &signed.report]).code, Some(0), "{from} shows anyway");
        let ran = weighbridge(&verify(&signed, &[]));
        assert_eq!(ran.code, Some(1), "{from}: {}", ran.out);
        assert!(ran.out.contains("attestation: ") && ran.out.contains("sha256"), "{}", ran.out);
    }
}

#[test]
fn envelopes_that_are_changed_left_out_repeated_or_by_another_key_are_noticed() {
    type Change = fn(&Signed);
    let lines = |signed: &Signed| -> Vec<String> {
        let text = fs::read_to_string(&signed.attestations).expect("readable");
        text.lines().map(str::to_owned).collect()
    };
    let first = lines(&signed());
    assert_eq!(first.len(), 3);
    let changes: [(&str, Change); 6] = [
        ("no signature of this envelope", |signed| {
            fs::write(&signed.public, OTHER).expect("written")
        }),
        ("no signature of this envelope", |signed| {
            edit(&signed.attestations, "\"payload\":\"eyJ", "\"payload\":\"eyK")
        }),
        ("there is no such statement", |signed| {
            let text = fs::read_to_string(&signed.attestations).expect("readable");
            let (_, rest) = text.split_once('\n').expect("lines");
            fs::write(&signed.attestations, rest).expect("written");
        }),
        ("2 statements of it", |signed| {
            let text = fs::read_to_string(&signed.attestations).expect("readable");
            let (line, _) = text.split_once('\n').expect("lines");
            fs::write(&signed.attestations, format!("{line}\n{text}")).expect("written");
        }),
        ("not a DSSE envelope", |signed| fs::write(&signed.attestations, "{}\n").expect("written")),
        ("no statement of this project", |signed| {
            fs::write(&signed.attestations, "").expect("written")
        }),
    ];
    for (words, change) in changes {
        let signed = signed();
        change(&signed);
        let ran = weighbridge(&verify(&signed, &[]));
        assert_eq!(ran.code, Some(1), "{words}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(words), "no {words:?} in {}", ran.out);
    }
}

#[test]
fn only_a_report_that_agrees_with_itself_is_signed_and_bad_keys_are_told() {
    let signed = signed();
    let key = Path::new(&signed.report).with_file_name("key.pem").display().to_string();
    refused(
        &["attest", &signed.report, "--key", &signed.public],
        2,
        &["private key", "BEGIN PUBLIC KEY", "openssl genpkey"],
    );
    refused(&["attest", &signed.report, "--key", "/nowhere"], 2, &["/nowhere", "remedy"]);
    refused(&["verify", &signed.report, "--key", &key], 2, &["--attestation"]);
    let words = ["verify", &signed.report, "--attestation", &signed.attestations, "--key", &key];
    refused(&words, 2, &["public key", "openssl pkey"]);
    edit(&signed.report, "\"held\": true", "\"held\": false");
    refused(&["attest", &signed.report, "--key", &key], 2, &["does not agree with itself"]);
    let other = at(&signed.folder, "other.json", "{}");
    refused(&["attest", &other, "--key", &key], 2, &["other.json"]);
}

#[test]
fn sigstore_bundles_by_an_ecdsa_key_hold_together_and_not_one_by_one() {
    let folder = folder();
    let path = at(&folder, "report.json", report());
    let (key, public) = (at(&folder, "key.pem", ECDSA), at(&folder, "key.pub", ECDSA_PUBLIC));
    let ran = weighbridge(&["attest", &path, "--key", &key, "--sigstore"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let bundle = |name: &str| folder.path().join(format!("report.{name}.sigstore.json"));
    let names =
        ["test-result", "svr", "certificate"].map(|name| bundle(name).display().to_string());
    let mut words = vec!["verify", path.as_str(), "--key", &public];
    for (number, name) in names.iter().enumerate() {
        words.extend(["--attestation", name]);
        let ran = weighbridge(&words);
        assert_eq!(ran.code, Some(if number == 2 { 0 } else { 1 }), "{}{}", ran.out, ran.err);
    }
    let text = fs::read_to_string(&names[0]).expect("readable");
    let read: Value = serde_json::from_str(&text).expect("one JSON object");
    assert_eq!(read["mediaType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
    let other = at(&folder, "other.pub", OTHER);
    let named = ["verify", &path, "--key", &other, "--attestation", &names[0]];
    assert!(weighbridge(&named).out.contains("no signature of this envelope is by the key"));
}
