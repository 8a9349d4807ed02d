//! Settings of `generation_config.json` that change which token comes next.

use serde_json::Value;

/// Each with the number that switches it off, beside null, false, and what is empty. What only says how to sample or
/// where to stop is not among them: the request states that.
const SETTINGS: [(&str, f64); 23] = [
    ("repetition_penalty", 1.0),
    ("no_repeat_ngram_size", 0.0),
    ("suppress_tokens", 0.0),
    ("begin_suppress_tokens", 0.0),
    ("bad_words_ids", 0.0),
    ("min_length", 0.0),
    ("min_new_tokens", 0.0),
    ("num_beams", 1.0),
    ("num_beam_groups", 1.0),
    ("guidance_scale", 1.0),
    ("encoder_repetition_penalty", 1.0),
    ("encoder_no_repeat_ngram_size", 0.0),
    ("penalty_alpha", 0.0),
    ("sequence_bias", 0.0),
    ("forced_bos_token_id", f64::NAN),
    ("forced_eos_token_id", f64::NAN),
    ("forced_decoder_ids", 0.0),
    ("exponential_decay_length_penalty", 0.0),
    ("constraints", 0.0),
    ("force_words_ids", 0.0),
    ("dola_layers", f64::NAN),
    ("stop_strings", 0.0),
    ("watermarking_config", 0.0),
];

/// The first of them that is in effect, with its value.
pub fn unserved_setting(fields: &Value) -> Option<(&'static str, &Value)> {
    let there = SETTINGS.iter().map(|(name, off)| (*name, *off, &fields[*name]));
    let mut on = there.filter(|(_, off, value)| !is_off(value, *off));
    on.next().map(|(name, _, value)| (name, value))
}

fn is_off(value: &Value, off: f64) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(off),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::unserved_setting;

    #[test]
    fn a_setting_counts_unless_its_value_changes_nothing() {
        let idle = json!({
            "repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "suppress_tokens": null, "bad_words_ids": [],
            "num_beams": 1, "do_sample": true, "temperature": 0.6, "top_k": 20, "max_length": 4096,
        });
        assert_eq!(unserved_setting(&idle), None);
        for (name, value) in [
            ("repetition_penalty", json!(0.2)),
            ("suppress_tokens", json!([3])),
            ("min_new_tokens", json!(5)),
            ("forced_eos_token_id", json!(0)),
            ("repetition_penalty", json!("a lot")),
        ] {
            let on = json!({ name: value });
            assert_eq!(unserved_setting(&on), Some((name, &on[name])));
        }
    }
}
