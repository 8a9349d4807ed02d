//! The process that reads a stranger's tokenizer and chat template, and answers questions about them.

use std::io::{self, BufRead, Write};
use std::path::Path;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;

use super::apart::{Ask, Told};
use super::chat::Voice;
use crate::harness::template::Moment;

/// Is this process: reads a folder within a bound of memory, and answers until its input ends.
///
/// # Errors
/// If input or output fails, or the bound cannot be set.
pub fn answer(memory: u64, whole: bool, folder: &Path) -> io::Result<()> {
    setrlimit(Resource::RLIMIT_AS, memory, memory)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    set_pdeathsig(Signal::SIGKILL)?;
    let voice = match whole {
        true => Voice::published(folder),
        false => Voice::without_template(folder),
    };
    let mut out = io::stdout().lock();
    let mut tell = |told: &Told| -> io::Result<()> {
        writeln!(out, "{}", serde_json::to_string(told)?)?;
        out.flush()
    };
    let voice = match voice {
        Ok(voice) => voice,
        Err(why) => return tell(&Told::Failed(why)),
    };
    tell(&Told::Ready)?;
    for line in io::stdin().lock().lines() {
        let told = match serde_json::from_str(&line?)? {
            Ask::Tokens(turns, micros) => match Moment::of_micros(micros) {
                Some(now) => voice.tokens(&turns, now).map(Told::Tokens),
                None => Err("no moment of the calendar".to_owned()),
            },
            Ask::Bare(text) => voice.bare(&text).map(Told::Tokens),
            Ask::Text(tokens) => voice.text(&tokens).map(Told::Text),
        };
        tell(&told.unwrap_or_else(Told::Failed))?;
    }
    Ok(())
}
