//! Makes the large files and models of the cases that run alone, while other cases still run, and
//! hashes them.

use std::sync::atomic::{AtomicBool, Ordering};

use super::demand::{file_bytes, model_bytes, set_bytes};
use super::obstacle::lacks_runtime;
use crate::harness::case::Case;
use crate::harness::case::seal::{Flaw, Sealing};
use crate::harness::case::step::Step;
use crate::harness::evidence::memory;
use crate::harness::fixture::Fixture;
use crate::harness::run::case_run::files::shared_model;
use crate::harness::run::case_run::model::place;
use crate::harness::run::case_run::setting::Setting;

/// Smaller ones are made in a moment.
const LARGE: u64 = 64 << 20;

/// Something is made beforehand only if so many times its size of host memory is free.
const SPARE: u64 = 8;

/// Makes what these cases need, in their order, until `over` is set. What cannot be made is left to the
/// case, which then reports why. A run with its own checkpoint takes models from there.
pub fn prepare(setting: &Setting, cases: &[&Case], over: &AtomicBool) {
    if setting.checkpoint.is_some() || !setting.device.is_gpu() {
        return;
    }
    let goes_on = |bytes: u64| bytes >= LARGE && fits(bytes) && !over.load(Ordering::Relaxed);
    let tried = |case: &&&Case| setting.gguf_runtime.is_some() || lacks_runtime(case).is_none();
    for case in cases.iter().filter(tried) {
        for (name, recipe) in case.files.iter().filter(|(_, recipe)| goes_on(file_bytes(recipe))) {
            let seed = setting.seed_of(case, name);
            if let Ok(fixture) = Fixture::build(recipe, seed, None) {
                hash(&fixture, case);
                setting.shared_models.ahead.files.put(seed, fixture);
            }
        }
        for (name, source) in &case.models {
            if source.same_as.is_some() || !goes_on(model_bytes(source)) {
                continue;
            }
            let seed = setting.seed_of(case, name);
            if source.is_shared() {
                if let Ok(model) = shared_model(setting, source, seed, None) {
                    hash(&model.fixture, case);
                }
            } else if let Ok(folder) = setting.cases()
                && let Ok(model) = place(source, seed, &folder, None, case.rewrites_files())
            {
                hash(&model.fixture, case);
                setting.shared_models.ahead.models.put(seed, model);
            }
        }
        for step in case.flat_steps() {
            if let Step::WholeSet(set) = step
                && goes_on(set_bytes(set.scale))
            {
                let _made_by_the_case =
                    setting.cases().map(|folder| setting.shared_models.set(set.scale, &folder));
            }
        }
    }
}

fn fits(bytes: u64) -> bool {
    memory::available().is_some_and(|free| free / SPARE >= bytes)
}

/// Computes what the fixture keeps: its digest, the digests of its chunks, and the truth of the gates.
fn hash(fixture: &Fixture, case: &Case) {
    let sealings = case.flat_steps().into_iter().filter_map(|step| match step {
        Step::Load(load) => load.seal.clone().or_else(|| load.quick.then(Sealing::default)),
        _ => None,
    });
    let chunk_bytes = sealings.map(|sealing| sealing.chunk_bytes).next();
    let chunks = || chunk_bytes.map(|size| fixture.seal("", false, size, Flaw::None));
    rayon::join(|| fixture.sha256(), || rayon::join(|| fixture.gates(), chunks));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Device, Loader};
    use crate::harness::run::trial;

    /// No test here starts it.
    fn none() -> Box<dyn Loader + Send> {
        panic!("a loader was started")
    }

    /// Whether the large file, the small file and the large model of a case were made.
    fn made(change: impl FnOnce(&mut Setting), over: bool) -> [bool; 3] {
        let scratch = tempfile::tempdir().unwrap();
        let case = trial::case(
            "{large: {tensors: [{name: w, dtype: F32, shape: [4224, 4096]}]}, \
             small: {tensors: [{name: w, dtype: F32, shape: [2]}]}}",
            "{main: {random: llama, output: logits, dtype: F32, vocabulary: 3200000}}",
            "[]",
        );
        assert!(model_bytes(&case.models["main"]) >= LARGE);
        let mut setting = trial::setting(scratch.path(), Device::Cuda(0), none);
        change(&mut setting);
        prepare(&setting, &[&case], &AtomicBool::new(over));
        let seed = |name: &str| setting.seed_of(&case, name);
        let ahead = &setting.shared_models.ahead;
        let file = |name: &str| match ahead.files.take(seed(name)) {
            Some(fixture) => {
                let again = Fixture::build(&case.files[name], seed(name), None).unwrap();
                assert!(fixture.bytes == again.bytes, "{name} is not what the case would make");
                true
            }
            None => false,
        };
        let model = ahead.models.take(seed("main"));
        assert!(model.as_ref().is_none_or(|model| model.weights.is_file()));
        [file("large"), file("small"), model.is_some()]
    }

    #[test]
    fn large_things_are_made_on_a_gpu_while_the_run_goes_on() {
        // Nothing is made where memory is short.
        let room = fits(1 << 30);
        assert_eq!(made(|_| (), false), [room, false, room]);
        assert_eq!(made(|_| (), true), [false; 3]);
        assert_eq!(made(|setting| setting.device = Device::Cpu, false), [false; 3]);
        let own = |setting: &mut Setting| setting.checkpoint = Some("/own".into());
        assert_eq!(made(own, false), [false; 3]);
    }
}
