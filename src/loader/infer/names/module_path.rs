//! Splits a tensor's name into the modules around the model and the model's own name for it.
//!
//! A model that was saved inside another module has that module's name in front of every tensor's
//! name: torch.compile's `_orig_mod.`, DataParallel's `module.`, PEFT's `base_model.model.`, a
//! wrapper's `model.`, and the family's own prefix where the model was saved with a head. They occur
//! in any order and number. No family has a tensor of its own that begins with one of them.

use std::borrow::Cow;

/// Modules around a model of any family.
const AROUND: [&str; 4] = ["_orig_mod.", "module.", "base_model.", "model."];

/// Splits a name into the modules in front of it and the rest. `family` is the prefix of the family's
/// published names; it may be empty.
pub(super) fn split<'n>(name: &'n str, family: &str) -> (&'n str, &'n str) {
    let mut rest = name;
    let around = || AROUND.into_iter().chain([family]).filter(|module| !module.is_empty());
    while let Some(inner) = around().find_map(|module| rest.strip_prefix(module)) {
        rest = inner;
    }
    (&name[..name.len() - rest.len()], rest)
}

/// Today's name of a norm's tensor: TensorFlow's `gamma` and `beta`, which the first BERT checkpoints
/// kept, are `weight` and `bias`. Any other name stays.
pub(super) fn current(rest: &str) -> Cow<'_, str> {
    let renamed = [(".gamma", ".weight"), (".beta", ".bias")]
        .into_iter()
        .find_map(|(old, new)| Some(format!("{}{new}", rest.strip_suffix(old)?)));
    renamed.map_or(Cow::Borrowed(rest), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_split_off_in_any_order_and_number() {
        for (name, family, around, rest) in [
            ("bert.embeddings.LayerNorm.gamma", "bert.", "bert.", "embeddings.LayerNorm.gamma"),
            ("embeddings.LayerNorm.weight", "bert.", "", "embeddings.LayerNorm.weight"),
            ("_orig_mod.model.layers.0.w", "model.", "_orig_mod.model.", "layers.0.w"),
            ("module._orig_mod.wte.weight", "transformer.", "module._orig_mod.", "wte.weight"),
            ("base_model.model.model.norm.w", "model.", "base_model.model.model.", "norm.w"),
            ("base_model.model.lm_head.weight", "model.", "base_model.model.", "lm_head.weight"),
            ("roberta.embeddings.w", "bert.", "", "roberta.embeddings.w"),
            ("linear.weight", "", "", "linear.weight"),
        ] {
            assert_eq!(split(name, family), (around, rest), "{name}");
        }
    }

    #[test]
    fn only_the_last_part_of_a_name_is_renamed() {
        assert_eq!(current("embeddings.LayerNorm.gamma"), "embeddings.LayerNorm.weight");
        assert_eq!(current("embeddings.LayerNorm.beta"), "embeddings.LayerNorm.bias");
        assert_eq!(current("gamma.LayerNorm.bias"), "gamma.LayerNorm.bias");
    }
}
