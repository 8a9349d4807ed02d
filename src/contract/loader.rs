//! The contract as a Rust trait.

use super::inference::Compute;
use super::reply::{
    DeviceInfo, Done, Exported, Forwarded, Generated, Holdings, Introduction, Loaded, Reply,
    Validated, Written,
};
use super::request::{
    DeviceQuery, Export, Forward, Generate, Hello, Load, Multiply, Read, Request, Stat, Stream,
    Synchronize, Unload, Validate,
};
use super::{Failure, Phase};

/// A weight loader that the harness can test.
///
/// A loader must implement `hello`, `load`, `stat` and `unload`. Every other method returns
/// `unsupported_capability` by default. The capabilities in the reply to `hello` must say the same:
/// a capability that is declared and not served is a failure.
pub trait Loader {
    /// Returns the name, the version and the capabilities of the loader.
    ///
    /// # Errors
    /// If the loader does not support the protocol version.
    fn hello(&mut self, request: Hello) -> Result<Introduction, Failure>;

    /// Loads one file.
    ///
    /// # Errors
    /// Anything that makes the load impossible. Nothing of the load may stay allocated.
    fn load(&mut self, request: Load) -> Result<Loaded, Failure>;

    /// Returns the number of loaded models and the bytes that they hold.
    ///
    /// # Errors
    /// Only internal errors.
    fn stat(&mut self, request: Stat) -> Result<Holdings, Failure>;

    /// Frees a model.
    ///
    /// # Errors
    /// `unknown_handle`.
    fn unload(&mut self, request: Unload) -> Result<Done, Failure>;

    /// Describes a device, and checks it against a profile if one is given.
    ///
    /// # Errors
    /// `cuda_unavailable`, `invalid_device`, `compute_capability`, `vram_insufficient`.
    fn device(&mut self, _request: DeviceQuery) -> Result<DeviceInfo, Failure> {
        Err(Failure::unsupported(Phase::Preflight, "this loader does not describe devices"))
    }

    /// Writes a model's tensors back to a file.
    ///
    /// # Errors
    /// `unknown_handle`, `out_of_disk`.
    fn read(&mut self, _request: Read) -> Result<Written, Failure> {
        Err(Failure::unsupported(Phase::Read, "this loader does not read tensors back"))
    }

    /// Exports a model's device memory as CUDA IPC handles.
    ///
    /// # Errors
    /// `unknown_handle`; `unsupported_capability` for host memory.
    fn export(&mut self, _request: Export) -> Result<Exported, Failure> {
        Err(Failure::unsupported(Phase::Read, "this loader does not export device memory"))
    }

    /// Waits until a device is idle.
    ///
    /// # Errors
    /// `cuda_unavailable`, `invalid_device`, `device_fault`.
    fn synchronize(&mut self, _request: Synchronize) -> Result<Done, Failure> {
        Err(Failure::unsupported(Phase::Request, "this loader does not synchronise on request"))
    }

    /// Creates a stream, sends a file's bytes to the device and back on it, and destroys it.
    ///
    /// # Errors
    /// `cuda_unavailable`, `invalid_device`, `device_fault`.
    fn stream(&mut self, _request: Stream) -> Result<Written, Failure> {
        Err(Failure::unsupported(Phase::Request, "this loader does not create streams on request"))
    }

    /// Multiplies two loaded matrices.
    ///
    /// # Errors
    /// `unknown_handle`, `unknown_tensor`, `device_fault`.
    fn multiply(&mut self, _request: Multiply) -> Result<Written, Failure> {
        Err(Failure::unsupported(Phase::Infer, "this loader does not multiply matrices"))
    }

    /// Runs a model.
    ///
    /// # Errors
    /// `unknown_handle`, `invalid_input`, `invalid_tokenizer`, `output_not_finite`, `device_fault`.
    fn forward(&mut self, _request: Forward) -> Result<Forwarded, Failure> {
        Err(Failure::unsupported(Phase::Infer, "this loader does not run models"))
    }

    /// Runs a model and compares the output with its golden reference.
    ///
    /// # Errors
    /// Those of [`forward`](Self::forward), `invalid_golden`, `golden_mismatch`.
    fn validate(&mut self, _request: Validate) -> Result<Validated, Failure> {
        Err(Failure::unsupported(Phase::Infer, "this loader does not validate models"))
    }

    /// Generates tokens.
    ///
    /// # Errors
    /// `unknown_handle`, `invalid_input`, `invalid_tokenizer`, `invalid_template`,
    /// `output_not_finite`, `device_fault`.
    fn generate(&mut self, _request: Generate) -> Result<Generated, Failure> {
        Err(Failure::unsupported(Phase::Infer, "this loader does not generate"))
    }

    /// Whether it computes models so. A load that asks for anything else is refused before the loader
    /// sees it, so that none ignores the word.
    fn computes(&self, compute: Compute) -> bool {
        compute.is_exact()
    }

    /// Answers any request. Only this method maps verbs to methods.
    ///
    /// # Errors
    /// Those of the method; `unsupported_capability` for a load that asks for another way to compute.
    fn answer(&mut self, request: Request) -> Result<Reply, Failure> {
        Ok(match request {
            Request::Hello(request) => Reply::Hello(self.hello(request)?),
            Request::Device(request) => Reply::Device(self.device(request)?),
            Request::Load(request) => {
                let asked = request.inference.as_ref().map(|inference| inference.compute);
                match asked.filter(|compute| !self.computes(*compute)) {
                    None => Reply::Load(self.load(request)?),
                    Some(compute) => {
                        let message = "this loader computes in no other way than exactly";
                        return Err(Failure::unsupported(Phase::Request, message)
                            .expected(Compute::Exact.name(), compute.name())
                            .remedy("Leave `compute` out, or use a loader that serves it."));
                    }
                }
            }
            Request::Read(request) => Reply::Read(self.read(request)?),
            Request::Export(request) => Reply::Export(self.export(request)?),
            Request::Stat(request) => Reply::Stat(self.stat(request)?),
            Request::Unload(request) => Reply::Unload(self.unload(request)?),
            Request::Synchronize(request) => Reply::Synchronize(self.synchronize(request)?),
            Request::Stream(request) => Reply::Stream(self.stream(request)?),
            Request::Multiply(request) => Reply::Multiply(self.multiply(request)?),
            Request::Forward(request) => Reply::Forward(self.forward(request)?),
            Request::Validate(request) => Reply::Validate(self.validate(request)?),
            Request::Generate(request) => Reply::Generate(self.generate(request)?),
            Request::Bye(_) => Reply::Bye(Done {}),
        })
    }
}

#[cfg(test)]
mod tests;
