//! The program as people and scripts meet it: bad input gets a clear error and the right exit
//! code, never a panic; reports survive; a printed repeat command repeats.

#[path = "cli/attest.rs"]
mod attest;
#[path = "cli/embed.rs"]
mod embed;
#[path = "cli/json.rs"]
mod json;
#[path = "cli/known.rs"]
mod known;
#[path = "cli/plan.rs"]
mod plan;
mod program;
#[path = "cli/seals.rs"]
mod seals;
#[path = "cli/signatures.rs"]
mod signatures;
#[path = "cli/submissions.rs"]
mod submissions;
#[path = "cli/unread.rs"]
mod unread;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

pub use program::{command, ran, weighbridge};

/// Runs, and wants this exit code and every one of these words on stderr.
pub fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let ran = weighbridge(arguments);
    assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.err);
    for word in words {
        assert!(ran.err.contains(word), "{arguments:?}: no {word:?} in {}", ran.err);
    }
}

/// A folder for one test.
pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A file with this text; its path.
pub fn at(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    fs::write(&path, text).expect("a file");
    path.display().to_string()
}

/// The smallest run there is, with its report in `out`.
pub fn small<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec![
        "certify",
        "--profile",
        "host",
        "--case",
        "F-PARSE-036::readme_smallest",
        "--out",
        out,
    ];
    all.extend(more);
    all
}

#[test]
fn what_is_mistyped_is_said() {
    refused(&["certify", "--lodar", "x"], 2, &["--lodar"]);
    refused(&["certify", "--profile", "half"], 2, &["unknown profile: half", "host"]);
    refused(&["certify", "--profile", "host", "--section", "XX"], 2, &["unknown section: XX"]);
    refused(&["certify", "--profile", "host", "--case", "F-NOPE"], 2, &["F-NOPE"]);
    refused(&["certify", "--profile", "host", "--device", "tpu"], 2, &["unknown device: tpu"]);
    refused(&["certify", "--profile", "host", "--section", "prase"], 2, &["did you mean parse?"]);
    refused(
        &["certify", "--profile", "host", "--case", "F-PARSE-36::readme_smallest"],
        2,
        &["unknown case", "did you mean F-PARSE-036::readme_smallest"],
    );
    refused(&["list", "--profile", "half"], 2, &["unknown profile: half (there are: full, host"]);
    for command in [&["certify", "--profile", "host"][..], &["run", "x", "--prompt", "y"]] {
        refused(&[command, &["--seed", "xyz"]].concat(), 2, &["--seed", "decimal", "0x"]);
    }
    for command in
        ["warm --registry x", "run x --prompt y", "chat x", "trace x", "embed x --text y"]
    {
        let words: Vec<&str> = command.split(' ').chain(["--device", "tpu"]).collect();
        refused(&words, 2, &["unknown device: tpu (expected cpu, cuda or cuda:N)"]);
    }
    refused(&["explain", "F-DTYPE-49"], 2, &["unknown name", "F-DTYPE-049"]);
    refused(&["audit", "--mutant", "honest"], 2, &["unknown mutant: honest", "--list"]);
    refused(&["audit", "--mutant", "half-zero"], 2, &["did you mean half-zeros?"]);
    refused(&["mutant", "honest"], 2, &["unknown mutant: honest"]);
}

#[test]
fn a_bad_manifest_is_named_with_its_place() {
    let folder = folder();
    let with = |path: &str, code, words: &[&str]| {
        refused(&["certify", "--profile", "host", "--loader", path], code, words);
    };
    with("/no/such/manifest.yaml", 2, &["/no/such/manifest.yaml"]);
    with(&folder.path().display().to_string(), 2, &["file"]);
    with(&at(&folder, "a.yaml", "name: x\ncommand: [true\n"), 2, &["a.yaml:"]);
    with(
        &at(&folder, "b.yaml", "name: x\ncommand: ['true']\nspeed: 9\n"),
        2,
        &["b.yaml:3", "speed"],
    );
    with(&at(&folder, "c.yaml", "name: x\ncommand: [no-such-program-here]\n"), 2, &["not found"]);
    // One that starts and is gone before it says hello.
    with(&at(&folder, "d.yaml", "name: x\ncommand: ['false']\n"), 5, &["cannot be tested"]);
}

#[test]
fn a_missing_model_or_folder_is_an_error() {
    let folder = folder();
    let empty = folder.path().display().to_string();
    refused(&["certify", "--profile", "host", "--model", "/no/such"], 2, &["--model", "/no/such"]);
    refused(&["certify", "--profile", "host", "--model", &empty], 2, &["model.safetensors"]);
    refused(&["certify", "--profile", "host", "--scratch", "/no/such"], 2, &["scratch"]);
}

#[test]
fn a_gguf_file_as_model_is_refused_with_what_to_name() {
    let folder = folder();
    let file = at(&folder, "model.gguf", "GGUF\u{3}\0\0\0");
    let alone = folder.path().display().to_string();
    for named in [&file, &alone] {
        let words = ["GGUF", "EMB-E", "safetensors", "remedy", "--section PUBLISHED", &file];
        refused(&["certify", "--profile", "host", "--model", named], 2, &words);
    }
    // Beside safetensors it does not count.
    at(&folder, "model.safetensors", "nothing");
    let ran = weighbridge(&["certify", "--profile", "host", "--model", &alone, "--case", "none"]);
    assert!(!ran.err.contains("GGUF"), "{}", ran.err);
}

#[test]
fn a_gpu_is_asked_for_and_never_replaced() {
    refused(&["certify", "--device", "cuda:99"], 5, &["[EMB-E001]", "ordinal 99"]);
    match weighbridge::gpu::Context::open(0) {
        Err(error) => {
            let words = error.to_string();
            refused(&["certify"], 5, &["[EMB-E001] CUDA_UNAVAILABLE", &words, "--profile host"]);
        }
        Ok(_) => {
            let ran = weighbridge(&["certify", "--case", "F-CUDA-013"]);
            assert_eq!(ran.code, Some(3), "{}", ran.err);
        }
    }
    let folder = folder();
    let out = folder.path().join("r").display().to_string();
    let ran = weighbridge(&["certify", "--device", "cpu", "--section", "IV", "--out", &out]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    assert!(ran.out.contains("incomplete"), "{}", ran.out);
}

#[test]
fn a_report_that_cannot_be_written_leaves_the_journal() {
    let folder = folder();
    let file = at(&folder, "file", "");
    refused(&small(&format!("{file}/r"), &[]), 5, &["file"]);
    // /dev/full takes a file's opening and refuses its bytes.
    let out = folder.path().join("full").display().to_string();
    std::os::unix::fs::symlink("/dev/full", format!("{out}.json")).expect("a link");
    refused(&small(&out, &[]), 5, &["space"]);
    let journal = format!("{out}.journal.ndjson");
    let again = folder.path().join("again").display().to_string();
    let ran = weighbridge(&["report", "--help"]);
    assert_eq!(ran.code, Some(0));
    let text = fs::read_to_string(&journal).expect("the journal is there");
    assert!(text.contains("F-PARSE-036::readme_smallest"), "{text}");
    let ran = weighbridge(&["merge", &journal, "--out", &again]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    assert!(Path::new(&format!("{again}.json")).exists());
}

#[test]
fn a_report_is_verified_and_a_tampered_one_is_not() {
    let folder = folder();
    let out = folder.path().join("r").display().to_string();
    let ran = weighbridge(&small(&out, &[]));
    assert_eq!(ran.code, Some(3), "a selection is incomplete: {}", ran.err);
    let json = format!("{out}.json");
    assert_eq!(weighbridge(&["verify", &json]).code, Some(0));
    assert_eq!(weighbridge(&["compare", &json, &json]).code, Some(0));
    let text = fs::read_to_string(&json).expect("a report");
    let tampered = at(
        &folder,
        "t.json",
        &text.replacen("\"fail\"", "\"pass\"", 1).replacen(
            "\"verdict\": \"pass\"",
            "\"verdict\": \"fail\"",
            1,
        ),
    );
    assert_eq!(weighbridge(&["verify", &tampered]).code, Some(1));
    let other = at(&folder, "o.json", &text.replace("\"commit\": \"", "\"commit\": \"0"));
    let merged = folder.path().join("m").display().to_string();
    refused(&["merge", &json, &other, "--out", &merged], 2, &["commit"]);
    refused(&["verify", "/no/such.json"], 2, &["/no/such.json"]);
}

#[test]
fn a_failing_case_prints_a_command_that_repeats_it() {
    let folder = folder();
    let exe = env!("CARGO_BIN_EXE_weighbridge");
    let manifest =
        at(&folder, "m.yaml", &format!("name: liar\ncommand: [{exe:?}, mutant, half-zeros]\n"));
    let out = folder.path().join("r").display().to_string();
    let ran = weighbridge(&[
        "certify",
        "--profile",
        "host",
        "--case",
        "F-DTYPE-047::",
        "--loader",
        &manifest,
        "--out",
        &out,
    ]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    // While the run goes on, its seed is secret.
    let live = ran.err.lines().find(|line| line.trim().starts_with("repeat"));
    assert!(live.is_some_and(|line| !line.contains("--seed")), "{}", ran.err);
    let line = ran.out.lines().find_map(|line| line.trim().strip_prefix("again: "));
    let words: Vec<&str> = line.expect("a command").split_whitespace().skip(1).collect();
    let seed = words.iter().skip_while(|word| **word != "--seed").nth(1).expect("a seed");
    assert!(seed.starts_with("0x") && seed.len() == 18, "{seed}");
    let again = folder.path().join("again").display().to_string();
    let repeated = weighbridge(&[&words[..], &["--out", &again]].concat());
    assert_eq!(repeated.code, Some(1), "{}", repeated.err);
}

#[test]
fn lists_explanations_and_completions_print() {
    let ran = weighbridge(&["explain", "F-DTYPE-049"]);
    assert!(ran.code == Some(0) && ran.out.contains("F64"), "{}", ran.out);
    let ran = weighbridge(&["list", "--untested", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    // Every requirement has a case; without the option all are listed.
    assert!(listed["requirements"].as_array().is_some_and(Vec::is_empty), "{}", ran.out);
    let ran = weighbridge(&["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    assert!(listed["requirements"].as_array().is_some_and(|rows| rows.len() >= 210));
    let one = |words: &[&str]| weighbridge(&[&["list", "--section"], words].concat()).out;
    assert_eq!(one(&["parsing"]), one(&["IV"]));
    assert_eq!(one(&["V", "--section", "parse"]), one(&["iv", "--section", "Element types"]));
    assert!(weighbridge(&["completions", "bash"]).out.contains("weighbridge"));
    let ran = weighbridge(&["version"]);
    assert_eq!(ran.out, weighbridge(&["--version"]).out);
    let wanted = concat!("weighbridge ", env!("CARGO_PKG_VERSION"), "\ncommit ");
    assert!(ran.code == Some(0) && ran.out.starts_with(wanted), "{}", ran.out);
    assert!(ran.out.contains("\nprotocol ") && ran.out.contains("weighbridge.report/2"));
    let help = weighbridge(&["--help"]).out;
    assert!(help.contains("version") && !help.contains("mutant  "), "{help}");
    let ran = weighbridge(&["doctor"]);
    assert!(ran.code == Some(0) && ran.out.contains("gpu"), "{}", ran.out);
}

#[test]
fn a_full_output_is_an_error_and_a_pipe_is_no_file() {
    for arguments in [&["doctor"][..], &["audit", "--list"], &["completions", "bash"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let ran = ran(command(arguments).stdout(full));
        assert_eq!(ran.code, Some(5), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains("space"), "{arguments:?}: {}", ran.err);
    }
    let folder = folder();
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).expect("a pipe");
    let fifo = fifo.display().to_string();
    refused(&["verify", &fifo], 2, &["not a regular file"]);
    refused(&["certify", "--profile", "host", "--model", &fifo], 2, &["not a regular file"]);
    refused(&["certify", "--profile", "host", "--patience", "0"], 2, &["--patience"]);
    refused(&["certify", "--profile", "host", "--jobs", "0"], 2, &["--jobs"]);
}

#[test]
fn a_decoder_answers_or_says_why_not() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/chat/model");
    let ask = |more: &[&str]| {
        let all = [&["run", model, "--no-gpu", "--prompt", "2+2="], more].concat();
        weighbridge(&all)
    };
    let plain = ask(&[]);
    assert_eq!((plain.code, plain.out.as_str()), (Some(0), "4\n"), "{}", plain.err);
    let told = ask(&["--json", "--verbose", "--system", "Talk like a sailor."]);
    let line: serde_json::Value = serde_json::from_str(&told.out).expect("one JSON object");
    assert_eq!(line["text"], "Aye! 4");
    assert_eq!((&line["used_gpu"], &line["contract"]), (&false.into(), &"checked".into()));
    assert_eq!(line["compute"], "exact");
    assert!(told.err.contains("backend: CPU"), "{}", told.err);
    let lifted = ask(&["--skip-contract", "--json"]);
    assert!(lifted.err.contains("contract gate is skipped"), "{}", lifted.err);
    assert!(lifted.out.contains("\"contract\":\"skipped\""), "{}", lifted.out);

    let named = weighbridge(&["run", model, "--device", "cpu", "--prompt", "2+2="]);
    assert_eq!((named.code, named.out.as_str()), (Some(0), "4\n"), "{}", named.err);
    let both = ["run", model, "--no-gpu", "--device", "cpu", "--prompt", "x"];
    refused(&both, 2, &["--no-gpu", "cannot be used with", "--device"]);

    let run = |prompt| ["run", model, "--no-gpu", "--prompt", prompt];
    refused(&run(" "), 6, &["EMB-E030", "an empty prompt", "remedy"]);
    refused(&run(&"What is 2+2? ".repeat(900)), 6, &["EMB-E030", "2048", "Shorten the prompt"]);
    refused(&["run", "/nowhere", "--no-gpu", "--prompt", "x"], 6, &["EMB-E008"]);
    refused(&["run", model, "--gpu", "--no-gpu", "--prompt", "x"], 2, &["--no-gpu"]);
    let rounds = ["run", model, "--no-gpu", "--compute", "bf16", "--prompt", "x"];
    refused(&rounds, 6, &["rounded to BF16", "a CUDA device", "cpu", "Compute the model exactly"]);
    if weighbridge::gpu::device_count().is_err() {
        refused(&["run", model, "--prompt", "x"], 6, &["EMB-E001", "libcuda"]);
        let rounds = ["chat", model, "--compute", "bf16"];
        refused(&rounds, 6, &["EMB-E001", "libcuda"]);
    }
    for (command, part) in [("validate", "sound"), ("inspect", "BF16"), ("trace", "no divergence")]
    {
        let more: &[&str] = if command == "trace" { &["--device", "cpu"] } else { &[] };
        let ran = weighbridge(&[&[command, model], more].concat());
        assert_eq!(ran.code, Some(0), "{command}: {}", ran.err);
        assert!(ran.out.contains(part), "{command}: {}", ran.out);
    }
}

#[test]
fn a_broken_decoder_is_refused_by_those_that_act_alone() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/chat/model");
    let folder = folder();
    for entry in fs::read_dir(&model).expect("the model") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("copied");
    }
    let config = fs::read_to_string(model.join("config.json")).expect("text");
    let other = config.replace("\"model_type\": \"qwen2\"", "\"model_type\": \"mamba\"");
    assert_ne!(config, other);
    let _path = at(&folder, "config.json", &other);
    let broken = folder.path().display().to_string();
    refused(&["run", &broken, "--no-gpu", "--prompt", "x"], 5, &["EMB-E026", "mamba"]);
    refused(&["chat", &broken, "--no-gpu"], 5, &["EMB-E026"]);
    let ran = weighbridge(&["validate", &broken]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.out.contains("contract     broken"), "{}", ran.out);
    assert_eq!(weighbridge(&["inspect", &broken]).code, Some(0));
}

#[test]
fn one_file_may_be_a_whole_model() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/chat/chat.gguf");
    let ran = weighbridge(&["run", model, "--no-gpu", "--prompt", "2+2="]);
    assert_eq!((ran.code, ran.out.trim()), (Some(0), "4"), "{}", ran.err);
    for (command, word) in [
        ("inspect", "model_type qwen2"),
        ("validate", "complete for qwen2"),
        ("trace", "layer.5.forward"),
    ] {
        let mut arguments = vec![command, model];
        if command == "trace" {
            arguments.push("--no-gpu");
        }
        let ran = weighbridge(&arguments);
        assert_eq!(ran.code, Some(0), "{command}: {}", ran.err);
        assert!(ran.out.contains(word), "{command}: no {word:?} in {}", ran.out);
    }
    // The name says the format, and the file is held to it.
    let folder = folder();
    let other = folder.path().join("model.apr");
    fs::copy(model, &other).expect("copied");
    let other = other.display().to_string();
    refused(&["run", &other, "--no-gpu", "--prompt", "Hello!"], 6, &["FOREIGN_FORMAT", "in APR"]);
}

#[test]
fn audits_in_parts_are_joined() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name).display().to_string();
    for mutant in ["metadata-made-up", "stream-torn"] {
        let audit = ["audit", "--claimed", "--mutant", mutant, "--out", &at(mutant)];
        let ran = weighbridge(&audit);
        let wanted = if mutant == "stream-torn" { 1 } else { 0 };
        assert_eq!(ran.code, Some(wanted), "{mutant}: {} {}", ran.out, ran.err);
    }
    let (first, second) = (at("metadata-made-up.json"), at("stream-torn.json"));
    let ran = weighbridge(&["audit", "--join", &first, &second, "--out", &at("joined")]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    for part in [
        "metadata-made-up  killed by F-PARSE-045::no_metadata",
        "stream-torn       not run: its lie is about GPU memory",
        "not reached: zeros-on-device",
        "1 of 2 mutants run, 1 killed, 0 survived",
    ] {
        assert!(ran.out.contains(part), "no {part:?} in {}", ran.out);
    }
    let text = fs::read_to_string(at("joined.txt")).expect("the text");
    assert_eq!(text, ran.out);
    // What was joined can be joined again, and gives the same but for the runs that it names.
    let again = weighbridge(&["audit", "--join", &at("joined.json")]);
    assert_eq!((again.code, &again.out), (Some(3), &ran.out));
    let old = fs::read_to_string(&first)
        .expect("JSON")
        .replace("weighbridge.audit/2", "weighbridge.audit/1");
    fs::write(at("old.json"), old).expect("written");
    refused(&["audit", "--join", &at("old.json")], 2, &["expected weighbridge.audit/2", "audit/1"]);
    refused(&["audit", "--join", &at("none.json")], 2, &["none.json", "No such file"]);
    let other = fs::read_to_string(&first).expect("JSON");
    let digest =
        other.split("\"binary\": \"").nth(1).and_then(|rest| rest.get(..64)).expect("a digest");
    fs::write(at("other.json"), other.replace(digest, &"0".repeat(64))).expect("written");
    refused(&["audit", "--join", &first, &at("other.json")], 2, &["other.json", "another binary"]);
}
