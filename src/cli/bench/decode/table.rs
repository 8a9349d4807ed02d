//! The table of `bench decode`.

use super::figures::{COUNT, Figures, PROMPTS, Row};
use crate::cli::bench::frame::without;

/// The whole text.
pub fn table(figures: &Figures) -> String {
    let mut text = format!(
        "bench decode  {}\nmachine       {}\n",
        figures.stamp.origin(),
        figures.stamp.place()
    );
    if let Some(gbps) = figures.read_gbps {
        text += &format!("reading       {gbps:.0} GB/s of device memory, the best of eight\n");
    }
    for rows in figures.results.chunk_by(|one, next| one.model == next.model) {
        text += &of_model(rows);
    }
    text + &without(&figures.missing)
}

fn of_model(rows: &[Row]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let mut text = format!(
        "\n{}: {COUNT} tokens after a prompt of {}, greedy, batch 1; a token reads {:.3} GB\n",
        first.model,
        PROMPTS[0],
        first.token_bytes as f64 / 1e9
    );
    for row in rows {
        text += &times(row);
    }
    if rows.iter().any(|row| row.errors.is_some()) {
        text += "  error of the logits behind prompts, against transformers in F64: root of the mean square, relative; \
                 greatest difference\n";
        rows.iter().for_each(|row| text += &errors(row));
    }
    for row in rows.iter().filter(|row| row.rounds() && row.admitted.is_none()) {
        text += &format!(
            "  {}: not compared with plain BF16, so neither admitted nor refuted (--peers)\n",
            row.arm
        );
    }
    text
}

/// The times of an arm, in one line.
pub fn times(row: &Row) -> String {
    let share = row
        .share_of_reading
        .map_or(String::new(), |share| format!(", {:>4.1} % of the memory read rate", share * 1e2));
    let firsts = row.first_seconds.iter().zip(PROMPTS);
    let firsts = firsts.map(|(seconds, tokens)| format!("{:.2} ms after {tokens}", seconds * 1e3));
    format!(
        "  {:<54} {:>7.1} tokens/s{share}; first token {}; {} of {COUNT} tokens equal our exact ones\n",
        row.arm,
        row.tokens_per_second,
        firsts.collect::<Vec<_>>().join(", "),
        row.alike
    )
}

/// The errors of an arm, in one line; empty if they are not known.
pub fn errors(row: &Row) -> String {
    let Some(errors) = &row.errors else { return String::new() };
    let one = |(at, (error, tokens)): (usize, (&super::accuracy::Error, usize))| {
        let admitted = match row.admitted.as_ref().and_then(|all| all.get(at)) {
            None => "",
            Some(true) => " admitted",
            Some(false) => " NOT ADMITTED",
        };
        format!("{tokens}: {:.1e}, {:.1e}{admitted}", error.relative, error.greatest)
    };
    let all: Vec<String> = errors.iter().zip(PROMPTS).enumerate().map(one).collect();
    format!("  {:<54} {}\n", row.arm, all.join("; "))
}

#[cfg(test)]
mod tests {
    use super::super::accuracy::Error;
    use super::*;
    use crate::contract::inference::Compute;

    fn row(arm: &str, compute: Option<Compute>, errors: Option<[f64; 3]>) -> Row {
        let errors = errors
            .map(|all| all.map(|relative| Error { relative, greatest: relative * 10.0 }).to_vec());
        let first_seconds = vec![0.003, 0.005, 0.02];
        Row { arm: arm.to_owned(), compute, errors, first_seconds, ..Row::default() }
    }

    #[test]
    fn each_prompt_says_whether_the_mode_is_admitted() {
        let (exact, rounded) = (Some(Compute::Exact), Some(Compute::Bf16));
        let mut rows = [
            row("weighbridge, exact", exact, Some([1e-6, 2e-6, 3e-6])),
            row("weighbridge, bf16", rounded, Some([1e-3, 2e-3, 3e-3])),
            row("transformers, eager", None, Some([4e-3, 4e-3, 2e-3])),
        ];
        rows[1].admitted = Some(vec![true, true, false]);
        let text = of_model(&rows);
        let line = |start: &str| {
            let at = text.find("error of").expect("errors");
            let found = text[at..].lines().find(|line| line.trim().starts_with(start));
            found.expect("a line").split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            line("weighbridge, bf16"),
            "weighbridge, bf16 16: 1.0e-3, 1.0e-2 admitted; 128: 2.0e-3, 2.0e-2 admitted; 1000: 3.0e-3, \
             3.0e-2 NOT ADMITTED"
        );
        assert_eq!(
            line("weighbridge, exact"),
            "weighbridge, exact 16: 1.0e-6, 1.0e-5; 128: 2.0e-6, 2.0e-5; 1000: 3.0e-6, 3.0e-5"
        );
        assert!(!text.contains("not compared"), "{text}");
    }

    #[test]
    fn a_mode_that_was_not_compared_says_so() {
        let text = of_model(&[row("weighbridge, bf16", Some(Compute::Bf16), None)]);
        assert!(text.contains("weighbridge, bf16: not compared with plain BF16"), "{text}");
        assert!(!text.contains("error of"), "{text}");
        let text = of_model(&[row("weighbridge, exact", Some(Compute::Exact), None)]);
        assert!(!text.contains("not compared"), "{text}");
    }
}
