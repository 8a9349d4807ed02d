//! Whether a model can compute with activations that are rounded to BF16, and what refuses it.
//!
//! The rounding is asked for by name. A model that would compute in another way, even a more exact
//! one, is refused, so that times and errors that were measured are those of the named mode.

use crate::contract::inference::{Compute, OutputKind};
use crate::contract::request::Load;
use crate::contract::{DType, Phase};
use crate::gpu::{Context, ForwardKernels, Precision};
use crate::loader::device::fault;
use crate::loader::error::{LoadError, Result};
use crate::loader::remedies::Remedy;
use crate::loader::remedies::device_and_memory::{
    COMPUTE_CAPABILITY_OF_BF16, COMPUTE_DIVIDED, COMPUTE_NO_LOGITS, COMPUTE_ON_HOST,
    COMPUTE_WEIGHTS,
};

use super::RunnableModel;
use super::ops::Linear;

/// The precision of the kernels.
pub fn precision(compute: Compute) -> Precision {
    match compute {
        Compute::Exact => Precision::Exact,
        Compute::Bf16 => Precision::Bf16,
    }
}

/// Checks a request for rounded activations before any device is used.
///
/// # Errors
/// `unsupported_capability` on the host, for a divided model, for another output than logits, and for
/// weights that are not BF16 as tensor cores read them.
pub fn check(runnable: &RunnableModel, request: &Load) -> Result<()> {
    if runnable.compute == Compute::Exact {
        return Ok(());
    }
    if !request.device.is_gpu() {
        return Err(refused(COMPUTE_ON_HOST, "a CUDA device", request.device));
    }
    if request.parallel.is_some() {
        return Err(refused(COMPUTE_DIVIDED, "a model on one device", "a divided model"));
    }
    if runnable.head.gives() != OutputKind::Logits {
        return Err(refused(
            COMPUTE_NO_LOGITS,
            "a decoder that gives logits",
            runnable.head.gives(),
        ));
    }
    let body = runnable.body()?;
    match body.products().chain(&body.language).find(|layer| !is_readable(layer)) {
        None => Ok(()),
        Some(Linear { weight, transposed, .. }) => {
            let order = if *transposed { "[in, out]" } else { "[out, in]" };
            let (rows, columns) = (weight.rows, weight.columns);
            let found = format!("{} of {rows} x {columns}, {order}", weight.dtype);
            let wanted = "BF16 weights, [out, in], with a multiple of eight columns";
            Err(refused(COMPUTE_WEIGHTS, wanted, found))
        }
    }
}

/// Checks that a device has the kernels, when it is open.
///
/// # Errors
/// `compute_capability`, `device_fault`.
pub fn check_device(compute: Compute, context: &Context, ordinal: u32) -> Result<()> {
    let failed = |error| fault(ordinal, Phase::Preflight, &error);
    if ForwardKernels::serves(context, precision(compute)).map_err(failed)? {
        return Ok(());
    }
    let (major, minor) = context.compute_capability().map_err(failed)?;
    Err(LoadError::unsupported(Phase::Preflight, COMPUTE_CAPABILITY_OF_BF16, MESSAGE)
        .expected("compute capability 9.0", format!("{major}.{minor}")))
}

const MESSAGE: &str = "activations cannot be rounded to BF16 here";

fn refused(cause: Remedy, wanted: &str, found: impl ToString) -> LoadError {
    LoadError::unsupported(Phase::Request, cause, MESSAGE).expected(wanted, found)
}

/// Whether the tensor cores read a layer's weight without a copy. The memory of a model begins at a
/// multiple of 256 bytes.
fn is_readable(layer: &Linear) -> bool {
    let Linear { weight, transposed, .. } = layer;
    weight.dtype == DType::BF16
        && !transposed
        && weight.columns.is_multiple_of(8)
        && weight.offset.is_multiple_of(16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::inference::Head;
    use crate::contract::parallel::Parallel;
    use crate::contract::{Code, Device};
    use crate::loader::infer::tests::{bert, decoder};

    /// A decoder that asks for rounding, with BF16 weights.
    fn rounded() -> RunnableModel {
        let mut model = decoder().runnable().expect("a sound model");
        model.compute = Compute::Bf16;
        let body = model.parts.body.as_mut().expect("a body");
        let mut offset = 0;
        crate::loader::infer::residence::each(body, &mut |_, weight| {
            (weight.dtype, weight.offset) = (DType::BF16, offset);
            weight.columns = weight.columns.next_multiple_of(8);
            offset += 64;
        });
        model
    }

    fn on(device: Device) -> Load {
        Load::plain("m", device)
    }

    #[test]
    fn what_cannot_be_rounded_is_refused_by_name() {
        let gpu = Device::Cuda(0);
        assert_eq!(check(&rounded(), &on(gpu)), Ok(()));
        let parallel = Some(Parallel { tp: 1, pp: 1, replicas: 1, ranks: Vec::new() });
        let changed = |change: &dyn Fn(&mut RunnableModel)| {
            let mut model = rounded();
            change(&mut model);
            model
        };
        let narrow = |change: fn(&mut Linear)| {
            move |model: &mut RunnableModel| {
                let body = model.parts.body.as_mut().expect("a body");
                change(&mut body.layers[1].narrow);
            }
        };
        let mut encoder = bert().runnable().expect("a sound model");
        encoder.compute = Compute::Bf16;
        for (model, request, found) in [
            (rounded(), on(Device::Cpu), "cpu"),
            (rounded(), Load { parallel, ..on(gpu) }, "a divided model"),
            (encoder, on(gpu), "embedding"),
            (
                changed(&narrow(|layer| layer.weight.dtype = DType::F32)),
                on(gpu),
                "F32 of 8 x 16, [out, in]",
            ),
            (
                changed(&narrow(|layer| layer.transposed = true)),
                on(gpu),
                "BF16 of 8 x 16, [in, out]",
            ),
            (
                changed(&narrow(|layer| layer.weight.columns = 12)),
                on(gpu),
                "BF16 of 8 x 12, [out, in]",
            ),
        ] {
            let error = check(&model, &request).expect_err(found);
            let failure = error.failure();
            assert_eq!((failure.code, failure.phase), {
                (Code::UnsupportedCapability, Phase::Request)
            });
            assert_eq!(failure.actual.as_deref(), Some(found));
            let exact = RunnableModel { compute: Compute::Exact, ..model };
            assert_eq!(check(&exact, &request), Ok(()), "exact is always served: {found}");
        }
    }

    #[test]
    fn an_output_of_a_decoder_that_is_no_logits_is_refused() {
        let mut model = rounded();
        model.head = Head::TokenStates { projection: None, normalize: false };
        let error = check(&model, &on(Device::Cuda(0))).expect_err("token states");
        assert_eq!(error.failure().actual.as_deref(), Some("token_states"));
    }
}
