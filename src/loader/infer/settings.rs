//! Settings of a model's publisher that change which token is chosen next. They are those of
//! `generation_config.json`, and mean what transformers makes of them.

use std::collections::BTreeSet;

/// The settings. The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Logits of tokens that are in the prompt or in the answer are divided by this if they are
    /// above zero, and else multiplied.
    pub penalty: Option<f32>,
    /// Tokens that are never chosen.
    pub never: Vec<u32>,
    /// Tokens that are not chosen first.
    pub never_first: Vec<u32>,
    /// Sequences of tokens that are never completed.
    pub never_in_a_row: Vec<Vec<u32>>,
    /// No sequence of this many tokens comes twice.
    pub no_repeat: Option<usize>,
    /// No end before this many tokens of the answer.
    pub least_new: usize,
    /// No end before this many tokens, those of the prompt included.
    pub least: usize,
}

impl Settings {
    /// Whether every choice stays as it is.
    pub fn change_nothing(&self) -> bool {
        *self == Settings::default()
    }

    /// Changes the logits of the next token. A token that must not be chosen gets minus infinity.
    /// `all` holds the prompt, `prompt` tokens long, and the answer so far.
    pub fn apply(&self, logits: &mut [f32], all: &[u32], prompt: usize, ends: &[u32]) {
        if let Some(penalty) = self.penalty {
            let seen: BTreeSet<u32> = all.iter().copied().collect();
            for token in seen {
                if let Some(logit) = logits.get_mut(token as usize) {
                    *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
                }
            }
        }
        let mut never = |token: u32| {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit = f32::NEG_INFINITY;
            }
        };
        if let Some(size) = self.no_repeat
            && let Some(begin) = (all.len() + 1).checked_sub(size)
        {
            let last = &all[begin..];
            let before = all.windows(size).filter(|row| row[..size - 1] == *last);
            before.for_each(|row| never(row[size - 1]));
        }
        for word in &self.never_in_a_row {
            if let [before @ .., last] = word.as_slice()
                && all.ends_with(before)
                && !(before.is_empty() && ends.contains(last))
            {
                never(*last);
            }
        }
        if all.len() < self.least || all.len() - prompt < self.least_new {
            ends.iter().for_each(|end| never(*end));
        }
        self.never.iter().for_each(|token| never(*token));
        if all.len() == prompt {
            self.never_first.iter().for_each(|token| never(*token));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: f32 = f32::NEG_INFINITY;

    fn after(settings: &Settings, all: &[u32], prompt: usize) -> Vec<f32> {
        let mut logits = vec![2.0, -2.0, 4.0, 0.5];
        settings.apply(&mut logits, all, prompt, &[3]);
        logits
    }

    #[test]
    fn seen_tokens_lose_once_each() {
        let settings = Settings { penalty: Some(2.0), ..Settings::default() };
        assert_eq!(after(&settings, &[1, 0, 0, 9], 2), [1.0, -4.0, 4.0, 0.5]);
        assert!(!settings.change_nothing() && Settings::default().change_nothing());
    }

    #[test]
    fn forbidden_tokens_have_no_chance() {
        let plain = Settings::default();
        let never = Settings { never: vec![2], never_first: vec![0], ..plain.clone() };
        assert_eq!(after(&never, &[1], 1), [NEVER, -2.0, NEVER, 0.5]);
        assert_eq!(after(&never, &[1, 1], 1), [2.0, -2.0, NEVER, 0.5]);
        // An end token is no bad word: transformers leaves it out.
        let words = vec![vec![2], vec![1, 0], vec![3]];
        let words = Settings { never_in_a_row: words, ..plain.clone() };
        assert_eq!(after(&words, &[1], 1), [NEVER, -2.0, NEVER, 0.5]);
        assert_eq!(after(&words, &[0], 1), [2.0, -2.0, NEVER, 0.5]);
    }

    #[test]
    fn no_sequence_comes_twice() {
        let with = |size| Settings { no_repeat: Some(size), ..Settings::default() };
        // 1 2 stood there before, and 1 is the last token.
        assert_eq!(after(&with(2), &[1, 2, 0, 1], 2), [2.0, -2.0, NEVER, 0.5]);
        assert_eq!(after(&with(1), &[1, 2], 1), [2.0, NEVER, NEVER, 0.5]);
        assert_eq!(after(&with(3), &[1], 1), [2.0, -2.0, 4.0, 0.5]);
        assert_eq!(after(&with(9), &[], 0), [2.0, -2.0, 4.0, 0.5]);
    }

    #[test]
    fn an_end_comes_after_the_least_length() {
        let new = Settings { least_new: 2, ..Settings::default() };
        assert_eq!(after(&new, &[0, 1, 1], 2)[3], NEVER);
        assert_eq!(after(&new, &[0, 1, 1], 1)[3], 0.5);
        let whole = Settings { least: 3, ..Settings::default() };
        assert_eq!(after(&whole, &[0, 1], 1)[3], NEVER);
        assert_eq!(after(&whole, &[0, 1, 1], 1)[3], 0.5);
    }
}
