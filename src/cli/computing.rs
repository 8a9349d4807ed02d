//! `--compute`: how exactly a command that runs a decoder computes. One spelling for all commands.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::contract::inference::Compute;

/// How a model computes.
#[derive(Clone, Copy, Debug, Args)]
pub struct Computing {
    /// How activations enter products: `exact` keeps their F32 precision; `bf16` rounds those of a prompt to
    /// BF16, which is faster and less exact. It needs BF16 weights and a GPU of compute capability 9.0.
    #[arg(long, value_name = "HOW", default_value = "exact", value_parser = parser())]
    pub compute: Compute,
}

fn parser() -> impl TypedValueParser<Value = Compute> {
    let all = [Compute::Exact, Compute::Bf16];
    let named = move |name: String| all.into_iter().find(|one| one.name() == name);
    PossibleValuesParser::new(all.map(Compute::name))
        .map(move |name| named(name).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        computing: Computing,
    }

    #[test]
    fn exact_unless_named_otherwise() {
        let typed = |words: &[&str]| {
            let parsed = Typed::try_parse_from([&["x"], words].concat());
            parsed.map(|typed| typed.computing.compute)
        };
        assert_eq!(typed(&[]).unwrap(), Compute::Exact);
        assert_eq!(typed(&["--compute", "exact"]).unwrap(), Compute::Exact);
        assert_eq!(typed(&["--compute", "bf16"]).unwrap(), Compute::Bf16);
        let error = typed(&["--compute", "fp8"]).unwrap_err().to_string();
        assert!(error.contains("exact, bf16"), "{error}");
    }
}
