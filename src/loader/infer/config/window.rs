//! Reads the sliding window of attention. A window of at least the longest input is none.

use serde_json::Value;

use crate::loader::error::{Result, json_text};
use crate::loader::remedies::config::CONFIG_LAYER_TYPES;

use super::fields::{Fields, invalid};
use super::spelling::twice;

/// What a family's `sliding_window` means.
#[derive(Clone, Copy)]
pub(super) enum Windows {
    /// The family has no window.
    Never,
    /// It is that of every layer. If it is missing, this is.
    Always(Option<usize>),
    /// It has an effect if `use_sliding_window` says so, from layer `max_window_layers` on.
    Asked,
}

/// How layers attend.
#[derive(Clone, Copy, PartialEq)]
enum Layers {
    Full,
    Windowed,
    Both,
}

impl Fields<'_> {
    /// The window of all layers; `None` for no window.
    ///
    /// # Errors
    /// `invalid_config` if some layers have a window and others have none.
    pub(super) fn window(
        &self,
        windows: Windows,
        layers: usize,
        longest: usize,
    ) -> Result<Option<usize>> {
        let (size, used) = ("sliding_window", "use_sliding_window");
        if matches!(windows, Windows::Asked) {
            self.refuse_null("max_window_layers")?;
        }
        let types = self.layer_types(layers)?;
        let missing = self.raw(size).is_none();
        let stated = self.maybe_size(size)?;
        let felt = |window: &usize| *window < longest;
        let window = match windows {
            Windows::Never => {
                if stated.filter(felt).is_some() {
                    let value = self.raw(size).unwrap_or(&Value::Null);
                    let served = "null, or at least the longest input";
                    return Err(self.not_supported(size, value, served));
                }
                self.refuse_unless(used, &Value::from(false))?;
                None
            }
            Windows::Always(usual) => {
                let window = if missing { usual } else { stated };
                if let (Some(value), Some(flag)) = (self.get(size), self.get(used))
                    && window.filter(felt).is_some()
                    && *flag == false
                {
                    return Err(twice((size, value), (used, flag)));
                }
                window
            }
            Windows::Asked => match self.flag(used, false)? {
                false => None,
                true => self.asked(types, layers, missing)?.then_some(stated).flatten(),
            },
        };
        match (types, window.filter(felt)) {
            (None, _) | (Some(Layers::Full), None) | (Some(Layers::Windowed), Some(_)) => {
                Ok(window)
            }
            (Some(_), None) if stated.is_some_and(|window| !felt(&window)) => Ok(window),
            (Some(_), _) => {
                let value = self.raw("layer_types").unwrap_or(&Value::Null);
                let cause = CONFIG_LAYER_TYPES.about(["layer_types"]);
                let message = "layer_types contradicts sliding_window, or differs among layers";
                Err(invalid(cause, message)
                    .expected("the same attention in all layers", json_text(value)))
            }
        }
    }

    /// Whether the window that `use_sliding_window` asks for is that of all layers; if not, of none.
    fn asked(&self, types: Option<Layers>, layers: usize, missing: bool) -> Result<bool> {
        let (first, used) = ("max_window_layers", "use_sliding_window");
        let from = self.whole(first)?;
        match (types, from) {
            (Some(types), _) => Ok(types != Layers::Full),
            (None, Some(from)) if from >= layers => Ok(false),
            (None, Some(0)) if !missing => Ok(true),
            (None, Some(from)) if !missing => {
                let cause = CONFIG_LAYER_TYPES.about([first]);
                Err(invalid(
                    cause,
                    format!("{first} = {from}: only some of the layers have a window"),
                )
                .expected(format!("0, or at least {layers}"), from))
            }
            (None, _) => {
                let wanted = "false, or true with sliding_window and max_window_layers";
                Err(self.not_supported(used, &Value::from(true), wanted))
            }
        }
    }

    /// How layers attend by `layer_types`; `None` if it is missing.
    fn layer_types(&self, layers: usize) -> Result<Option<Layers>> {
        let field = "layer_types";
        let Some(value) = self.get(field) else { return Ok(None) };
        let wrong = || self.wrong_kind(field, &format!("a list of {layers} types"), value);
        let types = value.as_array().filter(|types| types.len() == layers).ok_or_else(wrong)?;
        let mut all = None;
        for kind in types {
            let kind = match kind.as_str() {
                Some("full_attention" | "attention") => Layers::Full,
                Some("sliding_attention") => Layers::Windowed,
                _ => {
                    let served = "full_attention or sliding_attention";
                    return Err(self.not_supported(field, kind, served));
                }
            };
            all = Some(match all {
                Some(other) if other != kind => Layers::Both,
                _ => kind,
            });
        }
        Ok(all)
    }
}
