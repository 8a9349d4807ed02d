//! Queues operations on one stream: allocates activations, copies inputs and results, and records a
//! run to repeat it.

use std::any::Any;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use super::ForwardKernels;
use super::shape::Precision;
use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::{GpuError, check_range, report};
use crate::gpu::driver::graph::Graph;
use crate::gpu::driver::memory::DeviceBuffer;
use crate::gpu::driver::pinned::PinnedBuffer;
use crate::gpu::driver::stream::Stream;
use crate::gpu::math::products::Products;
use crate::gpu::transfer::layers::Weights;

/// Activations begin at multiples of this, in bytes.
const ALIGNMENT: usize = 256;

/// Device memory is allocated in chunks of at least this, in bytes.
const CHUNK: usize = 4 << 20;

/// F32 values on the device; valid until the runner is [reset](Runner::reset).
#[derive(Clone, Copy, Debug)]
pub struct Floats {
    place: Place,
}

/// Unsigned integers on the device. The host knows the largest one, so that it can check indices.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    place: Place,
    most: u32,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    chunk: usize,
    offset: usize,
    count: usize,
    /// The device address, if it lies outside the runner's chunks.
    outside: Option<u64>,
}

impl Floats {
    /// Values at a device address. The caller must keep that memory live for as long as an
    /// operation of the runner may use it.
    pub(in crate::gpu) fn outside(address: u64, count: usize) -> Floats {
        Floats { place: Place { chunk: 0, offset: 0, count, outside: Some(address) } }
    }
}

/// The parts of what the last operation has written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    /// The address of the values, their rows and columns.
    pub(super) of: (u64, usize, usize),
    /// The address of the parts.
    pub(super) at: u64,
}

/// Queues operations on one stream over buffers of its own.
///
/// After a reset, the same requests in the same order get the same addresses. So a recorded run can
/// be repeated after its inputs have been uploaded again.
#[derive(Debug)]
pub struct Runner {
    pub(super) kernels: ForwardKernels,
    stream: Arc<Stream>,
    pub(super) products: Option<Products>,
    /// Memory for copies of weights, until the next reset.
    pub(super) joined: Option<Floats>,
    /// Memory for parts of activations, until the next reset: two places, because a product can read parts
    /// and write others, and one for the tiles of attention.
    pub(super) parts: [Option<Floats>; 3],
    /// The parts of what the last operation has written, if it made them.
    pub(super) fresh: Cell<Option<Parts>>,
    /// Whether the last product takes the parts that the operation before it has written.
    pub(super) takes_parts: bool,
    /// A flag for each block of a product, all down (`warpgroup/shared.cu`).
    pub(super) flags: Option<DeviceBuffer>,
    chunks: Vec<DeviceBuffer>,
    at: (usize, usize),
    staging: Option<PinnedBuffer>,
    staged: usize,
    records: HashMap<(usize, usize), Record>,
}

/// The runs on one shape so far. After the first run there is no graph yet, but memory is allocated
/// and libraries are initialised. After the second run there is a graph, with its output. The graph
/// is valid only for `model`, which holds the address and size of that model's memory.
#[derive(Debug)]
struct Record {
    graph: Option<Graph>,
    model: (u64, usize),
    output: Option<Box<dyn Any + Send>>,
}

impl Runner {
    /// A runner without buffers yet.
    ///
    /// # Errors
    ///
    /// If no stream can be created, or memory runs out.
    pub fn new(kernels: &ForwardKernels) -> Result<Runner, GpuError> {
        Ok(Runner {
            kernels: kernels.clone(),
            flags: kernels.warpgroup.as_ref().map(|of| of.flags(kernels.context())).transpose()?,
            stream: Arc::new(Stream::new(kernels.context())?),
            products: None,
            joined: None,
            parts: [None; 3],
            fresh: Cell::new(None),
            takes_parts: false,
            chunks: Vec::new(),
            at: (0, 0),
            staging: None,
            staged: 0,
            records: HashMap::new(),
        })
    }

    /// The device.
    pub fn context(&self) -> &Context {
        self.kernels.context()
    }

    /// How its kernels take F32 values.
    pub fn precision(&self) -> Precision {
        self.kernels.precision
    }

    /// The stream, so that its work can be timed.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The stream, for an operation: what it writes may be what the last one made parts of.
    pub(super) fn queueing(&self) -> &Stream {
        self.fresh.set(None);
        &self.stream
    }

    /// The stream, for a decoder that continues after a run.
    pub(in crate::gpu) fn shared_stream(&self) -> Arc<Stream> {
        Arc::clone(&self.stream)
    }

    /// Device memory that it holds for activations, in bytes.
    pub fn bytes(&self) -> usize {
        self.chunks.iter().map(DeviceBuffer::bytes).sum()
    }

    /// Makes all memory free again: every buffer handed out so far becomes invalid.
    ///
    /// # Errors
    ///
    /// If the device has failed.
    pub fn reset(&mut self) -> Result<(), GpuError> {
        // Copies must have ended before staging memory is written to again.
        self.stream.synchronize()?;
        (self.at, self.staged, self.joined, self.parts) = ((0, 0), 0, None, [None; 3]);
        // What came before must not change where the same requests get their memory.
        self.takes_parts = false;
        self.fresh.set(None);
        Ok(())
    }

    /// Fills all its memory with NaN, so that a read of uninitialised memory shows in the results.
    /// For self-tests, because `initcheck` does not see every store of the library's kernels.
    ///
    /// # Errors
    ///
    /// If the device has failed.
    pub fn spoil(&mut self) -> Result<(), GpuError> {
        self.stream.synchronize()?;
        self.chunks.iter().try_for_each(|chunk| chunk.fill(u8::MAX))
    }

    /// A buffer for `count` values, with undefined contents.
    ///
    /// # Errors
    ///
    /// [`GpuError::is_out_of_memory`].
    pub fn floats(&mut self, count: usize) -> Result<Floats, GpuError> {
        Ok(Floats { place: self.place(count)? })
    }

    /// Queues the copy of values to the device.
    ///
    /// # Errors
    ///
    /// If memory runs out or the device has failed.
    pub fn upload(&mut self, values: &[f32]) -> Result<Floats, GpuError> {
        let place = self.place(values.len())?;
        self.bring(place, values.iter().map(|value| value.to_le_bytes()))?;
        Ok(Floats { place })
    }

    /// Queues the copy of values to the first values of a buffer.
    ///
    /// # Errors
    ///
    /// As for [`upload`](Self::upload); refused if the buffer is shorter.
    pub fn refill(&mut self, values: &[f32], into: Floats) -> Result<(), GpuError> {
        check_range("refill", 0, values.len(), into.place.count)?;
        self.bring(into.place, values.iter().map(|value| value.to_le_bytes()))
    }

    /// Queues the copy of integers to the device.
    ///
    /// # Errors
    ///
    /// As for [`upload`](Self::upload).
    pub fn words(&mut self, values: &[u32]) -> Result<Words, GpuError> {
        let place = self.place(values.len())?;
        self.bring(place, values.iter().map(|value| value.to_le_bytes()))?;
        Ok(Words { place, most: values.iter().copied().max().unwrap_or(0) })
    }

    /// Waits for all queued work, and copies the first values of a buffer to the host.
    ///
    /// # Errors
    ///
    /// Those of any earlier operation on the device; refused if the buffer is shorter.
    pub fn fetch(&mut self, from: Floats, into: &mut [f32]) -> Result<(), GpuError> {
        self.stream.synchronize()?;
        let mut bytes = vec![0u8; size_of_val(into)];
        check_range("fetch", 0, bytes.len(), from.place.count * 4)?;
        match from.place.outside {
            None => self.chunk(from.place)?.read(from.place.offset, &mut bytes)?,
            Some(_) => {
                // Only buffers can be read, so the values are copied to one first.
                let own = self.floats(into.len())?;
                self.copy(from, into.len(), own)?;
                self.stream.synchronize()?;
                self.chunk(own.place)?.read(own.place.offset, &mut bytes)?;
            }
        }
        for (value, bytes) in into.iter_mut().zip(bytes.as_chunks().0) {
            *value = f32::from_le_bytes(*bytes);
        }
        Ok(())
    }

    /// Runs `work`, or repeats it for inputs of the same shape and the same model.
    ///
    /// The first call for a shape runs `work`. The second call records `work` as a graph and
    /// launches it. Later calls only launch the graph. A call with another model records again.
    /// `work` must queue the same operations each time, and must copy nothing between host and
    /// device.
    ///
    /// # Errors
    ///
    /// Those of `work`.
    pub fn repeat<T: Clone + Send + 'static, E>(
        &mut self,
        shape: (usize, usize),
        model: &DeviceBuffer,
        failed: impl Fn(&GpuError) -> E,
        work: impl FnOnce(&mut Runner) -> Result<T, E>,
    ) -> Result<T, E> {
        let here = (model.pointer(), model.bytes());
        let ready = |record: &Record| record.model == here;
        match self.records.remove(&shape) {
            None => {
                let output = work(self)?;
                self.records.insert(shape, Record { graph: None, model: here, output: None });
                return Ok(output);
            }
            Some(record) if ready(&record) && record.graph.is_some() => {
                self.records.insert(shape, record);
            }
            Some(_) => {
                let (stream, mut output) = (Arc::clone(&self.stream), None);
                let graph = Graph::record(&stream, &failed, || {
                    output = Some(work(self)?);
                    Ok(())
                })?;
                let output = output.map(|output| Box::new(output) as Box<dyn Any + Send>);
                self.records.insert(shape, Record { graph: Some(graph), model: here, output });
            }
        }
        let record = self.records.get(&shape);
        let graph = record.and_then(|record| record.graph.as_ref());
        let output = record.and_then(|record| record.output.as_ref()?.downcast_ref::<T>());
        let (Some(graph), Some(output)) = (graph, output) else {
            return Err(failed(&GpuError::refused("repeat", "no graph or output was recorded")));
        };
        // SAFETY: the graph touches this runner's chunks and flags, which are never freed before it is
        // dropped, and the model's memory, which is borrowed now and, as checked, lies where it
        // lay; freeing it waits for the device.
        unsafe { graph.launch(self.queueing()) }.map_err(|error| failed(&error))?;
        Ok(output.clone())
    }

    /// Queues the copy of a layer's weights to the device, if they are kept in host memory.
    ///
    /// # Errors
    ///
    /// Refused for a layer that the model does not have; or the driver's error.
    pub fn enter(&mut self, layer: usize, model: Weights<'_>) -> Result<(), GpuError> {
        match model.layers {
            None => Ok(()),
            Some(layers) => layers.queue(self.queueing(), layer, model.memory),
        }
    }

    /// How many values a buffer holds.
    pub(super) fn count(of: Floats) -> usize {
        of.place.count
    }

    /// The address of a buffer, after a check that it holds `count` values.
    pub(super) fn address(&self, of: Floats, count: usize) -> Result<u64, GpuError> {
        check_range("activations", 0, count, of.place.count)?;
        match of.place.outside {
            Some(address) => Ok(address),
            None => Ok(self.chunk(of.place)?.pointer() + of.place.offset as u64),
        }
    }

    /// The address of integers, after a check that there are `count`, all less than `below`.
    pub(super) fn word_address(
        &self,
        of: Words,
        count: usize,
        below: usize,
    ) -> Result<u64, GpuError> {
        check_range("indices", 0, count, of.place.count)?;
        check_range("indices", of.most as usize, 1, below)?;
        Ok(self.chunk(of.place)?.pointer() + of.place.offset as u64)
    }

    fn chunk(&self, place: Place) -> Result<&DeviceBuffer, GpuError> {
        let chunk = self.chunks.get(place.chunk);
        let chunk = chunk.ok_or_else(|| GpuError::refused("activations", "from another runner"))?;
        check_range("activations", place.offset, place.count * 4, chunk.bytes())?;
        Ok(chunk)
    }

    fn place(&mut self, count: usize) -> Result<Place, GpuError> {
        let bytes = count.max(1).checked_mul(4).and_then(|n| n.checked_next_multiple_of(ALIGNMENT));
        let bytes = bytes.ok_or_else(|| GpuError::refused("activations", "too many values"))?;
        loop {
            let (chunk, offset) = self.at;
            match self.chunks.get(chunk) {
                Some(buffer) if offset + bytes <= buffer.bytes() => {
                    self.at.1 += bytes;
                    return Ok(Place { chunk, offset, count, outside: None });
                }
                Some(_) => self.at = (chunk + 1, 0),
                None => self.chunks.push(self.context().allocate(bytes.max(CHUNK))?),
            }
        }
    }

    /// Queues the copy of values from staging memory.
    fn bring(
        &mut self,
        place: Place,
        values: impl ExactSizeIterator<Item = [u8; 4]>,
    ) -> Result<(), GpuError> {
        let bytes = values.len() * 4;
        if bytes == 0 {
            return Ok(());
        }
        let (from, to) = (self.staged, self.chunk(place)?.pointer() + place.offset as u64);
        if self.staging.as_ref().is_none_or(|staging| staging.bytes() - from < bytes) {
            // Copies from the old staging memory must have ended before it is freed.
            self.stream.synchronize()?;
            let wanted = (bytes * 4).next_power_of_two().max(1 << 16);
            self.staging = Some(PinnedBuffer::allocate(self.kernels.context(), wanted)?);
            self.staged = 0;
            return self.bring(place, values);
        }
        self.fresh.set(None);
        let Some(staging) = &mut self.staging else {
            return Err(GpuError::refused("upload", "no staging memory"));
        };
        let target = &mut staging.as_mut_slice()[from..from + bytes];
        for (target, value) in target.as_chunks_mut().0.iter_mut().zip(values) {
            *target = value;
        }
        self.staged = (from + bytes).next_multiple_of(16);
        // SAFETY: the staging memory is not written to again before the stream has been waited
        // for, by `reset` or above, and is freed by a drop that does; the target is live.
        unsafe { self.stream.copy_to_device(staging.as_slice()[from..].as_ptr(), to, bytes) }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // Running graphs and copies must end before the memory that they use is freed.
        report(self.stream.synchronize());
    }
}
