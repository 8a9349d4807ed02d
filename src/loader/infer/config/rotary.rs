//! Settings of rotary position embeddings (RoPE): the angle of each pair of elements per position.

/// Settings of RoPE.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotary {
    /// Pair j of a head of size d rotates by `base^(-2j/d)` radians for each position.
    pub base: f32,
    /// Scaling of the angles for long inputs.
    pub scaling: Option<Scaling>,
}

/// A scaling of the angles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scaling {
    /// All angles are divided by this factor.
    Linear(f32),
    /// The scaling of Llama 3.
    Llama3(Llama3),
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
        let Llama3 { factor, low, high, original } = match self.scaling {
            None => return frequency,
            Some(Scaling::Linear(factor)) => return frequency / factor,
            Some(Scaling::Llama3(llama3)) => llama3,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_slows_the_slow_pairs_alone() {
        // Llama 3.1's own numbers.
        let scaling = Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192.0 };
        let scaling = Scaling::Llama3(scaling);
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

    #[test]
    fn linear_scaling_slows_every_pair() {
        let plain = Rotary { base: 10_000.0, scaling: None }.frequencies(16);
        let scaling = Some(Scaling::Linear(4.0));
        let scaled = Rotary { base: 10_000.0, scaling }.frequencies(16);
        assert!(plain.iter().zip(&scaled).all(|(plain, scaled)| *scaled == plain / 4.0));
    }
}
