//! Settings of rotary position embeddings (RoPE): the angle of each pair of elements per position.

use serde_json::Value;

use crate::loader::error::{Result, json_text};
use crate::loader::remedies::config::{
    CONFIG_ROPE_BASE, CONFIG_ROPE_CONTRADICTS, CONFIG_ROPE_FORM, CONFIG_ROPE_SCALING,
};

use super::fields::{Fields, invalid};

/// Settings of RoPE.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotary {
    /// Pair j of a head of size d rotates by `base^(-2j/d)` radians for each position.
    pub base: f32,
    /// Scaling of the angles for long inputs.
    pub scaling: Option<Llama3>,
}

/// The scaling of Llama 3. The angles of slow pairs are divided by a factor, those of fast pairs
/// are unchanged, and those between the two limits are interpolated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Llama3 {
    /// The factor.
    pub factor: f32,
    /// A pair is slow if it makes fewer full turns than this over the original length.
    pub low: f32,
    /// A pair is fast if it makes more full turns than this over the original length.
    pub high: f32,
    /// Longest input before the scaling, in tokens.
    pub original: f32,
}

impl Rotary {
    /// Radians per position for each of the `head_size / 2` pairs. Computed in F32, as in training.
    pub fn frequencies(&self, head_size: usize) -> Vec<f32> {
        let plain = |pair: usize| 1.0 / self.base.powf((2 * pair) as f32 / head_size as f32);
        (0..head_size / 2).map(|pair| self.scaled(plain(pair))).collect()
    }

    fn scaled(&self, frequency: f32) -> f32 {
        let Some(Llama3 { factor, low, high, original }) = self.scaling else {
            return frequency;
        };
        let turns = original * frequency / (2.0 * std::f32::consts::PI);
        if turns < low {
            return frequency / factor;
        }
        if turns > high {
            return frequency;
        }
        let share = (turns - low) / (high - low);
        (1.0 - share) * frequency / factor + share * frequency
    }
}

impl Fields<'_> {
    /// Reads base and scaling from `rope_parameters`, or from the fields of older files.
    pub(super) fn rotary(&self) -> Result<Rotary> {
        let mut scaling = None;
        for field in ["rope_scaling", "rope_parameters"] {
            let Some(parameters) = self.get(field) else { continue };
            if !parameters.is_object() {
                let cause = CONFIG_ROPE_FORM.about([field]);
                return Err(invalid(cause, format!("{field} is not an object"))
                    .expected("an object", json_text(parameters)));
            }
            let inside = Fields(parameters);
            inside.refuse_unless("partial_rotary_factor", &Value::from(1.0))?;
            let kind = inside.get("rope_type").or(inside.get("type"));
            let Some(kind) = kind.filter(|kind| **kind != "default") else { continue };
            if kind == "llama3" {
                scaling = Some(inside.llama3()?);
                continue;
            }
            let kind = json_text(kind);
            let cause = CONFIG_ROPE_SCALING.about([&kind]);
            return Err(invalid(cause, format!("rope_type {kind} is not supported"))
                .expected("default or llama3", kind));
        }
        self.refuse_unless("partial_rotary_factor", &Value::from(1.0))?;
        let within =
            self.get("rope_parameters").map_or(Ok(None), |new| Fields(new).number("rope_theta"))?;
        let base = match within {
            Some(base) => base,
            None => self.number("rope_theta")?.unwrap_or(10_000.0),
        };
        if base <= 1.0 {
            return Err(invalid(CONFIG_ROPE_BASE, "rope_theta is not above 1")
                .expected("more than 1", base));
        }
        Ok(Rotary { base, scaling })
    }

    fn llama3(&self) -> Result<Llama3> {
        let must = |field: &str| self.number(field)?.ok_or_else(|| super::fields::missing(field));
        let scaling = Llama3 {
            factor: must("factor")?,
            low: must("low_freq_factor")?,
            high: must("high_freq_factor")?,
            original: must("original_max_position_embeddings")?,
        };
        match scaling.high > scaling.low && scaling.factor >= 1.0 {
            true => Ok(scaling),
            false => {
                let Llama3 { factor, low, high, .. } = scaling;
                let cause = CONFIG_ROPE_CONTRADICTS;
                Err(invalid(cause, "the scaling of rotary positions contradicts itself").expected(
                    "low_freq_factor below high_freq_factor, and a factor of at least 1",
                    format!("factor {factor}, low_freq_factor {low}, high_freq_factor {high}"),
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_slows_the_slow_pairs_alone() {
        // Llama 3.1's own numbers.
        let scaling = Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192.0 };
        let plain = Rotary { base: 500_000.0, scaling: None }.frequencies(128);
        let scaled = Rotary { base: 500_000.0, scaling: Some(scaling) }.frequencies(128);
        assert_eq!(scaled[0], plain[0]);
        assert_eq!(scaled[63], plain[63] / 8.0);
        // A pair with two turns over 8,192 positions is at one third between the limits 1 and 4.
        let wanted = 2.0 * std::f32::consts::PI / 8192.0 * 2.0;
        let rotary = Rotary { base: 500_000.0, scaling: Some(scaling) };
        let between = rotary.scaled(wanted);
        assert!((between / wanted - (2.0 / 3.0 / 8.0 + 1.0 / 3.0)).abs() < 1e-6, "{between}");
    }
}
