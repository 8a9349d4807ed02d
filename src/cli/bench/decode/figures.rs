//! What `bench decode` measured, and which arms their errors admit.

use serde::Serialize;

use super::accuracy::Error;
use crate::cli::bench::figures::Missing;
use crate::cli::stamp::Stamp;
use crate::contract::inference::Compute;

/// Format of the JSON.
pub const FORMAT: &str = "weighbridge.bench.decode/1";
/// Lengths in tokens of the prompts whose first token is timed.
pub const PROMPTS: [usize; 3] = [16, 128, 1000];
/// Tokens generated after the shortest prompt.
pub const COUNT: u32 = 256;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// [`FORMAT`].
    pub format: &'static str,
    #[serde(flatten)]
    pub stamp: Stamp,
    pub device: String,
    pub rounds: u32,
    /// Rate at which the device read its memory in this run, in GB/s.
    pub read_gbps: Option<f64>,
    pub results: Vec<Row>,
    /// Arms that could not be measured, and why.
    pub missing: Vec<Missing>,
}

/// One arm on one model.
#[derive(Debug, Default, Serialize)]
pub struct Row {
    pub model: String,
    pub arm: String,
    /// How exactly the bundled loader computed; absent for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute: Option<Compute>,
    /// Median seconds to the first token, for prompts of [`PROMPTS`] tokens.
    pub first_seconds: Vec<f64>,
    /// Median of the tokens per second after the first token.
    pub tokens_per_second: f64,
    /// Weights that the device reads for a token, in bytes.
    pub token_bytes: u64,
    /// Share of the rate at which the device reads its memory.
    pub share_of_reading: Option<f64>,
    /// How many of the tokens, from the first on, equal the bundled loader's exact ones.
    pub alike: usize,
    /// Errors of the logits behind prompts of each length, against F64; absent if they were not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<Error>>,
    /// Of the mode that rounds, for each length: whether its error is no larger than that of
    /// transformers in plain BF16. Absent if they were not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admitted: Option<Vec<bool>>,
    /// The logits behind the prompts of each length, until they are compared.
    #[serde(skip)]
    pub logits: Vec<Vec<f32>>,
}

impl Row {
    /// Whether the bundled loader rounded activations.
    pub fn rounds(&self) -> bool {
        self.compute == Some(Compute::Bf16)
    }
}

/// Compares the rows of one model with the truth, and decides for which prompts the row that rounds is
/// admitted. `plain` is the arm of transformers in the model's own BF16.
///
/// # Errors
/// Which arm gave logits that cannot be compared.
pub fn compare(rows: &mut [Row], truth: &[Vec<f32>], plain: &str) -> Result<(), String> {
    for row in rows.iter_mut().filter(|row| !row.logits.is_empty()) {
        let logits = std::mem::take(&mut row.logits);
        let errors = logits.iter().zip(truth).map(|(found, truth)| Error::of(found, truth));
        let errors: Result<Vec<_>, _> = errors.collect();
        row.errors = Some(errors.map_err(|why| format!("{}: {why}", row.arm))?);
    }
    let plain = rows.iter().find(|row| row.arm.ends_with(plain)).and_then(|row| row.errors.clone());
    let Some(plain) = plain else { return Ok(()) };
    for row in rows.iter_mut().filter(|row| row.rounds()) {
        let own = row.errors.iter().flatten().zip(&plain);
        row.admitted = Some(own.map(|(own, plain)| own.is_within(plain)).collect());
    }
    Ok(())
}

/// Whether a row that rounds was compared and is not admitted for every prompt.
pub fn refuted(rows: &[Row]) -> bool {
    rows.iter().any(|row| row.admitted.as_ref().is_some_and(|all| all.contains(&false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(arm: &str, compute: Option<Compute>, logits: &[[f32; 2]]) -> Row {
        let logits = logits.iter().map(|one| one.to_vec()).collect();
        Row { arm: arm.to_owned(), compute, logits, ..Row::default() }
    }

    /// The rows of one model, and whether the one that rounds is admitted for each of two prompts.
    fn compared(rounded: &[[f32; 2]]) -> (Vec<Row>, Option<Vec<bool>>) {
        let mut rows = vec![
            row("weighbridge, exact", Some(Compute::Exact), &[[1.0, 2.0], [3.0, 4.0]]),
            row("weighbridge, bf16", Some(Compute::Bf16), rounded),
            row("transformers 1, eager", None, &[[1.1, 2.0], [3.0, 4.2]]),
        ];
        let truth = [vec![1.0, 2.0], vec![3.0, 4.0]];
        compare(&mut rows, &truth, "eager").expect("compared");
        let admitted = rows[1].admitted.clone();
        (rows, admitted)
    }

    #[test]
    fn the_mode_that_rounds_is_admitted_prompt_by_prompt() {
        for (rounded, admitted) in [
            ([[1.05, 2.0], [3.0, 4.1]], [true, true]),
            ([[1.05, 2.0], [3.0, 4.3]], [true, false]),
            ([[1.2, 2.0], [3.0, 4.0]], [false, true]),
        ] {
            let (rows, found) = compared(&rounded);
            assert_eq!(found.as_deref(), Some(&admitted[..]));
            assert_eq!(refuted(&rows), admitted.contains(&false));
            assert!(rows[0].admitted.is_none() && rows[2].admitted.is_none());
            assert_eq!(rows[0].errors.as_ref().map(|errors| errors[1].relative), Some(0.0));
        }
    }

    #[test]
    fn without_plain_bf16_nothing_is_admitted_and_nothing_refuted() {
        let mut rows = vec![row("weighbridge, bf16", Some(Compute::Bf16), &[[9.0, 9.0]])];
        compare(&mut rows, &[vec![1.0, 2.0]], "eager").expect("compared");
        assert!(rows[0].errors.is_some() && rows[0].admitted.is_none() && !refuted(&rows));
        let mut short = vec![row("weighbridge, exact", Some(Compute::Exact), &[[1.0, 2.0]])];
        let why = compare(&mut short, &[vec![1.0]], "eager").expect_err("another length");
        assert_eq!(why, "weighbridge, exact: 2 logits against 1");
    }
}
