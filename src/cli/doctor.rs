//! `weighbridge doctor`: says what this machine can weigh, and what keeps it from the rest.

use clap::Args;

use super::fault::print;
use super::weighing::Embedded;
use super::{Stop, exit};
use crate::gpu;
use crate::harness::evidence::{build, machine};

/// Say what this machine can weigh, and why not more.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand. A missing GPU is a finding, not a failure.
///
/// # Errors
/// Where the embedded suite is broken, or stdout cannot be written.
pub fn run(arguments: &Arguments) -> Result<u8, Stop> {
    let embedded = Embedded::read()?;
    let machine = machine::describe();
    if arguments.json {
        let json = serde_json::to_string_pretty(&machine).map_err(Stop::harness)?;
        print(&mut std::io::stdout(), &format!("{json}\n"))?;
        return Ok(exit::CORROBORATED);
    }
    let mut lines = vec![format!("commit       {}", build::COMMIT)];
    lines.push(format!("requirements {}", embedded.spec.requirements().len()));
    lines.push(format!("cases        {}", embedded.cases.cases().len()));
    lines.push(format!("system       {}", machine.system));
    lines.push(format!("processor    {} ({} cores)", machine.processor, machine.cores));
    lines.push(format!("memory       {} bytes", machine.memory_bytes));
    match (&machine.gpu, &machine.gpu_error) {
        (Some(name), _) => {
            lines.push(format!(
                "gpu          {name}, driver {}",
                machine.driver.as_deref().unwrap_or("?")
            ));
            // NVML lists a process only while it has a context.
            let _context = gpu::Context::open(0);
            match gpu::nvml::process_memory(std::process::id(), 0) {
                Ok(Some(bytes)) => {
                    lines.push(format!("nvml         sees this process: {bytes} bytes"))
                }
                Ok(None) => {
                    lines.push("nvml         answers, but does not list this process".to_owned())
                }
                Err(error) => lines.push(format!("nvml         {error}")),
            }
            lines.push("so           every profile can be weighed here".to_owned());
        }
        (None, error) => {
            lines.push(format!(
                "gpu          none: {}",
                error.as_deref().unwrap_or("no reason given")
            ));
            lines.push(
                "so           --profile host and --profile build can be weighed here".to_owned(),
            );
        }
    }
    print(&mut std::io::stdout(), &format!("{}\n", lines.join("\n")))?;
    Ok(exit::CORROBORATED)
}
