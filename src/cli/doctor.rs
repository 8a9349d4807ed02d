//! `weighbridge doctor`: says what this machine can weigh, and what keeps it from the rest.

use clap::Args;

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
/// Where the embedded suite is broken.
pub fn run(arguments: &Arguments) -> Result<u8, Stop> {
    let embedded = Embedded::read()?;
    let machine = machine::describe();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&machine).map_err(Stop::harness)?);
        return Ok(exit::CORROBORATED);
    }
    println!("commit       {}", build::COMMIT);
    println!("requirements {}", embedded.spec.requirements().len());
    println!("cases        {}", embedded.cases.cases().len());
    println!("system       {}", machine.system);
    println!("processor    {} ({} cores)", machine.processor, machine.cores);
    println!("memory       {} bytes", machine.memory_bytes);
    match (&machine.gpu, &machine.gpu_error) {
        (Some(name), _) => {
            println!("gpu          {name}, driver {}", machine.driver.as_deref().unwrap_or("?"));
            // NVML lists a process only while it has a context.
            let _context = gpu::Context::open(0);
            match gpu::nvml::process_memory(std::process::id(), 0) {
                Ok(Some(bytes)) => println!("nvml         sees this process: {bytes} bytes"),
                Ok(None) => println!("nvml         answers, but does not list this process"),
                Err(error) => println!("nvml         {error}"),
            }
            println!("so           every profile can be weighed here");
        }
        (None, error) => {
            println!("gpu          none: {}", error.as_deref().unwrap_or("no reason given"));
            println!("so           --profile host and --profile build can be weighed here");
        }
    }
    Ok(exit::CORROBORATED)
}
