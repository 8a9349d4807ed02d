//! Tests whether a decoder is streamed, and where its weights are placed.

use super::{Tiny, bert};
use crate::contract::plan::{MemoryPlan, Residency};
use crate::contract::{Code, DType, Device};
use crate::gpu::Runner;
use crate::loader::decisions::Honest;
use crate::loader::error::{LoadError, Result};
use crate::loader::infer::RunnableModel;
use crate::loader::infer::residence::{each, lay_out};
use crate::loader::load::memory_plan::{Card, Fit, OVERHEAD, decide};

/// A decoder with an unused tensor between the layers in its file.
fn decoder() -> Tiny {
    let mut model = super::decoder();
    model.add("stray.weight", &[100, 7]);
    let stray = model.tensors.pop().unwrap();
    model.tensors.insert(9, stray);
    model
}

fn planned(model: &Tiny, free: u64) -> (RunnableModel, Result<Option<Fit>>) {
    let mut runnable = model.runnable().unwrap();
    let bytes = model.placed().1.len() as u64;
    let planned = decide(
        &mut runnable,
        Device::Cuda(0),
        bytes,
        Some(Card { free, multiplies_parts: false }),
        &Honest,
    );
    (runnable, planned)
}

fn plan(model: &Tiny, free: u64) -> MemoryPlan {
    planned(model, free).1.unwrap().unwrap().plan
}

#[test]
fn the_last_free_byte_decides() {
    let model = decoder();
    let whole = plan(&model, u64::MAX);
    assert_eq!(whole.mode, Residency::Whole);
    assert_eq!(plan(&model, whole.needed_bytes()), whole);
    let streamed = plan(&model, whole.needed_bytes() - 1);
    assert_eq!(streamed.mode, Residency::Streamed);
    assert!(streamed.device_bytes < whole.device_bytes, "{streamed:?}");
    assert_eq!(plan(&model, streamed.needed_bytes()), streamed);
    let short = streamed.needed_bytes() - 1;
    let error: LoadError = planned(&model, short).1.unwrap_err();
    assert_eq!(error.code(), Code::OutOfDeviceMemory);
    let failure = error.failure();
    let told = (failure.requested_bytes, failure.available_bytes);
    assert_eq!(told, (Some(short + 1), Some(short)));
}

#[test]
fn weights_and_cache_are_counted() {
    let model = decoder();
    let plan = plan(&model, u64::MAX);
    let used = model.tensors.iter().filter(|(name, ..)| name != "stray.weight");
    let used: usize = used.map(|(_, _, values)| values.len() * 4).sum();
    assert_eq!(plan.weights_bytes, used as u64);
    // Two layers, keys and values, 32 tokens, two heads of size four, F32.
    assert_eq!((plan.tokens, plan.cache_bytes), (32, 2 * 2 * 32 * 2 * 4 * 4));
    assert!(plan.workspace_bytes > OVERHEAD);
    assert_eq!(plan.device_bytes, model.placed().1.len() as u64);
}

#[test]
fn products_by_parts_need_no_copies_of_weights() {
    let workspace = |dtype: DType, multiplies_parts: bool| {
        let mut runnable = decoder().runnable().unwrap();
        each(runnable.parts.body.as_mut().unwrap(), &mut |_, weight| {
            (weight.dtype, weight.offset) = (dtype, 0);
            weight.columns = weight.columns.next_multiple_of(8);
        });
        let card = Some(Card { free: u64::MAX, multiplies_parts });
        let planned = decide(&mut runnable, Device::Cuda(0), 0, card, &Honest);
        planned.unwrap().unwrap().plan.workspace_bytes
    };
    assert!(workspace(DType::BF16, true) < workspace(DType::BF16, false));
    // Other weights are multiplied in the same way by every device, and take no parts.
    assert_eq!(workspace(DType::F32, true), workspace(DType::F32, false));
    assert!(workspace(DType::F32, false) < workspace(DType::BF16, false));
}

#[test]
fn tiles_for_attention_on_tensor_cores_are_counted() {
    let workspace = |multiplies_parts: bool| {
        let mut runnable = decoder().runnable().unwrap();
        (runnable.config.head_size, runnable.config.longest) = (64, 200);
        let card = Some(Card { free: u64::MAX, multiplies_parts });
        let planned = decide(&mut runnable, Device::Cuda(0), 0, card, &Honest);
        planned.unwrap().unwrap().plan.workspace_bytes
    };
    let tiles = Runner::attention_bytes(200, 2, 64);
    assert!(tiles > 0);
    assert_eq!(workspace(true), workspace(false) + tiles);
}

#[test]
fn an_encoder_has_no_plan() {
    let model = bert();
    assert_eq!(planned(&model, 0).1.unwrap(), None);
}

/// After a layer is copied, all its weights have the right bytes. Weights outside the layers stay.
#[test]
fn every_weight_is_where_it_is_read() {
    for model in [decoder(), misplaced()] {
        let (home, mut body) = (model.placed().1, model.runnable().unwrap().parts.body.unwrap());
        let mut from = Vec::new();
        each(&mut body, &mut |layer, weight| from.push((layer, *weight)));
        let layout = lay_out(&mut body);
        let mut to = Vec::new();
        each(&mut body, &mut |_, weight| to.push(*weight));
        let mut device = vec![0xaa; layout.bytes as usize];
        let copy = |device: &mut Vec<u8>, pieces: &[crate::gpu::Piece]| {
            for piece in pieces {
                let from = piece.from as usize..(piece.from + piece.bytes) as usize;
                let to = piece.to as usize..(piece.to + piece.bytes) as usize;
                device[to].copy_from_slice(&home[from]);
            }
        };
        copy(&mut device, &layout.resident);
        // Layer 0 comes again after layer 1: no bytes of the previous layer may remain.
        for now in [0, 1, 0] {
            copy(&mut device, &layout.layers[now]);
            for ((layer, from), to) in from.iter().zip(&to) {
                if layer.is_some_and(|layer| layer != now) {
                    continue;
                }
                let bytes = from.rows * from.columns * 4;
                let (a, b) = (from.offset as usize, to.offset as usize);
                assert_eq!(home[a..a + bytes], device[b..b + bytes], "{from:?} at {to:?}");
                assert_eq!(a % 256, b % 256, "{from:?} is read another way");
            }
        }
    }
}

/// The same decoder, with a layer's tensors spread over the file and one tensor that two layers
/// share.
fn misplaced() -> Tiny {
    let mut model = decoder();
    let count = model.tensors.len();
    let order: Vec<usize> = (0..count).map(|at| at * 5 % count).collect();
    assert_ne!(count % 5, 0, "every tensor comes once");
    model.tensors = order.into_iter().map(|at| model.tensors[at].clone()).collect();
    model
}

#[test]
fn what_two_layers_use_stays() {
    let mut body = decoder().runnable().unwrap().parts.body.unwrap();
    body.layers[1].join = body.layers[0].join;
    let shared = body.layers[0].join.weight.offset;
    let layout = lay_out(&mut body);
    let holds =
        |piece: &crate::gpu::Piece| (piece.from..piece.from + piece.bytes).contains(&shared);
    assert!(layout.resident.iter().any(holds));
    assert_eq!(body.layers[0].join, body.layers[1].join);
}

#[test]
fn unused_tensors_are_named() {
    assert_eq!(decoder().runnable().unwrap().parts.unused, ["stray.weight"]);
    assert!(bert().runnable().unwrap().parts.unused.is_empty());
}
