//! What a run lacks for a case, known before the case begins: a GPU, cards, or a GGUF runtime.

use crate::contract::Device;
use crate::gpu;
use crate::harness::case::step::Step;
use crate::harness::case::{Case, Want};
use crate::harness::run::step::NO_RUNTIME;

/// Why a case cannot be tried on this device, whatever the loader.
pub fn obstacle(case: &Case, device: Device) -> Option<String> {
    // Only a case that needs several cards makes the driver count them.
    obstacle_with(case, device, || gpu::device_count().unwrap_or(0))
}

/// The same whatever machine this is. A record does not tell how many cards its machine had.
pub fn obstacle_everywhere(case: &Case, device: Device) -> Option<String> {
    obstacle_with(case, device, || u32::MAX)
}

/// The same on a machine with so many cards.
pub fn obstacle_with(case: &Case, device: Device, cards: impl Fn() -> u32) -> Option<String> {
    if case.needs.contains(&Want::Gpu) && !device.is_gpu() {
        return Some("needs a GPU, and this run loads into host memory".to_owned());
    }
    if case.needs.contains(&Want::Cpu) && device.is_gpu() {
        return Some("is about host memory, and this run loads onto a GPU".to_owned());
    }
    let needed = case.cards();
    if !device.is_gpu() || needed < 2 {
        return None;
    }
    let shown = cards();
    (shown < needed).then(|| format!("{}{shown}", too_few_cards(needed)))
}

/// Whether a case was left untested because its machine had too few cards for it.
pub fn lacked_cards(case: &Case, reason: &str) -> bool {
    let needed = case.cards();
    if needed < 2 {
        return false;
    }
    let shown = reason.strip_prefix(&too_few_cards(needed)).map(str::parse::<u32>);
    matches!(shown, Some(Ok(shown)) if shown < needed)
}

/// How the reason begins where a case needs more cards than the machine shows.
fn too_few_cards(needed: u32) -> String {
    format!("needs {needed} cards, and this machine shows ")
}

/// Why a case cannot be tried in a run without a GGUF runtime: it compares the loader's speed with one.
pub fn lacks_runtime(case: &Case) -> Option<String> {
    let compares =
        |step: &&Step| matches!(step, Step::Throughput(step) if step.most_shortfall.is_some());
    case.flat_steps().iter().any(compares).then(|| NO_RUNTIME.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::run::trial;

    const FILE: &str = "{main: {tensors: [{name: w, dtype: F32, shape: [2]}]}}";

    #[test]
    fn a_case_that_compares_with_a_runtime_is_told_before_it_makes_a_model() {
        let alone = trial::case(
            "{}",
            "{}",
            "[{throughput: {prompt: 4, tokens: 8, least_per_second: 1.0}}]",
        );
        assert_eq!(lacks_runtime(&alone), None);
        let beside = "[{throughput: {prompt: 4, tokens: 8, most_shortfall: 20.0}}]";
        let why = lacks_runtime(&trial::case("{}", "{}", beside)).expect("it compares");
        assert!(why.contains("--gguf-runtime"), "{why}");
    }

    #[test]
    fn a_case_about_several_cards_is_planned_by_the_cards_that_are_there() {
        let mut case = trial::case(FILE, "{}", "[{load: {next_card: true, expect: {loaded: []}}}]");
        let card = Device::Cuda(0);
        assert_eq!(obstacle_with(&case, card, || panic!("nobody asks")), None);
        case.needs.extend([Want::Gpu, Want::Cards]);
        let one = obstacle_with(&case, card, || 1).unwrap();
        assert_eq!(one, "needs 2 cards, and this machine shows 1");
        assert_eq!(obstacle_with(&case, card, || 2), None);
        let host = obstacle_with(&case, Device::Cpu, || panic!("nobody asks")).unwrap();
        assert!(host.starts_with("needs a GPU"), "{host}");
        assert!(lacked_cards(&case, &one));
        for other in ["the loader said no", "needs 2 cards, and this machine shows 2"] {
            assert!(!lacked_cards(&case, other), "{other}");
        }
        case.needs.clear();
        for none in [one.as_str(), "needs 1 cards, and this machine shows 0"] {
            assert!(!lacked_cards(&case, none), "{none}");
        }
    }

    #[test]
    fn a_case_whose_ranks_run_together_needs_a_card_for_each() {
        let card = Device::Cuda(0);
        for (divide, needed) in [
            ("tp: 2, pp: 2, together: true, ", 4),
            ("tp: 4, together: true, ranks: [2, 0, 1], ", 3),
            ("tp: 4, together: true, one_device: true, ", 1),
            ("tp: 4, ", 1),
        ] {
            let steps = format!("[{{divide: {{{divide}expect: held}}}}]");
            let case = trial::case(FILE, "{}", &steps);
            assert_eq!(case.cards(), needed, "{divide}");
            assert_eq!(obstacle_with(&case, card, || needed), None);
            assert_eq!(obstacle_with(&case, Device::Cpu, || panic!("nobody asks")), None);
            let fewer = needed - 1;
            let why = obstacle_with(&case, card, || fewer);
            let wanted = format!("needs {needed} cards, and this machine shows {fewer}");
            assert_eq!(why, (needed > 1).then_some(wanted));
        }
    }
}
