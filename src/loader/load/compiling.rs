//! Kernels that are compiled beside a load.

use std::thread;

use crate::gpu::DecoderForms;
use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, Result};

/// Kernels being compiled beside a load. A load that is refused waits for them too: a process that ends
/// while the compiler works ends badly.
pub struct Compiling(Option<thread::JoinHandle<Result<()>>>);

impl Compiling {
    /// Compiles what running a model will need, beside the load. Whoever asks next finds it done.
    pub fn start(gpus: &Gpus, ordinal: u32, decoder: Option<DecoderForms>) -> Compiling {
        let mut gpus = gpus.sibling();
        Compiling(Some(thread::spawn(move || {
            gpus.runner(ordinal)?;
            decoder.map_or(Ok(()), |forms| gpus.decoder(ordinal, &forms).map(drop))
        })))
    }

    /// Waits until they are compiled.
    ///
    /// # Errors
    /// Those of compiling.
    pub fn done(mut self) -> Result<()> {
        let lost = |_| Err(LoadError::internal("the compiling thread was lost"));
        self.0.take().map_or(Ok(()), |thread| thread.join().unwrap_or_else(lost))
    }
}

impl Drop for Compiling {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // What it came to is told by whoever needs the kernels.
            let _ended = thread.join();
        }
    }
}
