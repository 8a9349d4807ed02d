//! What commands show on a terminal: bars that move while they work, colours, and the same end as elsewhere.

mod program;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::thread;

use nix::pty::{Winsize, openpty};
use program::{command, weighbridge};

/// A terminal of 200 columns.
const SIZE: Winsize = Winsize { ws_row: 50, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };

/// Runs the program on a terminal. Returns its exit code, and everything that it wrote there.
fn on_terminal(words: &[&str], term: &str) -> (Option<i32>, String) {
    on_terminal_with(words, term, "")
}

/// The same, and somebody types a text there.
fn on_terminal_with(words: &[&str], term: &str, typed: &str) -> (Option<i32>, String) {
    let pair = openpty(&SIZE, None).expect("a terminal");
    let side = || Stdio::from(pair.slave.try_clone().expect("one more descriptor"));
    let mut command = command(words);
    command.env("TERM", term).env_remove("NO_COLOR").env("CUDA_VISIBLE_DEVICES", "");
    let mut child = command.stdin(side()).stdout(side()).stderr(side()).spawn().expect("started");
    // The command and this test hold the other side; reading ends when nobody does.
    drop((command, pair.slave));
    let mut master = File::from(pair.master);
    master.write_all(typed.as_bytes()).expect("typed");
    let reader = thread::spawn(move || {
        let (mut all, mut piece) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = master.read(&mut piece) {
            all.extend_from_slice(&piece[..read]);
        }
        all
    });
    let status = child.wait().expect("ended");
    let text = String::from_utf8_lossy(&reader.join().expect("read")).into_owned();
    assert!(!text.contains("panicked"), "{text}");
    (status.code(), text)
}

#[test]
fn a_run_shows_a_bar_and_each_failure_in_red() {
    let scratch = tempfile::tempdir().expect("a folder");
    let (manifest, out) = (scratch.path().join("m.yaml"), scratch.path().join("report"));
    let exe = env!("CARGO_BIN_EXE_weighbridge");
    fs::write(&manifest, format!("name: lies\ncommand: ['{exe}', mutant, sine-output]\n"))
        .expect("written");
    let (manifest, out) = (manifest.display().to_string(), out.display().to_string());
    let words = [
        "certify",
        "--profile",
        "host",
        "--loader",
        &manifest,
        "--case",
        "ENC-001::bert",
        "--out",
        &out,
    ];
    let (code, text) = on_terminal(&words, "xterm");
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("failed, ") && text.contains(" left"),
        "no bar beside the counts: {text}"
    );
    assert!(text.contains("\u{1b}[1;31mfail"), "no failure in red: {text}");
    // A terminal that cannot move its cursor gets neither.
    let (code, text) = on_terminal(&words, "dumb");
    assert_eq!(code, Some(1), "{text}");
    assert!(!text.contains('\u{1b}') && text.contains("fail"), "{text}");
}

#[test]
fn a_warm_start_shows_a_bar_for_each_model_and_then_the_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = weighbridge(&["models", &folder.path().display().to_string(), "--scale", "small"]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    let registry = folder.path().join("registry.yaml").display().to_string();
    let (code, text) = on_terminal(&["warm", "--registry", &registry, "--device", "cpu"], "xterm");
    assert_eq!(code, Some(0), "{text}");
    let (bars, table) = text.rsplit_once("max diff").expect("a table");
    // Each bar is drawn before its model loads; how many of the later phases are drawn is a matter of time.
    for model in (1..=13).map(|model| format!("E{model} ")) {
        let bar = bars.lines().find(|line| line.contains(&model) && line.contains("pending"));
        assert!(bar.is_some(), "no bar of {model}: {bars}");
    }
    assert!(table.contains("13 models warm on cpu"), "{table}");
    assert!(table.contains("every byte hashed"), "{table}");
}

#[test]
fn a_seal_shows_how_far_it_has_come() {
    let folder = tempfile::tempdir().expect("a folder");
    let weights =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/chat/model/model.safetensors");
    let own = folder.path().join("model.safetensors");
    fs::copy(weights, &own).expect("copied");
    let (code, text) = on_terminal(&["seal", &own.display().to_string()], "xterm");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("sealing") && text.contains("pin: "), "{text}");
}

#[test]
fn a_conversation_has_a_prompt_for_each_turn() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/chat/model");
    let words = ["chat", &model.display().to_string(), "--no-gpu"];
    let (code, text) = on_terminal_with(&words, "xterm", "2+2=\n\u{4}");
    assert_eq!(code, Some(0), "{text}");
    // What is typed, a prompt and its answer, and a prompt that nobody answered.
    assert_eq!(text, "2+2=\r\n> 4\r\n> ");
}
