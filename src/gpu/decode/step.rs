//! Creates a decoder and generates tokens with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::GpuError;
use crate::gpu::driver::graph::Graph;
use crate::gpu::driver::memory::DeviceBuffer;
use crate::gpu::driver::pinned::PinnedBuffer;
use crate::gpu::driver::stream::{Event, Stream};
use crate::gpu::forward::{Floats, LARGEST_HEAD, Runner};
use crate::gpu::transfer::layers::Weights;

use super::description::{Affine, Decoding, Extent, STEPS};
use super::forms::DecoderKernels;
use super::plan::{Planner, Queued};
use super::state::State;

/// Stands for a token that could not be chosen, because a logit is not finite.
pub const NO_TOKEN: u32 = u32::MAX;

/// A decoder on a device, with room for a fixed number of tokens.
#[derive(Debug)]
pub struct Decoder {
    context: Context,
    stream: Arc<Stream>,
    /// Address and size of the model's memory. Launches with another model are refused.
    model: (u64, usize),
    room: usize,
    state: State,
    /// The kernels of one step, up to the logits.
    step: Vec<Queued>,
    /// The kernel that chooses the next token.
    choose: Queued,
    /// For so many steps, with attention divided over so many blocks.
    graphs: BTreeMap<(usize, u32), Graph>,
    /// Position of the next step. Only the division of attention depends on it, so only speed.
    next: usize,
    /// Keys that a block of attention must have before several clusters share them.
    least_keys: usize,
    /// The most keys that a token sees.
    window: usize,
    marks: Vec<Event>,
    landing: PinnedBuffer,
    memory: DeviceBuffer,
}

impl Decoder {
    /// A decoder with room for `room` tokens, on the stream of `runner`. `kernels` must be compiled
    /// for this decoder. `turns` holds cosine and sine of each position and pair,
    /// `[room + STEPS, head_size / 2, 2]`, or is empty without rotary positions.
    ///
    /// # Errors
    ///
    /// [`GpuError::is_out_of_memory`]; refused if sizes do not fit, or if the kernels do not
    /// support the model.
    pub fn new(
        runner: &Runner,
        kernels: &DecoderKernels,
        of: &Decoding<'_>,
        room: usize,
        turns: &[f32],
    ) -> Result<Decoder, GpuError> {
        check(of, room, turns)?;
        let context = runner.context().clone();
        let state = State::cut(&of.extent(), room)?;
        let bytes = usize::try_from(state.bytes);
        let bytes = bytes.map_err(|_| GpuError::refused("decoder", "sizes too large"))?;
        let memory = context.allocate(bytes)?;
        // Counters must begin at zero, and no stale values may enter a sum.
        memory.fill(0)?;
        let bring: Vec<u8> = turns.iter().flat_map(|value| value.to_le_bytes()).collect();
        memory.write(state.turns as usize, &bring)?;
        let state = state.at(memory.pointer());
        let capacity = room + STEPS;
        let longest = u32::try_from(capacity);
        let longest = longest.map_err(|_| GpuError::refused("decoder", "too many tokens"))?;
        let planner =
            Planner { of, forms: kernels, state: &state, longest, rotary: !turns.is_empty() };
        let (step, choose) = (planner.step()?, planner.choose(longest)?);
        let landing = PinnedBuffer::allocate(&context, (1 + capacity) * 4)?;
        let model = (of.words.memory.pointer(), of.words.memory.bytes());
        let stream = runner.shared_stream();
        let marks = Vec::new();
        let least_keys = kernels.least_keys(state.together);
        Ok(Decoder {
            context,
            stream,
            model,
            room,
            state,
            step,
            choose,
            graphs: BTreeMap::new(),
            next: 0,
            least_keys,
            window: of.window.unwrap_or(usize::MAX),
            marks,
            landing,
            memory,
        })
    }

    /// Device memory of a decoder of this size with room for `room` tokens, in bytes.
    ///
    /// # Errors
    ///
    /// Refused if the size overflows.
    pub fn bytes_for(of: &Extent, room: usize) -> Result<u64, GpuError> {
        State::cut(of, room).map(|state| state.bytes)
    }

    /// Whether it was made for this model and has room for `room` tokens.
    pub fn serves(&self, model: &DeviceBuffer, room: usize) -> bool {
        self.model == (model.pointer(), model.bytes()) && room <= self.room
    }

    /// Device memory that it holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// The keys and values of each layer, which a runner may write: each `[room, width]`, F32.
    /// `width` is key heads * head size.
    pub fn caches(&self, width: usize) -> Vec<(Floats, Floats)> {
        let floats = |address: u64| Floats::outside(address, self.room * width);
        self.state.caches.iter().map(|(keys, values)| (floats(*keys), floats(*values))).collect()
    }

    /// The first `count` logits of the last token that ran.
    pub fn logits(&self, count: usize) -> Floats {
        Floats::outside(self.state.logits, count)
    }

    /// Sets the number of tokens that have run when all queued work is done, and discards the chosen tokens.
    ///
    /// # Errors
    ///
    /// The driver's error.
    pub fn place(&mut self, tokens: usize) -> Result<(), GpuError> {
        self.stream.synchronize()?;
        self.next = tokens;
        let last = (tokens.max(1) - 1) as u32;
        self.write(self.state.position, &last.to_le_bytes())?;
        self.write(self.state.kept, &0u32.to_le_bytes())
    }

    /// Runs one token at a position.
    ///
    /// # Errors
    ///
    /// Refused for another model, or if there is no room at `at`; or the driver's error.
    pub fn feed(&mut self, model: Weights<'_>, token: u32, at: usize) -> Result<(), GpuError> {
        self.stream.synchronize()?;
        if at >= self.room {
            return Err(GpuError::refused("decoder", format!("no room at {at}")));
        }
        self.next = at;
        self.write(self.state.token, &token.to_le_bytes())?;
        self.write(self.state.position, &(at as u32).to_le_bytes())?;
        self.write(self.state.kept, &0u32.to_le_bytes())?;
        self.launch(model, 1)
    }

    /// Generates up to `most` tokens, always the most likely one, from the current logits. Passes
    /// each token to `watch` when it arrives; `false` from `watch` stops. Returns how many tokens
    /// were passed.
    ///
    /// [`place`](Self::place) must have been called with the number of tokens that ran, unless they were fed.
    ///
    /// # Errors
    ///
    /// As for [`feed`](Self::feed), and those of `watch`.
    pub fn follow<E>(
        &mut self,
        model: Weights<'_>,
        most: usize,
        failed: impl Fn(&GpuError) -> E,
        watch: &mut dyn FnMut(u32) -> Result<bool, E>,
    ) -> Result<usize, E> {
        let fail = |error: GpuError| failed(&error);
        while self.marks.len() < 3 {
            let mark = Event::new(&self.context).map_err(fail)?;
            self.marks.push(mark);
        }
        // SAFETY: its arguments lie in this decoder's memory, whose drop waits for the device.
        unsafe { self.choose.queue(&self.stream, false) }.map_err(fail)?;
        // The first step is launched alone: the device is busy with it while the host launches many. So are the last ones,
        // because one launch more takes less time than a step that nobody needs; and steps that copy all layers again.
        let steps = |made: usize| match most - made {
            left if made == 1 || left < STEPS || model.layers.is_some() => 1,
            _ => STEPS,
        };
        let (mut made, mut told, mut batch) = (1, 0, 0);
        self.bring(0, 1, 0).map_err(fail)?;
        let mut under_way = vec![(0, 1)];
        let done = loop {
            // One batch runs while `watch` gets the tokens of the previous one.
            if made < most && under_way.len() < 2 {
                let steps = steps(made);
                self.launch(model, steps).map_err(fail)?;
                batch += 1;
                self.bring(made, steps, batch % 3).map_err(fail)?;
                under_way.push((batch % 3, steps));
                made += steps;
                continue;
            }
            if under_way.is_empty() {
                break Ok(told);
            }
            let (mark, count) = under_way.remove(0);
            self.marks[mark].synchronize().map_err(fail)?;
            let mut ended = false;
            for _ in 0..count {
                let at = (1 + told) * 4;
                let raw = &self.landing.as_slice()[at..at + 4];
                let token = u32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]);
                told += 1;
                ended = !watch(token)? || told == most;
                if ended {
                    break;
                }
            }
            if ended {
                break Ok(told);
            }
        };
        self.stream.synchronize().map_err(fail)?;
        done
    }

    /// Queues the copy of chosen tokens to the host, and records an event after it.
    fn bring(&mut self, first: usize, count: usize, mark: usize) -> Result<(), GpuError> {
        let from = (1 + first) * 4;
        let count = count.min(self.room + STEPS - first);
        let to = self.landing.start();
        // SAFETY: both ranges hold room + STEPS tokens after the first word, and the last one asked
        // for lies within; the host reads a part only after its event, and `follow` waits for the
        // stream before it returns, so that neither is freed or written to before.
        unsafe {
            self.stream.copy_to_host(self.state.kept + from as u64, to.add(from), count * 4)?;
        }
        self.marks[mark].record(&self.stream)
    }

    fn launch(&mut self, model: Weights<'_>, steps: usize) -> Result<(), GpuError> {
        if self.model != (model.memory.pointer(), model.memory.bytes()) {
            return Err(GpuError::refused("decoder", "it was made for another model"));
        }
        self.next += steps;
        let splits = self.state.blocks_for(self.next.min(self.window), self.least_keys);
        self.step.iter_mut().for_each(|queued| queued.divide(splits));
        if model.layers.is_some() {
            // Copies take far longer than the launches that a graph would save.
            return self.queue(model, steps);
        }
        let which = (steps, splits);
        if !self.graphs.contains_key(&which) {
            let stream = Arc::clone(&self.stream);
            let early = self.context.compute_capability()?.0 >= 9;
            let graph = Graph::record(&stream, GpuError::clone, || {
                for _ in 0..steps {
                    for queued in self.step.iter().chain([&self.choose]) {
                        // SAFETY: as below; recording runs nothing.
                        unsafe { queued.queue(&stream, early) }?;
                    }
                }
                Ok(())
            })?;
            self.graphs.insert(which, graph);
        }
        match self.graphs.get(&which) {
            // SAFETY: the addresses lie in this decoder's memory, whose drop waits for the device,
            // and in the model's, which is borrowed now and, as checked, lies where it lay; freeing
            // it waits for the device too.
            Some(graph) => unsafe { graph.launch(&self.stream) },
            None => Err(GpuError::refused("decoder", "no graph was recorded")),
        }
    }

    /// Queues steps without a graph, and the copy of each layer before its kernels. No kernel
    /// begins early, because it would read weights that are not on the device yet.
    fn queue(&self, model: Weights<'_>, steps: usize) -> Result<(), GpuError> {
        for _ in 0..steps {
            for queued in self.step.iter().chain([&self.choose]) {
                if let (Some(layer), Some(layers)) = (queued.layer, model.layers) {
                    layers.queue(&self.stream, layer, model.memory)?;
                }
                // SAFETY: the addresses lie in this decoder's memory and in the model's, which is
                // the one it was made for; the drops of both wait for the device.
                unsafe { queued.queue(&self.stream, false) }?;
            }
        }
        Ok(())
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), GpuError> {
        self.memory.write((address - self.memory.pointer()) as usize, bytes)
    }
}

/// Refuses sizes that the kernels do not support or that do not fit together.
fn check(of: &Decoding<'_>, room: usize, turns: &[f32]) -> Result<(), GpuError> {
    let refused = |why: &str| Err(GpuError::refused("decoder", why.to_owned()));
    if of.key_heads == 0 || !of.heads.is_multiple_of(of.key_heads) {
        return refused("the number of key heads does not divide the number of heads");
    }
    if of.head_size == 0 || of.head_size > LARGEST_HEAD {
        return refused("a head is empty or larger than the kernels take");
    }
    if room == 0 || of.layers.is_empty() || of.hidden == 0 {
        return refused("no layers, a hidden size of 0, or room for 0 tokens");
    }
    if !turns.is_empty() && turns.len() != (room + STEPS) * (of.head_size / 2) * 2 {
        return refused("the table of rotary positions has the wrong length");
    }
    let narrow = of.key_heads * of.head_size;
    let stride = of.heads * of.head_size + 2 * narrow;
    if of.columns.0 + narrow > stride || of.columns.1 + narrow > stride {
        return refused("keys or values lie outside the output of the projections");
    }
    if of.words.columns != of.hidden
        || of.positions.is_some_and(|table| {
            // `room` rows are enough: later steps are limited to the table's last row.
            table.columns != of.hidden || table.rows < room
        })
    {
        return refused("embeddings have the wrong width, or there are too few positions");
    }
    let fits = |layers: &[Affine<'_>], inner: usize, outputs: usize| {
        layers.iter().all(|layer| layer.inner() == inner)
            && layers.iter().map(Affine::outputs).sum::<usize>() == outputs
    };
    let wide = of.heads * of.head_size;
    for layer in &of.layers {
        let both = if of.gated { 2 * of.inner } else { of.inner };
        if !fits(&layer.three, of.hidden, stride)
            || !fits(&[layer.join], wide, of.hidden)
            || !fits(&layer.widen, of.hidden, both)
            || !fits(&[layer.narrow], of.inner, of.hidden)
        {
            return refused("the sizes of a layer do not fit the decoder");
        }
        if let Some((query, key)) = &layer.head_norms
            && (query.weight.columns != of.head_size || key.weight.columns != of.head_size)
        {
            return refused("a head norm has another width than the head");
        }
    }
    match of.head.inner() == of.hidden {
        true => Ok(()),
        false => refused("the output head has another width than the hidden size"),
    }
}
