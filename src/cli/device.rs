//! `--device`: where a command loads and runs a model. One spelling for all commands.

use clap::Args;

use crate::contract::Device;
use crate::contract::request::DeviceQuery;
use crate::loader::device::Gpus;
use crate::loader::error::Result;
use crate::loader::load::model::Model;
use crate::loader::verbs::preflight;

/// The device of a command that runs on the first GPU unless told otherwise.
#[derive(Clone, Copy, Debug, Args)]
pub struct OnDevice {
    /// The device: `cpu`, `cuda` (the first GPU) or `cuda:N`. Nothing falls back to the CPU.
    #[arg(long, value_name = "DEVICE", default_value = "cuda:0")]
    pub device: Device,
}

/// The same, with the two short forms that the source documents use.
#[derive(Clone, Copy, Debug, Args)]
pub struct OnDeviceOrShort {
    #[command(flatten)]
    on: OnDevice,
    /// The same as `--device cuda`.
    #[arg(long, conflicts_with_all = ["no_gpu", "device"])]
    gpu: bool,
    /// The same as `--device cpu`.
    #[arg(long, conflicts_with = "device")]
    no_gpu: bool,
}

impl OnDeviceOrShort {
    /// The device that was named, in either form.
    pub fn device(self) -> Device {
        match (self.gpu, self.no_gpu) {
            (_, true) => Device::Cpu,
            (true, _) => Device::Cuda(0),
            _ => self.on.device,
        }
    }
}

/// What computes with this model, for people. It is named by where the weights are, not by what was
/// asked for.
///
/// # Errors
/// Those of asking the device.
pub fn backend(model: &Model, gpus: &mut Gpus) -> Result<String> {
    match model.memory.device() {
        Device::Cpu => Ok("CPU".to_owned()),
        device => {
            let found = preflight::describe(gpus, &DeviceQuery { device, profile: None })?;
            Ok(format!("GPU {device} ({})", found.name))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        on: OnDeviceOrShort,
    }

    fn device(words: &[&str]) -> std::result::Result<Device, clap::Error> {
        Typed::try_parse_from([&["x"], words].concat()).map(|typed| typed.on.device())
    }

    #[test]
    fn short_forms_mean_the_same() {
        for (words, wanted) in [
            (&[][..], Device::Cuda(0)),
            (&["--gpu"], Device::Cuda(0)),
            (&["--device", "cuda"], Device::Cuda(0)),
            (&["--device", "cuda:3"], Device::Cuda(3)),
            (&["--no-gpu"], Device::Cpu),
            (&["--device", "cpu"], Device::Cpu),
        ] {
            assert_eq!(device(words).unwrap(), wanted, "{words:?}");
        }
    }

    #[test]
    fn two_forms_at_once_are_refused() {
        for words in [
            &["--gpu", "--no-gpu"][..],
            &["--gpu", "--device", "cuda"],
            &["--no-gpu", "--device", "cpu"],
        ] {
            let error = device(words).unwrap_err().to_string();
            assert!(error.contains("cannot be used with"), "{error}");
        }
        let error = device(&["--device", "tpu"]).unwrap_err().to_string();
        assert!(error.contains("unknown device: tpu (expected cpu, cuda or cuda:N)"), "{error}");
    }
}
