//! The first stage of a load: the files are open, their headers are checked, and the device is
//! open. No weight was read.

use super::context::LoadContext;
use crate::contract::plan::LoadStep;
use crate::contract::{Device, Phase};
use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, Result, wire_name};
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::infer::compute;
use crate::loader::infer::device::not_yet;
use crate::loader::infer::{RunnableModel, Search};
use crate::loader::open::files::Files;
use crate::loader::parallel::Divided;
use crate::loader::read::digest;
use crate::loader::remedies::index_and_seal::SEAL_OTHER_FORMAT;

/// Open files with checked headers, and an open device.
pub struct Opened<'a> {
    /// The load.
    pub(super) context: LoadContext<'a>,
    /// The device that receives the data.
    pub(super) device: Device,
    /// The files.
    pub(super) files: Files,
    /// All their tensors. Offsets count from the start of the memory of a whole model.
    pub(super) tensors: Vec<PlacedTensor>,
    /// How to run the model, if the request is for inference.
    pub(super) runnable: Option<RunnableModel>,
    /// The slices of every rank, if the request divides the model.
    pub(super) divided: Option<Divided>,
    /// The SHA-256 that the request expects.
    pub(super) asked_sha256: Option<[u8; 32]>,
}

impl<'a> Opened<'a> {
    /// Checks the request, opens the files and the device.
    ///
    /// # Errors
    /// Those of the request, of opening, of headers, of the model's parts and of the device.
    pub fn open(mut context: LoadContext<'a>, gpus: &mut Gpus) -> Result<Opened<'a>> {
        let LoadContext { request, decisions, .. } = context;
        if request.seal.is_some() && !request.format.is_usual() {
            let message = "seals work with safetensors files only";
            return Err(LoadError::unsupported(Phase::Request, SEAL_OTHER_FORMAT, message)
                .expected(
                    "a load without a seal",
                    format!("{} with one", wire_name(&request.format)),
                ));
        }
        let asked = request.expect_sha256.as_deref();
        let asked_sha256 = asked.map(|text| digest::parse("expect_sha256", text)).transpose()?;
        let open = || {
            let runs = request.inference.is_some();
            let files = Files::open(&request.path, request.format, decisions, request.keep, runs)?;
            let tensors = files.tensors();
            Ok::<_, LoadError>((files, tensors))
        };
        // Refuse a model that cannot run before any device is used.
        let early = match &request.inference {
            None => None,
            Some(inference) => {
                let (files, tensors) = open()?;
                let documents = files.documents();
                let mut runnable =
                    decisions.model(&Search { inference, documents, tensors: &tensors })?;
                runnable.parts.also_unused(files.left_out());
                if let Some(what) = not_yet(&runnable).filter(|_| request.device.is_gpu()) {
                    return Err(LoadError::no_kernel(what));
                }
                compute::check(&runnable, request)?;
                Some((files, tensors, runnable))
            }
        };
        let divided = match &request.parallel {
            None => None,
            Some(asked) => {
                let (counts, tensors, runnable) = match &early {
                    Some((files, tensors, runnable)) => {
                        (files.counts().collect(), tensors.as_slice(), Some(runnable))
                    }
                    None => (Vec::new(), [].as_slice(), None),
                };
                let made = Divided::of(request, asked, (tensors, &counts), runnable)?;
                Some(decisions.divided(made, tensors))
            }
        };
        context.watch.lap(LoadStep::Parse);
        let others = divided.iter().flat_map(|divided| &divided.ranks).map(|rank| rank.at.device);
        let opened =
            [request.device].into_iter().chain(others).try_for_each(|device| match device {
                Device::Cpu => Ok(()),
                Device::Cuda(ordinal) => gpus.context(ordinal).map(drop),
            });
        let device = decisions.device(request.device, opened)?;
        if let (Some((.., runnable)), Device::Cuda(ordinal)) = (&early, device) {
            compute::check_device(runnable.compute, &gpus.context(ordinal)?, ordinal)?;
        }
        context.watch.lap(LoadStep::Allocate);
        let (files, tensors, runnable) = match early {
            Some((files, tensors, runnable)) => (files, tensors, Some(runnable)),
            None => {
                let (files, tensors) = open()?;
                (files, tensors, None)
            }
        };
        context.watch.lap(LoadStep::Parse);
        Ok(Opened { context, device, files, tensors, runnable, divided, asked_sha256 })
    }
}
