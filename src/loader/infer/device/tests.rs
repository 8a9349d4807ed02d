//! Tests how a model is described to a device, as far as no device is needed.

use super::decode::forms;
use super::*;
use crate::contract::Code;
use crate::gpu::{DecoderForms, HeadShape, LinearShape, NormShape};
use crate::loader::infer::tests::{bert, decoder, projection};
use crate::loader::memory::block::tests::empty;

#[test]
fn heads_that_have_no_kernel_are_named() {
    let mut model = decoder().runnable().expect("a sound model");
    for (size, named) in [(4, None), (1024, None), (1025, Some("heads larger than 1,024"))] {
        model.config.head_size = size;
        assert_eq!(not_yet(&model), named, "{size}");
    }
    let mut layer = projection().runnable().expect("a sound model");
    layer.config.head_size = 1025;
    assert_eq!(not_yet(&layer), None, "it has no heads");
}

#[test]
fn a_weight_is_in_the_models_memory_and_of_a_type_that_is_multiplied() {
    let model = decoder().runnable().expect("a sound model");
    let words = model.body().expect("a body").words;
    let error = stored(&empty(0), &words).map(drop).expect_err("no memory");
    assert_eq!((error.code(), &*error.failure().message), (Code::Internal, "an empty model"));
    for (dtype, wanted) in [
        (DType::F32, Some(Element::F32)),
        (DType::F16, Some(Element::F16)),
        (DType::BF16, Some(Element::BF16)),
        (DType::I64, None),
        (DType::F64, None),
    ] {
        assert_eq!(element(dtype), wanted, "{dtype}");
    }
}

#[test]
fn a_decoder_has_a_form_for_each_product_and_an_encoder_none() {
    assert!(forms(&bert().runnable().expect("a sound model")).is_none());
    assert!(forms(&projection().runnable().expect("a sound model")).is_none());
    let tiny = decoder();
    let made = forms(&tiny.runnable().expect("a sound model")).expect("a decoder");
    // Four query heads and two key heads of four values, as in Qwen2: biases in the first projections alone.
    let heads = HeadShape {
        group: 2,
        size: 4,
        windowed: false,
        rotary: true,
        neighbours: false,
        norms: None,
    };
    let mut wanted = DecoderForms::new(heads);
    let norm = NormShape { rms: true, element: Element::F32, bias: None };
    let placed = tiny.placed().0;
    let shape = |name: &str, bias: bool| {
        let tensor = placed.iter().find(|tensor| tensor.info.name.ends_with(name)).expect(name);
        let (outputs, inner) = (tensor.info.shape[0] as usize, tensor.info.shape[1] as usize);
        let bias = bias.then_some(Element::F32);
        let (element, offset) = (Element::F32, tensor.offset);
        LinearShape { element, outputs, inner, offset, bias, turned: false }
    };
    let three = ["q_proj", "k_proj", "v_proj"];
    let three = three.map(|name| shape(&format!("layers.0.self_attn.{name}.weight"), true));
    let pair = ["gate_proj", "up_proj"];
    let pair = pair.map(|name| shape(&format!("layers.0.mlp.{name}.weight"), false));
    wanted.add(&three, Some(norm), ActivationParams::Plain);
    wanted.add(&[shape("layers.0.self_attn.o_proj.weight", false)], None, ActivationParams::Plain);
    wanted.add_gated(&pair, norm, ActivationParams::Silu);
    wanted.add(&[shape("layers.0.mlp.down_proj.weight", false)], None, ActivationParams::Plain);
    wanted.add(&[shape("embed_tokens.weight", false)], Some(norm), ActivationParams::Plain);
    assert_eq!(made, wanted);
}

#[test]
fn each_activation_has_its_own_kernel() {
    for (activation, wanted) in [
        (Activation::Gelu, ActivationParams::Gelu),
        (Activation::GeluTanh, ActivationParams::GeluTanh),
        (Activation::Silu, ActivationParams::Silu),
        (Activation::Relu, ActivationParams::Relu),
    ] {
        assert_eq!(activated(activation), wanted);
    }
}
