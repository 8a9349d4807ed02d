//! The sliding window of each layer.

use super::fields::Fields;
use crate::harness::model::Architecture;
use crate::harness::model::file::CONFIG;

/// The window that Mistral, Qwen2 and Qwen3 have if `sliding_window` is not there.
const USUAL: usize = 4096;

/// The window of each layer; empty if no layer has one.
pub(super) fn read(
    fields: &Fields<'_>,
    architecture: Architecture,
    layers: usize,
    types: Option<&[String]>,
) -> Result<Vec<Option<usize>>, String> {
    use Architecture::{Mistral, Phi3, Qwen2, Qwen3};
    let usual = matches!(architecture, Mistral | Qwen2 | Qwen3).then_some(USUAL);
    let window = match fields.null("sliding_window") {
        true => None,
        false => fields.size(&["sliding_window"])?.or(usual),
    };
    let Some(window) = window else { return Ok(Vec::new()) };
    let windows: Vec<Option<usize>> = match architecture {
        Mistral | Phi3 => vec![Some(window); layers],
        Qwen2 | Qwen3 => {
            if !fields.flag("use_sliding_window")?.unwrap_or(false) {
                return Ok(Vec::new());
            }
            let from = fields.size(&["max_window_layers"])?.unwrap_or(28);
            match types {
                Some(types) if types.len() != layers => {
                    let count = types.len();
                    return Err(format!("{CONFIG}: {count} layer_types for {layers} layers"));
                }
                Some(types) => {
                    let has = |one: &String| (one == "sliding_attention").then_some(window);
                    types.iter().map(has).collect()
                }
                None => (0..layers).map(|at| (at >= from).then_some(window)).collect(),
            }
        }
        _ => return Ok(Vec::new()),
    };
    Ok(if windows.iter().any(Option::is_some) { windows } else { Vec::new() })
}
