//! Which layer belongs to which pipeline stage.

use super::refusal::Refusal;
use super::rule::Rule;

/// The stage of each layer: as even as can be, the first stages having one more where it is uneven.
///
/// # Errors
/// If there are more stages than layers, so that one would be empty.
pub fn even(layers: u64, pp: u64) -> Result<Vec<u64>, Refusal> {
    if pp > layers.max(1) {
        let message = format!("{layers} layers cannot be divided over {pp} stages");
        let refusal = Refusal::indivisible(Some(Rule::OneStage), message).numbers([layers, pp]);
        let remedy = "Choose fewer stages, and more tensor-parallel ranks instead.";
        return Err(refusal.told(format!("at most {layers} stages"), pp, remedy));
    }
    let (each, more) = (layers / pp, layers % pp);
    let sizes = (0..pp).map(|stage| each + u64::from(stage < more));
    Ok(sizes.zip(0..).flat_map(|(size, stage)| (0..size).map(move |_| stage)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_has_one_stage_and_no_stage_is_empty() {
        assert_eq!(even(7, 3).unwrap(), [0, 0, 0, 1, 1, 2, 2]);
        assert_eq!(even(3, 3).unwrap(), [0, 1, 2]);
        assert_eq!(even(0, 1).unwrap(), [0; 0]);
        let refusal = even(3, 4).unwrap_err();
        assert_eq!(refusal.numbers, [3, 4]);
        assert_eq!(refusal.failure.expected.as_deref(), Some("at most 3 stages"));
    }
}
