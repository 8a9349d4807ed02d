//! The settings of a `generation_config.json` that change which token comes next, by the rules of
//! transformers: the judge's own reading of them, and its own arithmetic.

use std::path::Path;

use serde_json::Value;

use super::chat::GENERATION;
use super::file::CONFIG;
use crate::harness::regular;

/// The settings of a folder's `generation_config.json`; without one, those in its `config.json`.
#[derive(Clone, Debug, Default)]
pub struct TokenRules(Value);

impl TokenRules {
    /// Reads a folder's settings.
    pub fn read(folder: &Path) -> TokenRules {
        let text = regular::read(&folder.join(GENERATION))
            .or_else(|_| regular::read(&folder.join(CONFIG)));
        TokenRules(serde_json::from_slice(&text.unwrap_or_default()).unwrap_or_default())
    }

    /// The logits that a token is chosen from: those of the model, changed by the settings. `before`
    /// are the tokens before it, the first `prompt` of them those of the prompt.
    pub fn applied(&self, logits: &[f64], before: &[u32], prompt: usize, ends: &[u32]) -> Vec<f64> {
        let banned = self.banned(before, prompt, ends);
        let penalty = self.0["repetition_penalty"].as_f64().unwrap_or(1.0);
        let changed = |(token, logit): (usize, &f64)| {
            if banned.contains(&(token as u32)) {
                return f64::NEG_INFINITY;
            }
            match before.contains(&(token as u32)) {
                true if *logit < 0.0 => logit * penalty,
                true => logit / penalty,
                false => *logit,
            }
        };
        logits.iter().enumerate().map(changed).collect()
    }

    /// The tokens that must not come next.
    fn banned(&self, before: &[u32], prompt: usize, ends: &[u32]) -> Vec<u32> {
        let made = before.len() - prompt;
        let mut banned = tokens(&self.0["suppress_tokens"]);
        if made == 0 {
            banned.extend(tokens(&self.0["begin_suppress_tokens"]));
        }
        // The second counts only without the first.
        let early = match self.0["min_new_tokens"].is_null() {
            false => made < self.size("min_new_tokens"),
            true => before.len() < self.size("min_length"),
        };
        if early {
            banned.extend(ends);
        }
        for word in self.0["bad_words_ids"].as_array().into_iter().flatten().map(tokens) {
            let is_end = word.len() == 1 && ends.contains(&word[0]);
            if let Some((last, first)) = word.split_last()
                && before.ends_with(first)
                && !is_end
            {
                banned.push(*last);
            }
        }
        let size = self.size("no_repeat_ngram_size");
        for begin in 0..before.len() {
            let Some(row) = before.get(begin..begin + size).filter(|_| size > 0) else { break };
            if before.ends_with(&row[..size - 1]) {
                banned.push(row[size - 1]);
            }
        }
        banned
    }

    fn size(&self, field: &str) -> usize {
        self.0[field].as_u64().unwrap_or(0) as usize
    }
}

fn tokens(list: &Value) -> Vec<u32> {
    let all = list.as_array().into_iter().flatten();
    all.filter_map(Value::as_u64).map(|token| token as u32).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NEVER: f64 = f64::NEG_INFINITY;

    /// What becomes of the logits 2, -2, 4, 0.5 after some tokens, of which the first is the prompt.
    fn after(settings: Value, before: &[u32]) -> Vec<f64> {
        TokenRules(settings).applied(&[2.0, -2.0, 4.0, 0.5], before, 1, &[3])
    }

    #[test]
    fn each_setting_does_what_transformers_does() {
        for (settings, before, wanted) in [
            (json!({"repetition_penalty": 2.0}), &[1, 0, 0][..], [1.0, -4.0, 4.0, 0.5]),
            (json!({"suppress_tokens": [2, 0]}), &[1], [NEVER, -2.0, NEVER, 0.5]),
            (json!({"begin_suppress_tokens": [0]}), &[1], [NEVER, -2.0, 4.0, 0.5]),
            (json!({"begin_suppress_tokens": [0]}), &[1, 1], [2.0, -2.0, 4.0, 0.5]),
            (json!({"no_repeat_ngram_size": 2}), &[1, 2, 0, 1], [2.0, -2.0, NEVER, 0.5]),
            (json!({"no_repeat_ngram_size": 1}), &[1, 2], [2.0, NEVER, NEVER, 0.5]),
            (json!({"min_new_tokens": 2}), &[1, 0], [2.0, -2.0, 4.0, NEVER]),
            (json!({"min_new_tokens": 2}), &[1, 0, 0], [2.0, -2.0, 4.0, 0.5]),
            (json!({"min_length": 2}), &[1], [2.0, -2.0, 4.0, NEVER]),
            (json!({"min_length": 9, "min_new_tokens": 1}), &[1, 1], [2.0, -2.0, 4.0, 0.5]),
            (json!({"bad_words_ids": [[0], [1, 2], [3]]}), &[1], [NEVER, -2.0, NEVER, 0.5]),
            (json!({"bad_words_ids": [[0, 2]]}), &[1], [2.0, -2.0, 4.0, 0.5]),
            (json!({"do_sample": true, "top_k": 1}), &[1], [2.0, -2.0, 4.0, 0.5]),
        ] {
            assert_eq!(after(settings.clone(), before), wanted, "{settings} {before:?}");
        }
    }
}
