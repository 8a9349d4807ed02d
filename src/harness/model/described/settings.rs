//! Settings of `generation_config.json`: which of them the judge reads, and with which values.

use serde_json::Value;

/// Settings that the request replaces, or that change nothing.
const REPLACED: &str = "_from_model_config cache_implementation decoder_start_token_id do_sample \
    early_stopping length_penalty max_length max_new_tokens min_p num_return_sequences \
    output_attentions output_hidden_states output_scores return_dict_in_generate temperature top_k \
    top_p transformers_version typical_p use_cache";

/// The settings whose value the judge looks at.
const READ: &str = "eos_token_id suppress_tokens begin_suppress_tokens bos_token_id pad_token_id \
    bad_words_ids repetition_penalty min_length min_new_tokens no_repeat_ngram_size";

/// Every setting that the judge knows.
pub fn settings() -> impl Iterator<Item = &'static str> {
    [READ, REPLACED].into_iter().flat_map(str::split_whitespace)
}

/// What is odd about a setting, for a model of so many tokens. `None` if it is ordinary, or switched off.
pub(super) fn odd(name: &str, value: &Value, vocabulary: usize) -> Option<&'static str> {
    let size = || value.is_null() || value.is_u64();
    let right = match name {
        "eos_token_id" | "suppress_tokens" | "begin_suppress_tokens" => {
            tokens(value, vocabulary, true)
        }
        "bos_token_id" | "pad_token_id" => tokens(value, vocabulary, false),
        "bad_words_ids" => {
            let words = value.as_array().map(|all| all.iter().all(|one| one.is_array()));
            let all = value.as_array().into_iter().flatten();
            value.is_null()
                || words == Some(true) && all.clone().all(|one| tokens(one, vocabulary, true))
        }
        "repetition_penalty" => value.is_null() || value.as_f64().is_some_and(|rate| rate > 0.0),
        "min_length" | "min_new_tokens" | "no_repeat_ngram_size" => size(),
        _ if REPLACED.split_whitespace().any(|one| one == name) => true,
        _ => {
            let off = matches!(value, Value::Null | Value::Bool(false))
                || value.as_array().is_some_and(Vec::is_empty)
                || value.as_f64().is_some_and(|number| number == 0.0 || number == 1.0);
            return (!off).then_some("a setting of generation that the judge does not read");
        }
    };
    (!right).then_some("a setting of generation with a value that it cannot have")
}

/// Whether a value is null, one token of the vocabulary, or a list of them where that is ordinary.
pub(super) fn tokens(value: &Value, vocabulary: usize, many: bool) -> bool {
    let token = |one: &Value| one.as_u64().is_some_and(|id| id < vocabulary as u64);
    match value {
        Value::Null => true,
        Value::Array(all) => many && all.iter().all(token),
        one => token(one),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_that_cannot_be_is_odd_and_an_ordinary_one_is_not() {
        for (name, value) in [
            ("eos_token_id", json!([1, 9])),
            ("bos_token_id", json!(1)),
            ("suppress_tokens", json!(null)),
            ("bad_words_ids", json!([[1, 2], [3]])),
            ("repetition_penalty", json!(1.3)),
            ("no_repeat_ngram_size", json!(3)),
            ("temperature", json!(0.7)),
            ("num_beams", json!(1)),
        ] {
            assert_eq!(odd(name, &value, 10), None, "{name}");
        }
        for (name, value) in [
            ("eos_token_id", json!([1, 10])),
            ("bos_token_id", json!([1])),
            ("pad_token_id", json!(-1)),
            ("suppress_tokens", json!([10])),
            ("bad_words_ids", json!([1, 2])),
            ("repetition_penalty", json!("1.1")),
            ("repetition_penalty", json!(0)),
            ("no_repeat_ngram_size", json!(-1)),
            ("num_beams", json!(4)),
            ("sequence_bias", json!([[[1], 2.0]])),
        ] {
            assert!(odd(name, &value, 10).is_some(), "{name}");
        }
    }
}
