//! The host engine's arithmetic: dot products and activations.

use super::ops::Activation;

/// Dot product in F32. Eight partial sums make it fast; the order of the additions is fixed, so the
/// result is always the same.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; 8];
    let (a, rest_a) = a.as_chunks::<8>();
    let (b, rest_b) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

/// Applies an activation. Transcendental functions are computed in F64 and rounded once to F32. NaN
/// stays NaN.
pub fn activated(x: f32, activation: Activation) -> f32 {
    let wide = f64::from(x);
    match activation {
        Activation::Gelu => (0.5 * wide * (1.0 + erf(wide / std::f64::consts::SQRT_2))) as f32,
        Activation::GeluTanh => {
            let scale = (2.0 / std::f64::consts::PI).sqrt();
            let inner = scale * (wide + 0.044_715 * wide * wide * wide);
            (0.5 * wide * (1.0 + inner.tanh())) as f32
        }
        Activation::Silu => (wide / (1.0 + (-wide).exp())) as f32,
        // `f32::max` would drop a NaN.
        Activation::Relu if x < 0.0 => 0.0,
        Activation::Relu => x,
    }
}

/// The error function, with an error near 1e-15: a series below 2.5, a continued fraction below 6,
/// and 1 from there on. Source: Abramowitz and Stegun 7.1.6 and 7.1.14.
fn erf(x: f64) -> f64 {
    let size = x.abs();
    let value = if size < 2.5 {
        let (mut term, mut sum, mut n) = (size, size, 0.0);
        while term > sum * 1e-17 {
            n += 1.0;
            term *= 2.0 * size * size / (2.0 * n + 1.0);
            sum += term;
        }
        2.0 / std::f64::consts::PI.sqrt() * (-size * size).exp() * sum
    } else if size < 6.0 {
        let fraction = (1..=60).rev().fold(0.0, |below, n| f64::from(n) / 2.0 / (size + below));
        1.0 - (-size * size).exp() / ((size + fraction) * std::f64::consts::PI.sqrt())
    } else {
        1.0
    };
    value.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_is_that_of_the_tables() {
        // Values of Abramowitz and Stegun, table 7.1, to ten digits.
        for (x, value) in [
            (0.0, 0.0),
            (0.1, 0.112_462_916_0),
            (0.5, 0.520_499_877_8),
            (1.0, 0.842_700_792_9),
            (1.9, 0.992_790_429_2),
            (2.4, 0.999_311_486_1),
            (2.6, 0.999_763_965_6),
            (3.5, 0.999_999_256_9),
        ] {
            assert!((erf(x) - value).abs() < 6e-11, "{x}: {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
        assert_eq!(erf(7.0), 1.0);
        // The series and the continued fraction agree at 2.5.
        assert!((erf(2.499_999_999) - erf(2.500_000_001)).abs() < 1e-11);
    }

    #[test]
    fn dots_take_every_element() {
        let ones = [1.0; 19];
        let numbers: Vec<f32> = (0u8..19).map(f32::from).collect();
        assert_eq!(dot(&ones, &numbers), 171.0);
    }
}
