//! CUDA graphs: work that is recorded once and can be queued again as a whole.

use std::ptr;

use super::calls::{CUgraphExec, CUstreamCaptureMode};
use super::context::Context;
use super::error::{GpuError, report};
use super::stream::Stream;

/// Recorded work. Its owner must keep the memory alive that the work uses.
#[derive(Debug)]
pub(crate) struct Graph {
    context: Context,
    raw: CUgraphExec,
}

// SAFETY: the driver's handles are valid in every thread; a graph is launched by one at a time, as
// its owner is borrowed mutably.
unsafe impl Send for Graph {}

impl Graph {
    /// Records what `work` queues on the stream, without running it.
    pub(crate) fn record<E>(
        stream: &Stream,
        failed: impl Fn(&GpuError) -> E,
        work: impl FnOnce() -> Result<(), E>,
    ) -> Result<Graph, E> {
        let failed = |error: GpuError| failed(&error);
        let context = stream.context().clone();
        let driver = context.bind().map_err(failed)?;
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is alive, and the capture is ended below even if `work` fails.
        unsafe { driver.cuStreamBeginCapture_v2(stream.raw(), mode) }.map_err(failed)?;
        let done = work();
        let mut graph = ptr::null_mut();
        // SAFETY: the target outlives the call.
        let ended = unsafe { driver.cuStreamEndCapture(stream.raw(), &raw mut graph) };
        let made = done.and_then(|()| {
            ended.map_err(failed)?;
            let mut raw = ptr::null_mut();
            // SAFETY: the graph was captured a moment ago; 0 is no flag.
            unsafe { driver.cuGraphInstantiateWithFlags(&raw mut raw, graph, 0) }
                .map_err(failed)?;
            Ok(Graph { context, raw })
        });
        if !graph.is_null() {
            // SAFETY: destroyed only here; the executable graph does not depend on it.
            report(unsafe { driver.cuGraphDestroy(graph) });
        }
        made
    }

    /// Queues the recorded work.
    ///
    /// # Safety
    ///
    /// Every range that the recorded work uses must be live until it has ended.
    pub(crate) unsafe fn launch(&self, stream: &Stream) -> Result<(), GpuError> {
        // SAFETY: both are alive; the caller vouches for the memory.
        unsafe { self.context.bind()?.cuGraphLaunch(self.raw, stream.raw()) }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        report(self.context.bind().and_then(|driver| {
            // SAFETY: destroyed only here; the driver lets a launch under way end first.
            unsafe { driver.cuGraphExecDestroy(self.raw) }
        }));
    }
}
