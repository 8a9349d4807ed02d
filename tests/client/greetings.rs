//! Loaders that misbehave before or at `hello`.

use libtest_mimic::{Failed, Trial};
use weighbridge::contract::Capability;
use weighbridge::harness::client::{Bounds, Broken, Client, Gpus, Pipe, Spawn, greet};

use super::{Fake, LONG, same, trial};

/// What the author of a loader that speaks the protocol before this one reads.
const OLD: &str = "the loader speaks protocol 1, and this judge needs 2: `embed` is now `forward`, its reply \
                   holds a tagged `output`, a head is `embedding`, `token_states` or `logits`, and the \
                   capabilities `embed` and `forward` are now `embedding` and `logits`; see \"What \
                   changed\" in adapters/README.md";

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("hello/environment", environment),
        trial("hello/honest", honest),
        trial("hello/left_out", left_out),
        trial("hello/no_such_program", no_such_program),
        trial("hello/wrong_nonce", wrong_nonce),
    ];
    for (mode, expected) in [
        ("dies_at_once", "the loader exited without an answer: status 7"),
        ("dies_at_hello", "the loader exited without an answer: status 4"),
        (
            "wrong_protocol",
            "the loader speaks protocol 3, and this judge needs 2: use a judge that speaks 3",
        ),
        ("old_protocol", OLD),
        ("refuses_protocol", OLD),
        (
            "branch_version",
            "the answer to hello does not identify the loader: \
             the version of honest does not identify a build: Main",
        ),
        (
            "no_version",
            "the answer to hello does not identify the loader: the version of honest is empty",
        ),
        (
            "unexplained_capability",
            "the answer to hello has no valid list of capabilities: \
             capability unsupported without a reason: gates",
        ),
        ("refuses_hello", "the loader refused hello: not today"),
    ] {
        trials.push(Trial::test(format!("hello/{mode}"), move || {
            same(refusal(mode)?.to_string().as_str(), expected)
        }));
    }
    // The banner comes before or after the judge's first look: two names for one fault.
    for (mode, words) in [
        ("banner_on_stdout", ["was it meant for stderr?): ", "Loading CUDA kernels..."]),
        ("unknown_capability", ["not a line of the protocol", "unknown variant `teleport`"]),
    ] {
        trials.push(Trial::test(format!("hello/{mode}"), move || {
            let reason = refusal(mode)?.to_string();
            same((words.map(|word| reason.contains(word)), reason.lines().count()), ([true; 2], 1))
        }));
    }
    trials
}

/// A capability that is left out is not claimed, and the loader is tested all the same.
fn left_out() -> Result<(), Failed> {
    let mut fake = Fake::start("missing_capability")?;
    let scratch = fake.scratch.path().to_path_buf();
    let met = greet(fake.client.as_mut(), &scratch, &Bounds::within(LONG));
    let introduction = met.map_err(|broken| broken.to_string())?;
    let named = |one| introduction.capabilities.contains_key(&one);
    same((named(Capability::ModelHeadDim), named(Capability::ModelProjection)), (false, true))
}

fn refusal(mode: &str) -> Result<Broken, Failed> {
    let mut fake = Fake::start(mode)?;
    let scratch = fake.scratch.path().to_path_buf();
    match greet(fake.client.as_mut(), &scratch, &Bounds::within(LONG)) {
        Ok(introduction) => Err(format!("accepted: {introduction:?}").into()),
        Err(broken) => Ok(broken),
    }
}

fn honest() -> Result<(), Failed> {
    let mut fake = Fake::start("honest")?;
    same(fake.client.spawn_to_hello(), None)?;
    fake.greet()?;
    let first = fake.client.spawn_to_hello().ok_or("no time")?;
    println!("from spawn to hello: {first:?}");
    let ending = fake.client.end(LONG);
    same(ending.complaint, None)?;
    same(ending.exit, Some(weighbridge::harness::client::Exit::Code(0)))
}

fn wrong_nonce() -> Result<(), Failed> {
    match refusal("wrong_nonce")? {
        Broken::WrongNonce { expected, found } => {
            same(found, "0".repeat(32))?;
            same((expected.len(), expected.bytes().all(|b| b.is_ascii_hexdigit())), (32, true))
        }
        other => Err(format!("found {other:?}").into()),
    }
}

fn no_such_program() -> Result<(), Failed> {
    let scratch = tempfile::tempdir()?;
    let why = "program not found: no-such-loader".to_owned();
    let started = Pipe::start(&Spawn::new("no-such-loader", scratch.path()));
    same(started.err(), Some(Broken::NotStarted { why }))
}

fn environment() -> Result<(), Failed> {
    // A shell that prints its environment is no loader; what it printed is quoted.
    let scratch = tempfile::tempdir()?;
    let mut spawn = Spawn::new("/bin/sh", scratch.path());
    spawn.args =
        vec!["-c".into(), r#"echo "[$CUDA_VISIBLE_DEVICES] $KEY $(ulimit -c)"; read x"#.into()];
    spawn.set.insert("KEY".into(), "value".into());
    spawn.gpus = Gpus::Hidden;
    let mut client = Pipe::start(&spawn)?;
    let reason = greet(&mut client, scratch.path(), &Bounds::within(LONG));
    let reason = reason.err().ok_or("accepted")?.to_string();
    same(reason.ends_with(": [] value 0"), true)
}
