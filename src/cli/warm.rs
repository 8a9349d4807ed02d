//! `weighbridge warm`: loads, verifies and validates all models of a registry on a device, or
//! fails.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::device::OnDevice;
use super::show::Show;
use super::stamp::Stamp;
use super::{CommandError, cut_short, exit, fault, gate};
use crate::contract::Device;
use crate::contract::request::HardwareProfile;
use crate::harness::spec::Spec;
use crate::loader::error::LoadError;
use crate::loader::remedies::registry::HARDWARE_NOT_KNOWN;
use crate::loader::warm::{Models, Options, WarmSet, start};

mod display;
mod lines;
mod seen;

use self::seen::Seen;

/// Load all models of a registry onto a device, verified and validated, or none.
///
/// Exit codes: 0 warm, 2 usage, 3 interrupted, 5 refused by the contract gate, 6 not warm for another reason.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The registry; its paths are relative to its folder.
    #[arg(long, value_name = "FILE")]
    registry: PathBuf,
    #[command(flatten)]
    on: OnDevice,
    /// The hardware profile that the device must meet.
    #[arg(long, default_value = "default", value_name = "NAME")]
    hardware: String,
    /// Number of models that load at the same time. By default these are one sealed model, of those that go to a
    /// GPU, and all others.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Hold the models for this many seconds after they are warm.
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS")]
    hold: f64,
    /// Print the final state as JSON.
    #[arg(long)]
    json: bool,
    /// Also write the final state as JSON to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    show: Show,
}

/// Format of the final state.
const FORMAT: &str = "weighbridge.warm/1";

/// Loads the models.
///
/// # Errors
/// 2 for a registry that cannot be used, 5 if the contract gate refuses a model, 6 if the set is
/// not warm for another reason. Nothing stays allocated.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    let _watch = cut_short::watch("no model stays loaded")?;
    let stamp = Stamp::now(arguments.on.device);
    let seen = Seen::default();
    let ended = (|| {
        let models = Models::read(&arguments.registry)?;
        let profile = profile(&arguments.hardware, arguments.on.device)?;
        let options = Options { device: arguments.on.device, profile, jobs: arguments.jobs };
        let mut shown = None;
        let warm = start(&models, &options, |plan, board| {
            *seen.lock().unwrap_or_else(PoisonError::into_inner) =
                Some((plan.clone(), Arc::clone(board)));
            shown = Some(display::Display::of(board, arguments.show));
        });
        drop(shown);
        warm
    })();
    match ended {
        Ok(warm) => done(arguments, &stamp, &warm, &seen, out),
        Err(error) => Err(failed(arguments, &stamp, &error, &seen)),
    }
}

fn done(
    arguments: &Arguments,
    stamp: &Stamp,
    warm: &WarmSet,
    seen: &Seen,
    out: &mut dyn Write,
) -> Result<u8, CommandError> {
    let state = state(stamp, seen, Some(warm.took), None);
    let text = pretty(&state)?;
    if let Some(path) = &arguments.out {
        std::fs::write(path, &text).map_err(|error| {
            CommandError::harness(format!("cannot write {}: {error}", path.display()))
        })?;
    }
    match (arguments.json, arguments.show.quiet) {
        (true, _) => fault::print(out, &format!("{text}\n"))?,
        (false, true) => {}
        (false, false) => fault::print(out, &display::table(stamp, seen, warm.took))?,
    }
    std::thread::sleep(Duration::from_secs_f64(arguments.hold.clamp(0.0, 1e6)));
    Ok(exit::CORROBORATED)
}

fn failed(arguments: &Arguments, stamp: &Stamp, error: &LoadError, seen: &Seen) -> CommandError {
    let state = state(stamp, seen, None, Some(error));
    let dump = pretty(&state).ok().and_then(|text| dump(arguments, &text));
    let dump = match dump {
        Some(path) => format!("\n  diagnostic dump: {}", path.display()),
        None => "\n  diagnostic dump: could not be written".to_owned(),
    };
    let message = format!("not warm: nothing is held\n{error}{dump}");
    CommandError::new(gate::stop(error).code, message).of(error.failure().clone())
}

/// Writes a diagnostic dump: to the file of `--out` or, without it, to a new temporary file.
fn dump(arguments: &Arguments, text: &str) -> Option<PathBuf> {
    if let Some(path) = &arguments.out {
        return std::fs::write(path, text).ok().map(|()| path.clone());
    }
    let file =
        tempfile::Builder::new().prefix("weighbridge-warm-").suffix(".json").tempfile().ok()?;
    let (mut file, path) = file.keep().ok()?;
    file.write_all(text.as_bytes()).ok()?;
    Some(path)
}

/// Everything that is known, as JSON.
fn state(stamp: &Stamp, seen: &Seen, took: Option<Duration>, error: Option<&LoadError>) -> Value {
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let (plan, models, mode) = match &*seen {
        Some((plan, board)) => (json!(plan), json!(board.statuses()), json!(plan.mode())),
        None => (Value::Null, Value::Null, Value::Null),
    };
    let mut state = json!({
        "format": FORMAT,
        "warm": error.is_none(),
        "seconds": took.map(|took| took.as_secs_f64()),
        "mode": mode,
        "plan": plan,
        "models": models,
        "error": error.map(|error| json!(error.failure())),
    });
    if let (Value::Object(state), Value::Object(stamp)) = (&mut state, json!(stamp)) {
        state.extend(stamp);
    }
    state
}

fn pretty(value: &Value) -> Result<String, CommandError> {
    serde_json::to_string_pretty(value).map_err(CommandError::harness)
}

/// A hardware profile by name.
fn profile(name: &str, device: Device) -> Result<Option<HardwareProfile>, LoadError> {
    let internal = |why: String| LoadError::internal(why);
    let spec = Spec::embedded().map_err(|error| internal(error.to_string()))?;
    let Some(hardware) = spec.hardware(name) else {
        let known = "default or rtx5090";
        let cause = HARDWARE_NOT_KNOWN.about([known]);
        let message = "no such hardware profile";
        return Err(LoadError::refused(crate::contract::Phase::Request, cause, message)
            .expected(known, name));
    };
    // The plan checks the memory that the models need, so the profile need not.
    Ok(device.is_gpu().then(|| hardware.request(0)))
}
