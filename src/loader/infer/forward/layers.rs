//! The layer loop: attention and feed-forward blocks, with norms before or after them.

use std::slice;

use crate::gpu::{AttentionParams, Pool};
use crate::loader::error::Result;
use crate::loader::infer::body::{Body, Layer};
use crate::loader::infer::ops::{Linear, Ops, View};

use super::{Run, TokensOf};

/// A pass through the layers in progress. Between its pieces, the ranks of a divided model add up what each
/// has computed.
pub struct Pass<B> {
    rooms: Rooms<B>,
    attention: AttentionParams,
    /// Rows, columns, and values of a token's state.
    shape: [usize; 3],
    /// Which state of each sentence is wanted behind the last layer; none if all are.
    wanted: Option<Pool>,
    /// Whether the output of the last block is still to be added to the states. The norm of the
    /// next layer does it.
    owed: bool,
}

impl<B> Pass<B> {
    /// The states of the tokens.
    pub fn state(&mut self) -> &mut B {
        &mut self.rooms.state
    }

    /// The output of the last block, before it is added to the states.
    pub fn part(&mut self) -> &mut B {
        &mut self.rooms.part
    }

    /// The states, and what is added to them.
    pub fn both(&mut self) -> (&mut B, &B) {
        (&mut self.rooms.state, &self.rooms.part)
    }

    /// Number of values of the states of all tokens.
    pub fn values(&self) -> usize {
        self.shape.iter().product()
    }
}

impl<O: Ops> Run<'_, '_, O> {
    /// Returns the token states after the last layer, before any final norm: those of all tokens, or the one
    /// of each sentence that is `wanted`. A trace shows all of them, and gets all of them. The second value
    /// is how many each sentence has.
    pub(super) fn layers(
        &mut self,
        body: &Body,
        input: &TokensOf<O>,
        wanted: Option<Pool>,
    ) -> Result<(O::Buffer, usize)> {
        let mut pass = self.begin(body, input)?;
        pass.wanted = wanted.filter(|_| self.see.is_none());
        self.embed(body, input, &mut pass)?;
        for (n, layer) in body.layers.iter().enumerate() {
            self.attention_block((n, layer), input, &mut pass)?;
            self.forward_block((n, layer), &mut pass)?;
            self.end_layer((n, layer), &mut pass)?;
        }
        Ok((pass.rooms.state, pass.shape[1]))
    }

    /// Allocates the buffers of a pass.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn begin(&mut self, body: &Body, input: &TokensOf<O>) -> Result<Pass<O::Buffer>> {
        let config = &self.runnable.config;
        let count = input.rows * input.columns;
        let wide = config.heads * config.head_size;
        let narrow = config.key_heads * config.head_size;
        let rooms = Rooms {
            state: self.ops.buffer(count * config.hidden)?,
            normed: self.ops.buffer(count * config.hidden)?,
            part: self.ops.buffer(count * config.hidden)?,
            mixed: self.ops.buffer(count * wide)?,
            three: self.ops.buffer(count * (wide + 2 * narrow))?,
            inner: self.ops.buffer(count * config.inner)?,
            both: self.ops.buffer(if body.gated { count * config.inner * 2 } else { 0 })?,
        };
        let attention = AttentionParams {
            rows: input.rows,
            tokens: input.columns,
            heads: config.heads,
            key_heads: config.key_heads,
            head_size: config.head_size,
            scale: 1.0 / (config.head_size as f32).sqrt(),
            causal: config.causal(),
            window: config.window,
            neighbours: body.neighbours,
        };
        let shape = [input.rows, input.columns, config.hidden];
        Ok(Pass { rooms, attention, shape, wanted: None, owed: false })
    }

    fn embed(
        &mut self,
        body: &Body,
        input: &TokensOf<O>,
        pass: &mut Pass<O::Buffer>,
    ) -> Result<()> {
        let (count, rooms) = (input.rows * input.columns, &mut pass.rooms);
        let mut pairs = vec![(&input.ids, body.words)];
        pairs.extend(input.positions.as_ref().zip(body.positions));
        pairs.extend(input.types.as_ref().zip(body.types));
        match &body.embedded {
            None => self.ops.gather(&pairs, count, &mut rooms.state)?,
            Some(norm) => {
                self.ops.gather(&pairs, count, &mut rooms.part)?;
                self.ops.norm(
                    &mut rooms.part,
                    None,
                    count,
                    norm,
                    (false, &[]),
                    &mut rooms.state,
                )?;
            }
        }
        self.show("embeddings", &pass.shape, &rooms.state)
    }

    /// Runs the attention block of a layer.
    ///
    /// # Errors
    /// If memory runs out or the device fails. The same holds for the other blocks.
    pub fn attention_block(
        &mut self,
        (n, layer): (usize, &Layer),
        input: &TokensOf<O>,
        pass: &mut Pass<O::Buffer>,
    ) -> Result<()> {
        self.ops.enter(n)?;
        let Pass { rooms, attention, shape, owed, .. } = &mut *pass;
        let body = self.runnable.body()?;
        let first = body.norms_first;
        if first {
            let (count, norm) = (shape[0] * shape[1], &layer.attention_norm);
            let Rooms { state, part, normed, .. } = &mut *rooms;
            let readers = self.only_readers(&layer.queries_keys_values);
            let residual = owed.then_some(&*part);
            self.ops.norm(state, residual, count, norm, (*owed, readers), normed)?;
            *owed = false;
            self.show(&within(n, "input_norm"), shape, &rooms.normed)?;
        }
        self.attend((n, layer), attention, input, rooms, first)?;
        if let Some(wanted) = pass.wanted
            && n + 1 == body.layers.len()
        {
            self.narrow(wanted, input, pass)?;
        }
        let Pass { rooms, shape, .. } = pass;
        self.ops.linear(&rooms.mixed, shape[0] * shape[1], &[layer.join], None, &mut rooms.part)?;
        if first {
            self.show(&within(n, "attention"), shape, &rooms.part)?;
        }
        Ok(())
    }

    /// The layers that read a result, if nothing else does. A trace reads every result.
    fn only_readers<'l>(&self, layers: &'l [Linear]) -> &'l [Linear] {
        if self.see.is_some() { &[] } else { layers }
    }

    /// Goes on with one state of each sentence alone. Behind the last attention, no state depends on another.
    fn narrow(
        &mut self,
        wanted: Pool,
        input: &TokensOf<O>,
        pass: &mut Pass<O::Buffer>,
    ) -> Result<()> {
        let Pass { rooms: Rooms { state, mixed, .. }, attention, shape, .. } = pass;
        let [rows, columns, hidden] = *shape;
        for (states, width) in [(state, hidden), (mixed, attention.heads * attention.head_size)] {
            let mut one = self.ops.buffer(rows * width)?;
            self.ops.pool(wanted, states, (rows, columns, width), &input.mask, &mut one)?;
            *states = one;
        }
        shape[1] = 1;
        Ok(())
    }

    /// Adds the attention block's output to the states, and runs the feed-forward block.
    ///
    /// # Errors
    /// As above.
    pub fn forward_block(
        &mut self,
        (n, layer): (usize, &Layer),
        pass: &mut Pass<O::Buffer>,
    ) -> Result<()> {
        let Pass { rooms, shape, .. } = pass;
        let count = shape[0] * shape[1];
        let Rooms { state, part, normed, .. } = &mut *rooms;
        if !self.runnable.body()?.norms_first {
            self.ops.norm(part, Some(state), count, &layer.attention_norm, (false, &[]), normed)?;
            return self.feed_forward(layer, count, rooms);
        }
        let readers = self.only_readers(&layer.widen);
        self.ops.norm(state, Some(part), count, &layer.forward_norm, (true, readers), normed)?;
        self.show(&within(n, "forward_norm"), shape, &rooms.normed)?;
        self.feed_forward(layer, count, rooms)?;
        let inner = [shape[0], shape[1], self.runnable.config.inner];
        self.show(&within(n, "inner"), &inner, &rooms.inner)?;
        self.show(&within(n, "forward"), shape, &rooms.part)
    }

    /// Adds the feed-forward block's output to the states, or leaves that to the next layer.
    ///
    /// # Errors
    /// As above.
    pub fn end_layer(
        &mut self,
        (n, layer): (usize, &Layer),
        pass: &mut Pass<O::Buffer>,
    ) -> Result<()> {
        let (values, body) = (pass.values(), self.runnable.body()?);
        let Pass { rooms: Rooms { state, part, normed, .. }, shape, owed, .. } = pass;
        if body.norms_first {
            // A trace shows the sum.
            if n + 1 < body.layers.len() && self.see.is_none() {
                *owed = true;
                return Ok(());
            }
            self.ops.add(state, part, values)?;
        } else {
            let count = shape[0] * shape[1];
            self.ops.norm(part, Some(normed), count, &layer.forward_norm, (false, &[]), state)?;
        }
        self.show(&format!("layer.{n}"), shape, state)
    }

    /// Runs attention from `normed` or `state` into `mixed`.
    fn attend(
        &mut self,
        (n, layer): (usize, &Layer),
        attention: &AttentionParams,
        input: &TokensOf<O>,
        rooms: &mut Rooms<O::Buffer>,
        normed: bool,
    ) -> Result<()> {
        let count = input.rows * input.columns;
        let wide = attention.heads * attention.head_size;
        let narrow = attention.key_heads * attention.head_size;
        let stride = wide + 2 * narrow;
        let from = if normed { &rooms.normed } else { &rooms.state };
        self.ops.linear(from, count, &layer.queries_keys_values, None, &mut rooms.three)?;
        if normed {
            let shape = [input.rows, input.columns, stride];
            self.show(&format!("layer.{n}.qkv"), &shape, &rooms.three)?;
        }
        if let Some((queries, keys)) = &layer.head_norms {
            let (heads, key_heads) = (attention.heads, attention.key_heads);
            let three = &mut rooms.three;
            self.ops.norm_heads(three, (0, stride), count, heads, queries)?;
            self.ops.norm_heads(three, (wide, stride), count, key_heads, keys)?;
        }
        if let Some(turns) = &input.turns {
            // The keys lie behind the queries.
            let heads = attention.heads + attention.key_heads;
            self.ops.rotate(&mut rooms.three, (0, stride), heads, attention, turns)?;
        }
        let view = |column| View { buffer: &rooms.three, column, stride };
        let (keys_at, values_at) = self.runnable.body()?.columns;
        let (queries, mut keys, mut values) = (view(0), view(keys_at), view(values_at));
        if let Some(cache) = &mut self.cache {
            let (all_keys, all_values) = &mut cache.layers[n];
            self.ops.keep((keys, values), count, narrow, input.past, (all_keys, all_values))?;
            keys = View { buffer: all_keys, column: 0, stride: narrow };
            values = View { buffer: all_values, column: 0, stride: narrow };
        }
        let attention = (attention, input.past);
        self.ops.attend(attention, queries, keys, values, &input.mask, &mut rooms.mixed)
    }

    /// Runs the feed-forward block from `normed` into `part`.
    fn feed_forward(
        &mut self,
        layer: &Layer,
        count: usize,
        rooms: &mut Rooms<O::Buffer>,
    ) -> Result<()> {
        let (activation, width) = (self.runnable.config.activation, self.runnable.config.inner);
        if self.runnable.body()?.gated {
            let Rooms { normed, both, inner, .. } = &mut *rooms;
            let gate = (width, activation);
            let reader = self.only_readers(slice::from_ref(&layer.narrow)).first();
            self.ops.linear_gated(normed, count, &layer.widen, gate, (both, inner), reader)?;
        } else {
            let activation = Some(activation);
            self.ops.linear(&rooms.normed, count, &layer.widen, activation, &mut rooms.inner)?;
        }
        self.ops.linear(&rooms.inner, count, &[layer.narrow], None, &mut rooms.part)
    }
}

/// The name of a state within a layer.
fn within(layer: usize, what: &str) -> String {
    format!("layer.{layer}.{what}")
}

/// The buffers that all layers share.
struct Rooms<B> {
    /// The residual stream, which goes from layer to layer.
    state: B,
    normed: B,
    /// The output of an attention or feed-forward block, before it is added.
    part: B,
    mixed: B,
    three: B,
    inner: B,
    both: B,
}
