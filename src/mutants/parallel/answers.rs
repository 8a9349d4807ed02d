//! Replaced answers to loads that divide a model.

use std::path::PathBuf;

use crate::contract::parallel::{Parallel, RankPlace};
use crate::contract::reply::{Loaded, Reply};
use crate::contract::request::{Load, Request};
use crate::contract::{Class, Code, Device, Loader};
use crate::loader::ReferenceLoader;
use crate::mutants::between::{Answer, Between};

/// Loads the whole model to every rank where the grid does not divide it.
pub(super) struct FallsBack;

impl Between for FallsBack {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let answer = loader.answer(request.clone());
        let (Err(failure), Request::Load(Load { parallel: Some(asked), .. })) = (&answer, &request)
        else {
            return answer;
        };
        if failure.class != Class::Unsupported {
            return answer;
        }
        let Request::Load(load) = request.clone() else { return answer };
        // As many replicas as ranks.
        let replicas = u32::try_from(asked.world().unwrap_or(1)).unwrap_or(1);
        let ranks = asked.ranks.clone();
        let whole = Parallel { tp: 1, pp: 1, replicas, ranks };
        loader.answer(Request::Load(Load { parallel: Some(whole), ..load }))
    }
}

/// Makes ranks that are no grid into one that is.
pub(super) struct MadeToFit;

impl Between for MadeToFit {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let answer = loader.answer(request.clone());
        let (Err(failure), Request::Load(load)) = (&answer, request) else { return answer };
        let Some(mut fitting) = load.parallel.clone() else { return answer };
        if failure.code != Code::InvalidRequest {
            return answer;
        }
        for degree in [&mut fitting.tp, &mut fitting.pp, &mut fitting.replicas] {
            *degree = (*degree).max(1);
        }
        let world = u32::try_from(fitting.world().unwrap_or(1)).unwrap_or(u32::MAX);
        let mut ranks: Vec<RankPlace> = Vec::new();
        for one in fitting.ranks {
            let one = RankPlace { rank: one.rank % world, ..one };
            let taken = |other: &RankPlace| {
                other.rank == one.rank || one.device.is_gpu() && other.device == one.device
            };
            if !ranks.iter().any(taken) {
                ranks.push(one);
            }
        }
        fitting.ranks = ranks;
        loader.answer(Request::Load(Load { parallel: Some(fitting), ..load }))
    }
}

/// Reads all files once for every rank.
pub(super) struct ReadByEach;

impl Between for ReadByEach {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        for file in files_of_each(&request) {
            // What cannot be read is refused by the load.
            let _read = std::fs::read(file);
        }
        loader.answer(request)
    }
}

/// Holds all files in memory for every rank.
pub(super) struct ForEachRank;

impl Between for ForEachRank {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let held: Vec<_> = files_of_each(&request).iter().map(std::fs::read).collect();
        let answer = loader.answer(request);
        drop(held);
        answer
    }
}

/// The files of a divided load, once for each rank.
fn files_of_each(request: &Request) -> Vec<PathBuf> {
    let Request::Load(Load { path, parallel: Some(asked), .. }) = request else {
        return Vec::new();
    };
    let beside = path.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    let files: Vec<_> = beside.into_iter().flatten().flatten().map(|file| file.path()).collect();
    asked.ranks.iter().flat_map(|_| files.clone()).collect()
}

/// Keeps the whole model on the card of the first rank.
pub(super) struct BesideSlices;

impl Between for BesideSlices {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        if let Request::Load(load) = &request
            && let Some(first) = load.parallel.as_ref().and_then(|asked| asked.ranks.first())
        {
            // Nobody learns its handle, so nobody unloads it.
            let whole = Load { parallel: None, device: first.device, ..load.clone() };
            let _kept = loader.answer(Request::Load(whole));
        }
        loader.answer(request)
    }
}

/// Leaves the last rank out of an answer.
pub(super) struct LastRankLeftOut;

impl Between for LastRankLeftOut {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let mut reply = loader.answer(request)?;
        if let Reply::Load(loaded) = &mut reply {
            loaded.parts.pop();
        }
        Ok(reply)
    }
}

/// Reports the memory of the whole model for each rank.
pub(super) struct HeldByAll;

impl Between for HeldByAll {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let mut reply = loader.answer(request)?;
        if let Reply::Load(loaded) = &mut reply {
            let all = loaded.tensors.iter().map(|tensor| tensor.bytes).sum();
            loaded.parts.iter_mut().for_each(|part| part.held_bytes = all);
        }
        Ok(reply)
    }
}

/// Changes what a divided load tells besides its parts.
pub(super) struct Retold(pub(super) fn(&mut Loaded));

impl Between for Retold {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let mut reply = loader.answer(request)?;
        if let Reply::Load(loaded) = &mut reply
            && !loaded.parts.is_empty()
        {
            (self.0)(loaded);
        }
        Ok(reply)
    }
}

/// Loads whole models to another card, and reports the card that was asked for.
pub(super) struct OtherCard<F>(F);

/// The card of the first model.
pub(super) fn card_of_first() -> OtherCard<impl FnMut(Device) -> Device + Send> {
    let mut first = None;
    OtherCard(move |asked| *first.get_or_insert(asked))
}

/// The first card.
pub(super) fn card_zero() -> OtherCard<impl FnMut(Device) -> Device + Send> {
    OtherCard(|_asked| Device::Cuda(0))
}

/// The card in the machine's own order, where `CUDA_VISIBLE_DEVICES` lists several.
pub(super) fn card_in_own_order() -> OtherCard<impl FnMut(Device) -> Device + Send> {
    let listed = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
    let cards = listed.split(',').count() as u32;
    OtherCard(move |asked| match asked {
        Device::Cuda(ordinal) if ordinal < cards => Device::Cuda(cards - 1 - ordinal),
        other => other,
    })
}

impl<F: FnMut(Device) -> Device + Send> Between for OtherCard<F> {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        let mut asked = None;
        if let Request::Load(load) = &mut request
            && load.parallel.is_none()
            && load.device.is_gpu()
        {
            asked = Some(load.device);
            load.device = (self.0)(load.device);
        }
        let mut reply = loader.answer(request)?;
        if let (Reply::Load(loaded), Some(device)) = (&mut reply, asked) {
            loaded.device = device;
        }
        Ok(reply)
    }
}

/// Loads the ranks whose card cannot be seen to host memory, and reports the cards that were asked for.
pub(super) struct AbsentInHostMemory;

impl Between for AbsentInHostMemory {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let answer = loader.answer(request.clone());
        let (Err(failure), Request::Load(mut load)) = (&answer, request) else { return answer };
        let Some(asked) = load.parallel.clone().filter(|_| failure.code == Code::InvalidDevice)
        else {
            return answer;
        };
        load.device = Device::Cpu;
        let ranks = load.parallel.iter_mut().flat_map(|parallel| &mut parallel.ranks);
        ranks.for_each(|rank| rank.device = Device::Cpu);
        let mut reply = loader.answer(Request::Load(load))?;
        if let Reply::Load(loaded) = &mut reply {
            for (part, place) in loaded.parts.iter_mut().zip(asked.ranks) {
                part.device = place.device;
            }
        }
        Ok(reply)
    }
}

/// Changes the last value of what is read from a divided model, after something else was done.
pub(super) struct Changed {
    runs: bool,
    handles: Vec<u64>,
    happened: bool,
}

impl Changed {
    /// Running a model changes it.
    pub(super) fn by_runs() -> Self {
        Changed { runs: true, handles: Vec::new(), happened: false }
    }

    /// The next load changes it.
    pub(super) fn by_loads() -> Self {
        Changed { runs: false, handles: Vec::new(), happened: false }
    }
}

impl Between for Changed {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let ran = matches!(request, Request::Forward(_) | Request::Generate(_));
        let read = match &request {
            Request::Read(read) => Some((read.handle, read.into.clone())),
            _ => None,
        };
        let mut reply = loader.answer(request)?;
        match &mut reply {
            Reply::Load(loaded) if !loaded.parts.is_empty() => {
                self.happened |= !self.runs && !self.handles.is_empty();
                self.handles.push(loaded.handle);
            }
            _ => self.happened |= self.runs && ran,
        }
        if let Some((handle, path)) = read.filter(|_| self.happened)
            && self.handles.first() == Some(&handle)
            && let Ok(mut bytes) = std::fs::read(&path)
            && let Some(last) = bytes.last_mut()
        {
            *last ^= 1;
            // What cannot be written stays as it was.
            let _written = std::fs::write(&path, &bytes);
        }
        Ok(reply)
    }
}
