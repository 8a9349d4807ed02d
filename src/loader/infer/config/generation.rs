//! Reads `generation_config.json`: the tokens that end a sequence, and the settings that change
//! which token is chosen.

use std::path::Path;

use serde_json::Value;

use crate::loader::error::{LoadError, Result, json_text};
use crate::loader::infer::beside::read_beside;
use crate::loader::infer::settings::Settings;
use crate::loader::remedies::config::{
    GENERATION_CONFIG_MISSING, GENERATION_CONFIG_TOO_LONG, GENERATION_NOT_SUPPORTED,
    GENERATION_TOKENS_NONE,
};

use super::fields::{Fields, invalid};
use super::keys::has;
use super::text::{LONGEST, strict};

/// Settings that this loader does not serve, with the values that switch them off beside null,
/// false, 0 and an empty list.
const NOT_SERVED: [(&str, Option<f64>); 16] = [
    ("num_beams", Some(1.0)),
    ("num_beam_groups", Some(1.0)),
    ("guidance_scale", Some(1.0)),
    ("encoder_repetition_penalty", Some(1.0)),
    ("encoder_no_repeat_ngram_size", Some(0.0)),
    ("penalty_alpha", None),
    ("sequence_bias", None),
    ("forced_bos_token_id", None),
    ("forced_eos_token_id", None),
    ("forced_decoder_ids", None),
    ("exponential_decay_length_penalty", None),
    ("constraints", None),
    ("force_words_ids", None),
    ("dola_layers", None),
    ("stop_strings", None),
    ("watermarking_config", None),
];

/// Settings that change nothing here, by reason. The names have spaces between them.
const HARMLESS: &[(&str, &str)] = &[
    (
        "the request states how tokens are sampled and how many",
        "do_sample temperature top_k top_p top_h min_p typical_p epsilon_cutoff eta_cutoff \
         max_length max_new_tokens max_time max_matches num_return_sequences",
    ),
    (
        "it is for beam search or for a second model, which are not used",
        "early_stopping length_penalty diversity_penalty low_memory num_assistant_tokens \
         num_assistant_tokens_schedule assistant_confidence_threshold assistant_early_exit \
         assistant_lookbehind target_lookbehind prompt_lookup_num_tokens \
         max_matching_ngram_size is_assistant use_mtp",
    ),
    (
        "it arranges the computation or the form of the answer",
        "use_cache cache_implementation cache_config max_cache_len compile_config \
         disable_compile return_dict_in_generate return_legacy_cache output_scores \
         output_logits output_attentions output_hidden_states renormalize_logits \
         remove_invalid_values token_healing prefill_chunk_size continuous_batching_config",
    ),
    (
        "prompts are given whole",
        "bos_token_id pad_token_id decoder_start_token_id transformers_version trust_remote_code",
    ),
];

/// The kind of value that a setting of sampling or of length has. The request states these, but a
/// file in which they mean nothing is not sound.
type Kind = (fn(&Value) -> bool, &'static str);

const SHARE: Kind = (|value| value.as_f64().is_some_and(|share| share >= 0.0), "a number from 0");
const COUNT: Kind = (|value| value.as_i64().is_some_and(|count| count >= -1), "a whole number");
const FLAG: Kind = (Value::is_boolean, "true or false");

const KINDS: [(&str, Kind); 9] = [
    ("do_sample", FLAG),
    ("use_cache", FLAG),
    ("temperature", SHARE),
    ("top_p", SHARE),
    ("min_p", SHARE),
    ("typical_p", SHARE),
    ("top_k", COUNT),
    ("max_length", COUNT),
    ("max_new_tokens", COUNT),
];

/// What a `generation_config.json` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generation {
    /// Tokens that end a sequence; `None` if it names none.
    pub ends: Option<Vec<u32>>,
    /// Settings that change which token is chosen.
    pub settings: Settings,
    /// Fields that nothing reads and whose effect is not known.
    pub unread: Vec<String>,
}

/// Reads a `generation_config.json` for a model with this many tokens.
///
/// # Errors
/// `invalid_config`.
pub fn generation(path: &Path, vocabulary: usize) -> Result<Generation> {
    let causes = (GENERATION_CONFIG_MISSING, GENERATION_CONFIG_TOO_LONG);
    read_beside(path, LONGEST, causes)
        .and_then(|bytes| strict(&bytes))
        .and_then(|value| Fields::new(&value).generation(vocabulary))
        .map_err(|error| error.path(path))
}

impl Fields<'_> {
    /// The settings that change which token is chosen. They also stand in `config.json`, for models
    /// without a file of their own for them.
    pub(super) fn settings(&self, vocabulary: usize) -> Result<Settings> {
        // The length of the answer, where it is stated, counts in the place of that of the whole.
        let (new, whole) = (self.whole("min_new_tokens")?, self.whole("min_length")?);
        let settings = Settings {
            penalty: self.number("repetition_penalty")?.filter(|penalty| *penalty != 1.0),
            never: self.tokens("suppress_tokens", vocabulary)?,
            never_first: self.tokens("begin_suppress_tokens", vocabulary)?,
            never_in_a_row: self.bad_words(vocabulary)?,
            no_repeat: self.whole("no_repeat_ngram_size")?.filter(|size| *size > 0),
            least_new: new.unwrap_or(0),
            least: if new.is_some() { 0 } else { whole.unwrap_or(0) },
        };
        if settings.never.len() >= vocabulary {
            let cause = GENERATION_TOKENS_NONE.about(["suppress_tokens"]);
            return Err(invalid(cause, "suppress_tokens leaves no token to choose")
                .expected(format!("fewer than {vocabulary} tokens"), settings.never.len()));
        }
        Ok(settings)
    }

    fn generation(&self, vocabulary: usize) -> Result<Generation> {
        let ends = self.ends(vocabulary)?;
        let settings = self.settings(vocabulary)?;
        for (field, (fits, wanted)) in KINDS {
            if let Some(value) = self.get(field).filter(|value| !fits(value)) {
                return Err(self.wrong_kind(field, wanted, value));
            }
        }
        for (field, off) in NOT_SERVED {
            match self.get(field) {
                Some(value) if !is_off(value, off) => return Err(not_served(field, value)),
                _ => {}
            }
        }
        let known = |field: &str| {
            field.starts_with('_') || HARMLESS.iter().any(|(_, names)| has(names, field))
        };
        let unread = self.unread().into_iter().map(|(field, _)| field);
        let unread = unread.filter(|field| !known(field)).cloned().collect();
        Ok(Generation { ends, settings, unread })
    }

    /// A list of tokens of the vocabulary, in order and each once.
    fn tokens(&self, field: &str, vocabulary: usize) -> Result<Vec<u32>> {
        let Some(value) = self.get(field) else { return Ok(Vec::new()) };
        self.list_of_tokens(field, value, vocabulary).map(|mut tokens| {
            tokens.sort_unstable();
            tokens.dedup();
            tokens
        })
    }

    /// The sequences of tokens of `bad_words_ids`.
    fn bad_words(&self, vocabulary: usize) -> Result<Vec<Vec<u32>>> {
        let field = "bad_words_ids";
        let Some(value) = self.get(field) else { return Ok(Vec::new()) };
        let Some(words) = value.as_array() else {
            return Err(self.wrong_kind(field, "a list of lists of tokens", value));
        };
        let word = |word: &Value| {
            let tokens = self.list_of_tokens(field, word, vocabulary)?;
            match tokens.is_empty() {
                true => Err(self.wrong_kind(field, "lists of at least one token", word)),
                false => Ok(tokens),
            }
        };
        words.iter().map(word).collect()
    }

    fn list_of_tokens(&self, field: &str, value: &Value, vocabulary: usize) -> Result<Vec<u32>> {
        let wrong = || {
            let last = vocabulary.saturating_sub(1);
            self.wrong_kind(field, &format!("a list of tokens from 0 to {last}"), value)
        };
        let token = |value: &Value| {
            let token = value.as_u64().filter(|token| *token < vocabulary as u64);
            token.map(|token| token as u32).ok_or_else(wrong)
        };
        value.as_array().ok_or_else(wrong)?.iter().map(token).collect()
    }
}

fn is_off(value: &Value, off: Option<f64>) -> bool {
    let number = value.as_f64();
    *value == Value::Bool(false)
        || number.is_some_and(|number| number == 0.0 && off.is_some() || Some(number) == off)
        || value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty)
}

fn not_served(field: &str, value: &Value) -> LoadError {
    let setting = format!("{field} = {}", json_text(value));
    let cause = GENERATION_NOT_SUPPORTED.about([&setting]);
    invalid(cause, format!("{setting} is not supported"))
        .expected(format!("no {field}"), json_text(value))
}
