//! Loaders that misbehave, each in one way: this test program run with `fake MODE`, or with `fake MODE real`
//! for one that is the bundled reference in all else.
//!
//! Except where the mode says otherwise a fake introduces itself honestly and misbehaves on the
//! first `load`.

use super::{attacks, hostile};
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio, exit};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use weighbridge::contract::reply::{Done, Introduction, Reply};
use weighbridge::contract::request::Request;
use weighbridge::contract::wire::{Line, MAX_LINE, Question};
use weighbridge::contract::{Capability, Class, Code, Failure, Loader, PROTOCOL, Phase};

/// Longer than any test waits; short enough that a leaked process goes away.
const FOREVER: Duration = Duration::from_secs(60);

/// More than the patience of the tests for slow answers, and less than the allowance of a first one.
const SLOW: Duration = Duration::from_millis(3500);

/// Most of the patience of the test for a loader that dawdles.
const DAWDLING: Duration = Duration::from_millis(900);

/// Plays a loader until the end of input.
pub fn play(mode: &str, mut loader: Box<dyn Loader>) -> io::Result<()> {
    match mode {
        "banner_on_stdout" => say("Loading CUDA kernels...\n"),
        "dies_at_once" => exit(7),
        "deaf" => sleep(FOREVER),
        "ignores_sigterm" => ignore_sigterm(),
        _ => {}
    }
    for (at, line) in io::stdin().lock().lines().enumerate() {
        let Question { id, request } = serde_json::from_str(&line?)?;
        match (mode, at) {
            // Behind hello, as programs do that import late.
            ("slow_first", 1) | ("slow_second", 2) => sleep(SLOW),
            ("waits_at_pipes", _) => wait_at_pipe(&request),
            ("dawdles", _) => sleep(DAWDLING),
            ("rewrites_its_script", 1) => rewrite_script(),
            ("child_eats_memory", 1) => start_a_hog("200"),
            ("child_eats_little", 1) => start_a_hog("4"),
            _ => {}
        }
        if let Some(failure) = attacks::failed(mode, &request) {
            say(&text(id, Err(failure)));
            continue;
        }
        match &request {
            Request::Hello(hello) => match loader.hello(hello.clone()) {
                Ok(introduction) => greet(mode, id, introduction),
                Err(failure) => say(&text(id, Err(failure))),
            },
            Request::Load(_) => {
                let honest = text(id, loader.answer(request.clone()));
                attacks::before_answer(mode, &request);
                load(mode, id, &honest);
            }
            Request::Multiply(_) => {
                say(&text(id, Err(Failure::unsupported(Phase::Infer, "on second thoughts"))));
            }
            Request::Read(read) => {
                let honest = text(id, loader.answer(request.clone()));
                hostile::written(mode, &read.into)?;
                say(&honest);
            }
            Request::Bye(_) => {
                leave(mode, id);
                return Ok(());
            }
            _ => {
                let honest = text(id, loader.answer(request.clone()));
                attacks::before_answer(mode, &request);
                say(&honest);
            }
        }
    }
    Ok(())
}

/// Opens what is to be loaded, which waits without end where it is a FIFO that nobody writes to.
fn wait_at_pipe(request: &Request) {
    if let Request::Load(load) = request {
        let _opened = std::fs::File::open(&load.path);
    }
}

/// A process below this one that holds so many MiB.
fn start_a_hog(mib: &str) {
    let program = std::env::current_exe().unwrap_or_default();
    let hog = Command::new(program)
        .args(["hog", mib])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    if let Ok(mut hog) = hog {
        let mut ready = String::new();
        let out = hog.stdout.take().map(io::BufReader::new);
        let _held = out.map(|mut out| out.read_line(&mut ready));
        std::mem::forget(hog);
    }
}

/// What another process of this loader would run.
fn rewrite_script() {
    let folder = std::env::var_os("SCRIPTS").unwrap_or_default();
    // In a cell the folder can only be read.
    let _kept = std::fs::write(std::path::Path::new(&folder).join("script"), "another");
}

fn greet(mode: &str, id: u64, mut hello: Introduction) {
    match mode {
        "another_name" => hello.name = format!("fake-{}", hello.nonce),
        "odd_characters" => hello.name = "fake\u{fffe}\u{1b}[2J\u{0}]]>".to_owned(),
        "another_version" => hello.version = format!("1.{}", hello.nonce),
        "withdraws" => withdraw(&mut hello),
        "dies_at_hello" => exit(4),
        "wrong_nonce" => hello.nonce = "0".repeat(32),
        "wrong_protocol" => hello.protocol = 3,
        "branch_version" => hello.version = "Main".to_owned(),
        "no_version" => hello.version = " ".to_owned(),
        "missing_capability" => {
            let last = hello.capabilities.keys().next_back().copied();
            hello.capabilities.retain(|capability, _| Some(*capability) != last);
        }
        "unknown_capability" | "unexplained_capability" | "old_protocol" => {
            return say(&doctored(mode, id, hello));
        }
        "lies_about_capability" => {
            for support in hello.capabilities.values_mut() {
                (support.supported, support.reason) = (true, None);
            }
        }
        "refuses_protocol" => {
            let refused = Failure::new(
                Class::Refused,
                Phase::Request,
                Code::InvalidRequest,
                "request not understood: hello.protocol: expected 1",
            );
            return say(&text(id, Err(refused.expected(1, PROTOCOL))));
        }
        "refuses_hello" => {
            let (class, code) = (Class::Unsupported, Code::UnsupportedCapability);
            return say(&text(id, Err(Failure::new(class, Phase::Request, code, "not today"))));
        }
        _ => {}
    }
    say(&text(id, Ok(Reply::Hello(hello))));
}

/// The first process of a run declares widening, and no other does.
fn withdraw(hello: &mut Introduction) {
    let mark = std::env::temp_dir().with_file_name("greeted");
    if std::fs::File::create_new(mark).is_err()
        && let Some(support) = hello.capabilities.get_mut(&Capability::Widen)
    {
        (support.supported, support.reason) = (false, Some("no".to_owned()));
    }
}

/// A hello that the contract's own types cannot spell.
fn doctored(mode: &str, id: u64, hello: Introduction) -> String {
    let mut hello = json!({"id": id, "reply": {"hello": hello}});
    let capabilities = &mut hello["reply"]["hello"]["capabilities"];
    match mode {
        "unknown_capability" => capabilities["teleport"] = json!({"supported": true}),
        // The hello of a loader that was written for protocol 1.
        "old_protocol" => {
            let had = capabilities.as_object_mut().expect("an object");
            for (new, old) in [("embedding", "embed"), ("logits", "forward")] {
                let support = had.remove(new).expect("named");
                had.insert(old.to_owned(), support);
            }
            hello["reply"]["hello"]["protocol"] = json!(1);
        }
        _ => capabilities["gates"] = json!({"supported": false}),
    }
    format!("{hello}\n")
}

fn load(mode: &str, id: u64, honest: &str) {
    match mode {
        "wrong_id" => say(&honest.replacen(&format!("\"id\":{id}"), "\"id\":77", 1)),
        "wrong_verb" => say(&text(id, Ok(Reply::Unload(Done {})))),
        "duplicate" => say(&honest.repeat(2)),
        "late" => {
            sleep(Duration::from_secs(2));
            say(honest);
        }
        "split_line" => {
            let third = honest.len() / 3;
            say(&honest[..third]);
            sleep(Duration::from_millis(60));
            say(&honest[third..2 * third]);
            sleep(Duration::from_millis(60));
            say(&honest[2 * third..]);
        }
        "huge_line" => {
            let piece = "x".repeat(1 << 20);
            (0..=MAX_LINE >> 20).for_each(|_| say(&piece));
            sleep(FOREVER);
        }
        "line_of_the_limit" | "line_one_too_long" => {
            let length = MAX_LINE + usize::from(mode == "line_one_too_long");
            let spaces = " ".repeat(length - honest.len());
            let line = format!("{}{spaces}\n", honest.trim_end());
            // The judge has read all but the end before the end comes.
            say(&line[..MAX_LINE - 4]);
            sleep(Duration::from_millis(300));
            say(&line[MAX_LINE - 4..]);
        }
        "flood" => loop {
            say(&format!("{{\"id\":{id},\"progress\":{{\"done\":1,\"total\":2}}}}\n").repeat(1000));
        },
        "heartbeat" => {
            for done in 0..60 {
                say(&format!("{{\"id\":{id},\"progress\":{{\"done\":{done},\"total\":60}}}}\n"));
                sleep(Duration::from_millis(25));
            }
            say(honest);
        }
        "progress_beyond" => {
            say(&format!("{{\"id\":{id},\"progress\":{{\"done\":3,\"total\":2}}}}\n"));
        }
        "claims_all_memory" => say(&attacks::holds_everything(honest)),
        "non_json" => say("Segmentation fault (core dumped)\n"),
        "empty_line" => say("\n"),
        "two_answers_in_one" | "no_answer_in_one" | "unknown_field" => {
            let mut line: Value = serde_json::from_str(honest).unwrap_or_default();
            match mode {
                "two_answers_in_one" => line["progress"] = json!({"done": 1, "total": 2}),
                "no_answer_in_one" => line = json!({"id": id}),
                _ => line["reply"]["load"]["speed"] = json!("fast"),
            }
            say(&format!("{line}\n"));
        }
        "silent" | "ignores_sigterm" => sleep(FOREVER),
        "dies_at_load" => {
            eprintln!("about to go");
            exit(3);
        }
        "dies_midway" => {
            say(&honest[..honest.len() / 2]);
            exit(0);
        }
        "abort" => std::process::abort(),
        "closes_stdout_but_lives" => {
            close_stdout();
            sleep(FOREVER);
        }
        "forks_and_exits" => {
            leave_a_child();
            exit(0);
        }
        "answers_and_dies" => {
            say(honest);
            exit(5);
        }
        "noisy_stderr" => {
            let row = format!("{}\n", "n".repeat(1023));
            (0..10 << 10).for_each(|_| eprint!("{row}"));
            eprintln!("the end");
            say(honest);
        }
        "eats_memory" | "nibbles_memory" => {
            let size = if mode == "eats_memory" { 256 << 20 } else { 8 << 20 };
            // Written to, so that the pages are really there.
            drop(std::hint::black_box(vec![1_u8; size]));
            say(honest);
        }
        "garbage" => {
            let mut output = io::stdout().lock();
            let _ = output.write_all(&garbage(seed(), honest));
            let _ = output.flush();
            exit(0);
        }
        "one_leaf" => {
            say(&one_leaf(seed() as usize, honest));
        }
        _ => say(honest),
    }
}

/// What is random in a fake, from outside.
fn seed() -> u64 {
    std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0)
}

/// An honest answer with one value in it replaced by another.
pub fn one_leaf(seed: usize, honest: &str) -> String {
    let mut line: Value = serde_json::from_str(honest).unwrap_or_default();
    let mut leaves = Vec::new();
    collect(&mut line["reply"]["load"], &mut leaves);
    let count = leaves.len();
    if let Some(leaf) = leaves.into_iter().nth(seed % count.max(1)) {
        *leaf = match leaf.take() {
            Value::Number(number) => json!(number.as_u64().unwrap_or(1) * 3 + (1 << 24)),
            Value::String(text) => json!(format!("{text}x")),
            Value::Bool(flag) => json!(!flag),
            _ => json!("x"),
        };
    }
    format!("{line}\n")
}

fn collect<'v>(value: &'v mut Value, leaves: &mut Vec<&'v mut Value>) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(|one| collect(one, leaves)),
        // Times are a claim that a case of its own looks at.
        Value::Object(all) => {
            all.iter_mut()
                .filter(|(key, _)| *key != "times")
                .for_each(|(_, one)| collect(one, leaves));
        }
        leaf => leaves.push(leaf),
    }
}

fn leave(mode: &str, id: u64) {
    match mode {
        "refuses_bye" => {
            return say(&text(id, Err(Failure::unsupported(Phase::Request, "I stay"))));
        }
        "leaves_without_a_word" => return,
        _ => {}
    }
    say(&text(id, Ok(Reply::Bye(Done {}))));
    match mode {
        "stays" => sleep(FOREVER),
        "exits_with_2" => exit(2),
        "talks_after_bye" => say("and another thing\n"),
        "leaves_a_child" => leave_a_child(),
        "leaves_a_daemon" => leave_a_daemon(),
        "leaves_a_helper" => leave_a_helper(),
        "leaves_a_file" => drop(std::fs::write(std::env::temp_dir().join("unpacked"), "weights")),
        "leaves_shared_memory" => drop(std::fs::write("/dev/shm/weighbridge-fake", "weights")),
        "aborts_at_bye" => std::process::abort(),
        _ => {}
    }
}

/// It has another parent, another group and another session, and holds no pipe of the loader's.
fn leave_a_daemon() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "sleep 60 &"]).stdin(Stdio::null()).stdout(Stdio::null());
    let _status = shell.stderr(Stdio::null()).process_group(0).status();
}

/// It ends by itself a moment after the loader, as it sees the end of its input.
fn leave_a_helper() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "read line; sleep 0.3"]).stdin(Stdio::piped()).stdout(Stdio::null());
    if let Ok(child) = shell.stderr(Stdio::null()).spawn() {
        // Its input ends with this process.
        std::mem::forget(child);
    }
}

/// Bytes that look more or less like this reply.
pub fn garbage(seed: u64, honest: &str) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = match seed % 5 {
        0 => Vec::new(),
        4 => return odd_value(next()),
        // An honest answer, cut.
        1 => honest.as_bytes()[..next() as usize % (honest.len() - 1)].to_vec(),
        // An honest answer with one byte of the structure broken.
        2 => {
            let mut bytes = honest.as_bytes().to_vec();
            let at = next() as usize % (bytes.len() - 1);
            bytes[at] = if bytes[at] == b'\\' { b'/' } else { b'\\' };
            bytes
        }
        _ => b"{\"id\":2,\"reply\":".to_vec(),
    };
    if seed % 5 != 2 {
        bytes.extend((0..next() % 300).map(|_| next() as u8));
        bytes.push(0xff);
    }
    bytes.push(b'\n');
    bytes
}

/// Sound JSON that is no reply.
fn odd_value(choice: u64) -> Vec<u8> {
    let value = match choice % 8 {
        0 => json!(null),
        1 => json!(choice),
        2 => json!([{"id": 2}]),
        3 => json!({"id": 2, "reply": null}),
        4 => json!({"id": 2, "reply": {"load": {"handle": -1}}}),
        5 => json!({"id": 2, "reply": {"load": []}, "failure": {}}),
        6 => json!({"id": 2, "reply": {"load": {"handle": 1e300}}}),
        _ => return [vec![b'['; 100_000], b"\n".to_vec()].concat(),
    };
    format!("{value}\n").into_bytes()
}

fn leave_a_child() {
    // Inherits stdout and keeps it open.
    let child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn();
    eprintln!("child {}", child.map(|child| child.id()).unwrap_or(0));
}

fn close_stdout() {
    use std::os::fd::{FromRawFd, OwnedFd};
    // SAFETY: descriptor 1 is open and nothing writes to it afterwards.
    drop(unsafe { OwnedFd::from_raw_fd(1) });
}

fn ignore_sigterm() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: ignoring a signal installs no handler that could run.
    if unsafe { signal(Signal::SIGTERM, SigHandler::SigIgn) }.is_err() {
        exit(9);
    }
}

fn text(id: u64, answer: Result<Reply, Failure>) -> String {
    let mut text = serde_json::to_string(&Line::answer(id, answer)).unwrap_or_default();
    text.push('\n');
    text
}

/// Writes to stdout in one piece, and ends once nobody listens.
fn say(text: &str) {
    let mut output = io::stdout().lock();
    if output.write_all(text.as_bytes()).and_then(|()| output.flush()).is_err() {
        exit(0);
    }
}
