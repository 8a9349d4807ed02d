//! Any text as a chat template: judge and loader render it alike, or do not render it.
#![no_main]

#[path = "../src/judge_checks.rs"]
mod judge_checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    judge_checks::chat_template(bytes);
});
