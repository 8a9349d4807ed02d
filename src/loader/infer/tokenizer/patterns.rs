//! The regular expressions of a tokenizer, with bounds on their size and on what a text may cost. The
//! library compiles them without the first, and leaves the rest of a text uncut where the second is
//! reached. So they are compiled here as well, and run over each text beforehand.

use std::time::{Duration, Instant};

use fancy_regex::{Expr, Regex, RegexBuilder};
use tokenizers::pre_tokenizers::split::SplitPattern;
use tokenizers::{
    NormalizerWrapper, OffsetReferential, OffsetType, PreTokenizer, PreTokenizerWrapper, Tokenizer,
};

use crate::loader::error::quote;

/// Longest expression, in bytes. The longest that is published has 1,600.
const LONGEST: usize = 64 << 10;

/// Most parts of an expression with its repetitions written out. Published ones have some hundred.
const PARTS: usize = 10_000;

/// Largest compiled expression, in bytes: twice what any that is published takes.
const COMPILED: usize = 4 << 20;

/// Most steps back at one place of a text. It is the library's own bound, at which it says nothing.
const BACK: usize = 1_000_000;

/// How long the expressions may take for one text. A text of a megabyte takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Compiles an expression within bounds.
///
/// # Errors
/// The bound that it breaks, and by what.
pub fn compiled(pattern: &str) -> Result<Regex, (String, String)> {
    let named = || named(pattern);
    if pattern.len() > LONGEST {
        let found = format!("one of {} bytes", pattern.len());
        return Err((format!("a regular expression of at most {LONGEST} bytes"), found));
    }
    let invalid = |error: fancy_regex::Error| {
        let expected =
            format!("a regular expression that compiles to at most {} MiB", COMPILED >> 20);
        (expected, format!("{}: {error}", named()))
    };
    let parts = parts(&Expr::parse_tree(pattern).map_err(invalid)?.expr);
    if parts > PARTS {
        let expected = format!("at most {PARTS} parts, with repetitions written out");
        return Err((expected, format!("{parts} in {}", named())));
    }
    let mut builder = RegexBuilder::new(pattern);
    builder.backtrack_limit(BACK).delegate_size_limit(COMPILED).build().map_err(invalid)
}

fn named(pattern: &str) -> String {
    let start: String = pattern.chars().take(60).collect();
    format!("the regular expression {}", quote(&start))
}

/// The parts of an expression, with its repetitions written out.
fn parts(expression: &Expr) -> usize {
    let all = |parts_of: &[Expr]| parts_of.iter().map(parts).fold(1, usize::saturating_add);
    match expression {
        Expr::Literal { val, .. } => val.len().max(1),
        Expr::Concat(several) | Expr::Alt(several) => all(several),
        Expr::Group(one) | Expr::LookAround(one, _) | Expr::AtomicGroup(one) => 1 + parts(one),
        Expr::Repeat { child, lo, hi, .. } => {
            let times = if *hi == usize::MAX { lo.saturating_add(1) } else { *hi };
            parts(child).saturating_mul(times.max(1))
        }
        Expr::Conditional { condition, true_branch, false_branch } => {
            [condition, true_branch, false_branch].into_iter().map(|one| parts(one)).sum()
        }
        _ => 1,
    }
}

/// A tokenizer's expressions, in the order in which they are applied.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    /// Those of the normalizer.
    normalizing: Vec<Regex>,
    /// The steps of the pre-tokenizer, each with its expression, if it has one.
    cutting: Vec<(PreTokenizerWrapper, Option<Regex>)>,
}

impl Patterns {
    /// The expressions of a tokenizer.
    ///
    /// # Errors
    /// Those of [`compiled`].
    pub fn of(tokenizer: &Tokenizer) -> Result<Patterns, (String, String)> {
        let mut patterns = Patterns::default();
        if let Some(normalizer) = tokenizer.get_normalizer() {
            patterns.normalizes(normalizer)?;
        }
        if let Some(cut) = tokenizer.get_pre_tokenizer() {
            patterns.cuts(cut)?;
        }
        // What follows the last expression needs no look.
        let last = patterns.cutting.iter().rposition(|(_, regex)| regex.is_some());
        patterns.cutting.truncate(last.map_or(0, |last| last + 1));
        Ok(patterns)
    }

    fn normalizes(&mut self, normalizer: &NormalizerWrapper) -> Result<(), (String, String)> {
        match normalizer {
            NormalizerWrapper::Sequence(several) => {
                several.as_ref().iter().try_for_each(|one| self.normalizes(one))
            }
            NormalizerWrapper::Replace(replace) => {
                // The library shows an expression only as it writes it.
                let written = serde_json::to_value(replace).unwrap_or_default();
                if let Some(pattern) = written["pattern"]["Regex"].as_str() {
                    self.normalizing.push(compiled(pattern)?);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn cuts(&mut self, cut: &PreTokenizerWrapper) -> Result<(), (String, String)> {
        if let PreTokenizerWrapper::Sequence(several) = cut {
            return several.as_ref().iter().try_for_each(|one| self.cuts(one));
        }
        let regex = match cut {
            PreTokenizerWrapper::Split(split) => match &split.pattern {
                SplitPattern::Regex(pattern) => Some(compiled(pattern)?),
                SplitPattern::String(_) => None,
            },
            _ => None,
        };
        self.cutting.push((cut.clone(), regex));
        Ok(())
    }

    /// Runs the expressions over a text as the tokenizer will.
    ///
    /// # Errors
    /// If one of them gives up, or all take too long.
    pub fn take(&self, tokenizer: &Tokenizer, text: &str) -> Result<(), (String, String)> {
        let begun = Instant::now();
        self.normalizing.iter().try_for_each(|regex| ends(regex, text, begun))?;
        if self.cutting.is_empty() {
            return Ok(());
        }
        let added = tokenizer.get_added_vocabulary();
        let mut pieces = added.extract_and_normalize(tokenizer.get_normalizer(), text);
        for (step, regex) in &self.cutting {
            if let Some(regex) = regex {
                let parts = pieces.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
                let open = parts.into_iter().filter(|(_, _, tokens)| tokens.is_none());
                open.map(|(part, ..)| part).try_for_each(|part| ends(regex, part, begun))?;
            }
            let cut = step.pre_tokenize(&mut pieces);
            cut.map_err(|error| ("a text that is cut".to_owned(), error.to_string()))?;
        }
        Ok(())
    }
}

/// Finds every match of an expression.
fn ends(regex: &Regex, text: &str, begun: Instant) -> Result<(), (String, String)> {
    let named = || named(regex.as_str());
    for found in regex.find_iter(text) {
        if let Err(error) = found {
            let expected = format!("at most {BACK} steps back at one place of a text");
            return Err((expected, format!("{}: {error}", named())));
        }
        if begun.elapsed() > PATIENCE {
            let expected = format!("{} seconds for a text", PATIENCE.as_secs());
            return Err((expected, format!("more, in {}", named())));
        }
    }
    Ok(())
}
