//! Decides which weights of a streamed decoder stay on the device, and which are copied there layer
//! by layer.
//!
//! Weights that only one layer uses are copied to a region that all layers share. All other used
//! weights stay on the device. Unused tensors stay in host memory. Every range keeps its address
//! modulo 256 bytes, so that kernels read it in the same way as in a model that is held whole.

use std::collections::BTreeMap;

use crate::gpu::Piece;

use super::body::{Body, Layer};
use super::ops::{Linear, Norm, Weight};
use crate::loader::memory::layout::Layout;

/// Kernels and libraries choose how to read a weight by its address modulo this, in bytes.
const ALIGNMENT: u64 = 256;

/// A range of a model's memory: offset and length, in bytes.
type Span = (u64, u64);

/// Computes the layout, and changes the offsets of the body's weights to their positions on the
/// device.
pub fn lay_out(body: &mut Body) -> Layout {
    let mut layers = vec![Vec::new(); body.layers.len()];
    let mut resident = Vec::new();
    for (span, user) in users(body) {
        match user {
            Some(layer) => layers[layer].push(span),
            None => resident.push(span),
        }
    }
    let (resident, end) = place(resident, 0);
    let start = end.next_multiple_of(ALIGNMENT);
    let placed: Vec<_> = layers.into_iter().map(|spans| place(spans, start)).collect();
    let bytes = placed.iter().map(|(_, end)| *end).max().unwrap_or(end).max(1);
    let layers: Vec<_> = placed.into_iter().map(|(pieces, _)| pieces).collect();
    each(body, &mut |user, weight| {
        let own = user.and_then(|layer| layers.get(layer));
        let there = own.into_iter().flatten().chain(&resident);
        let holds =
            |piece: &&Piece| (piece.from..piece.from + piece.bytes).contains(&weight.offset);
        if let Some(piece) = there.into_iter().find(holds) {
            weight.offset = piece.to + (weight.offset - piece.from);
        }
    });
    Layout { resident, layers, bytes }
}

/// Bytes of the weights that a body uses, each counted once.
pub fn used_bytes(body: &mut Body) -> u64 {
    users(body).keys().map(|(_, bytes)| bytes).sum()
}

/// Returns every used range, and the layer that uses it; `None` if several layers do, or if it is
/// outside the layers.
fn users(body: &mut Body) -> BTreeMap<Span, Option<usize>> {
    let mut users: BTreeMap<Span, Option<usize>> = BTreeMap::new();
    each(body, &mut |user, weight| {
        let bytes = (weight.rows * weight.columns) as u64 * weight.dtype.bits() / 8;
        let known = users.entry((weight.offset, bytes)).or_insert(user);
        if *known != user {
            *known = None;
        }
    });
    users
}

/// Assigns positions to ranges, in order, from `end` on. Ranges with a gap below 256 bytes become
/// one piece.
fn place(spans: Vec<Span>, mut end: u64) -> (Vec<Piece>, u64) {
    let mut pieces: Vec<Piece> = Vec::new();
    for (from, bytes) in spans {
        let near = |last: &&mut Piece| from.saturating_sub(last.from + last.bytes) < ALIGNMENT;
        match pieces.last_mut().filter(near) {
            Some(last) => last.bytes = last.bytes.max(from + bytes - last.from),
            None => {
                let to = end.next_multiple_of(ALIGNMENT) + from % ALIGNMENT;
                pieces.push(Piece { from, to, bytes });
            }
        }
        end = pieces.last().map_or(end, |last| last.to + last.bytes);
    }
    (pieces, end)
}

/// Calls `see` with every weight and the layer that it belongs to.
pub(super) fn each(body: &mut Body, see: &mut dyn FnMut(Option<usize>, &mut Weight)) {
    let Body { words, positions, types, embedded, layers, last, vocabulary, language, .. } = body;
    let mut outside = |weight: &mut Weight| see(None, weight);
    outside(words);
    positions.iter_mut().chain(types).for_each(&mut outside);
    embedded.iter_mut().chain(last).for_each(|norm| of_norm(norm, &mut outside));
    language.iter_mut().for_each(|head| of_linear(head, &mut outside));
    if let Some(head) = vocabulary {
        of_linear(&mut head.transform, &mut outside);
        of_norm(&mut head.norm, &mut outside);
        of_linear(&mut head.decoder, &mut outside);
    }
    for (n, layer) in layers.iter_mut().enumerate() {
        of_layer(layer, &mut |weight| see(Some(n), weight));
    }
}

fn of_layer(layer: &mut Layer, see: &mut dyn FnMut(&mut Weight)) {
    let Layer { queries_keys_values, head_norms, join, attention_norm, .. } = layer;
    queries_keys_values.iter_mut().for_each(|part| of_linear(part, see));
    if let Some((queries, keys)) = head_norms {
        of_norm(queries, see);
        of_norm(keys, see);
    }
    of_linear(join, see);
    of_norm(attention_norm, see);
    layer.widen.iter_mut().for_each(|part| of_linear(part, see));
    of_linear(&mut layer.narrow, see);
    of_norm(&mut layer.forward_norm, see);
}

fn of_linear(layer: &mut Linear, see: &mut dyn FnMut(&mut Weight)) {
    see(&mut layer.weight);
    layer.bias.iter_mut().for_each(see);
}

fn of_norm(norm: &mut Norm, see: &mut dyn FnMut(&mut Weight)) {
    see(&mut norm.weight);
    norm.bias.iter_mut().for_each(see);
}
