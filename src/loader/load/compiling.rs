//! Compiles a model's kernels on another thread while the model loads.

use std::thread;

use crate::gpu::{DecoderForms, Precision};
use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, Result};

/// A thread that compiles kernels. Dropping it waits for the thread, also when the load is refused:
/// a process that exits while NVRTC works can crash.
pub struct Compiling(Option<thread::JoinHandle<Result<()>>>);

impl Compiling {
    /// Starts to compile the kernels of the forward pass, and those of a decoder if `decoder` is
    /// given. They are stored in the siblings' shared kernels.
    pub fn start(
        gpus: &Gpus,
        ordinal: u32,
        (precision, decoder): (Precision, Option<DecoderForms>),
    ) -> Compiling {
        let mut gpus = gpus.sibling();
        Compiling(Some(thread::spawn(move || {
            gpus.runner(ordinal, precision)?;
            decoder.map_or(Ok(()), |forms| gpus.decoder(ordinal, &forms).map(drop))
        })))
    }

    /// Waits until the kernels are compiled.
    ///
    /// # Errors
    /// Those of compiling.
    pub fn done(mut self) -> Result<()> {
        let lost = |_| Err(LoadError::internal("the compiling thread panicked"));
        self.0.take().map_or(Ok(()), |thread| thread.join().unwrap_or_else(lost))
    }
}

impl Drop for Compiling {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // Ignore the result: compile errors are reported at the next use of the kernels.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;

    #[test]
    fn an_error_of_the_thread_is_told_at_the_end() {
        if crate::gpu::device_count().is_err() {
            let compiling = Compiling::start(&Gpus::default(), 0, (Precision::Exact, None));
            let error = compiling.done().expect_err("no device");
            assert_eq!(error.code(), Code::CudaUnavailable);
        }
        let lost = Compiling(Some(thread::spawn(|| panic!("on purpose"))));
        let error = lost.done().expect_err("a panic");
        assert_eq!((error.code(), &*error.failure().message), {
            (Code::Internal, "the compiling thread panicked")
        });
    }

    #[test]
    fn dropping_it_waits_for_the_thread() {
        let (send, receive) = std::sync::mpsc::channel();
        let compiling = Compiling(Some(thread::spawn(move || {
            thread::sleep(std::time::Duration::from_millis(50));
            send.send(()).map_err(|error| LoadError::internal(error.to_string()))
        })));
        drop(compiling);
        assert_eq!(receive.try_recv(), Ok(()), "it has ended");
    }
}
