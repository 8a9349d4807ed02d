//! `weighbridge validate`: runs the contract gate on a model, sound or broken, and counts the
//! failures of each rule.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::fault::print;
use super::sealed::SealArgs;
use super::{CommandError, beside_lines, exit, gate};
use crate::contract::Device;
use crate::loader::error::{LoadError, quote};
use crate::loader::open::checkpoint::Checkpoint;
use crate::loader::verbs::examine::Findings;

/// Run every gate over a model, sound or broken, and report each.
///
/// Exit codes: 0 sound, 1 broken, 2 usage, 6 its files cannot be read.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The model's folder, its weight file or its index, or its `.gguf` or `.apr` file.
    model: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    seal: SealArgs,
}

/// Checks the model and prints the findings.
///
/// # Errors
/// Where the files cannot be read.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    let failed = |error: LoadError| gate::stop(&error);
    let checkpoint = Checkpoint::find(&arguments.model).map_err(failed)?;
    let sealed = arguments.seal.check(&arguments.model, &checkpoint).map_err(failed)?;
    let findings = Findings::of(&checkpoint, sealed.seal.clone()).map_err(failed)?;
    sealed.held(Device::Cpu).map_err(failed)?;
    let text = if arguments.json { format!("{}\n", value(&findings)) } else { table(&findings) };
    print(out, &text)?;
    Ok(if findings.sound() { exit::CORROBORATED } else { exit::REFUTED })
}

fn value(findings: &Findings) -> Value {
    let gates: Vec<Value> = findings
        .gates
        .iter()
        .map(|(gate, checked, refusals)| {
            let failures: Vec<Value> =
                refusals.iter().map(|refusal| json!(refusal.failure())).collect();
            json!({"gate": gate, "checked": checked, "broken": refusals.len(), "failures": failures})
        })
        .collect();
    let contract = match &findings.contract {
        None => json!({"checked": false, "why": "no config.json beside the weights"}),
        Some(Ok(config)) => json!({"checked": true, "architecture": config.architecture.name()}),
        Some(Err(error)) => json!({"checked": true, "failure": error.failure()}),
    };
    let (rules, tensors) = findings.breaches();
    json!({
        "sound": findings.sound(),
        "tensors": findings.model.tensors.len(),
        "gates": gates,
        "contract": contract,
        "unused": findings.unused,
        "notes": findings.notes,
        "left_out": beside_lines::value(&findings.left_out),
        "unread": unread(findings),
        "rules_broken": rules,
        "tensors_broken": tensors,
    })
}

/// Fields of the configuration that nothing reads and whose effect is not known.
fn unread(findings: &Findings) -> &[String] {
    match &findings.contract {
        Some(Ok(config)) => &config.unread,
        _ => &[],
    }
}

fn table(findings: &Findings) -> String {
    let mut text = format!(
        "{} tensors, {} bytes\n",
        findings.model.tensors.len(),
        findings.model.memory.bytes()
    );
    for (gate, checked, refusals) in &findings.gates {
        let name = json!(gate);
        let name = name.as_str().unwrap_or_default();
        text += &format!("{name:<12} {checked:>6} tensors, {} broken\n", refusals.len());
        for refusal in refusals.iter().take(5) {
            text += &format!("  {}\n", refusal.failure().message);
        }
        if refusals.len() > 5 {
            text += &format!("  and {} more\n", refusals.len() - 5);
        }
    }
    text += &match &findings.contract {
        None => "contract     not checked: no config.json beside the weights\n".to_owned(),
        Some(Ok(config)) => {
            format!("contract     complete for {}\n", config.architecture.name())
        }
        Some(Err(error)) => format!("contract     broken: {error}\n"),
    };
    text += &beside_lines::text(&findings.left_out, &findings.notes);
    for name in &findings.unused {
        text += &format!("unused       {}\n", quote(name));
    }
    for field in unread(findings) {
        text += &format!("unread       {}\n", quote(field));
    }
    let (rules, tensors) = findings.breaches();
    text += &match findings.sound() {
        true => "sound\n".to_owned(),
        false => format!("broken: {rules} rules in {tensors} tensors\n"),
    };
    text
}
