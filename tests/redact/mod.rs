//! The one place that replaces what varies from run to run before a snapshot is compared.

/// Pairs of a pattern and what stands for it, for `insta::Settings::set_filters`.
pub fn filters() -> Vec<(&'static str, &'static str)> {
    vec![
        (r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z", "[time]"),
        (r"\b[0-9a-f]{64}\b", "[sha256]"),
        (r"\b[0-9a-f]{40}(?:-dirty)?\b", "[commit]"),
        // The suite's version changes with every release, and reports name it.
        (concat!(r"\b", env!("CARGO_PKG_VERSION"), r"\b"), "[version]"),
        (r"(?:/[\w.-]+)*/(?:tmp|target)/[\w./-]+", "[path]"),
    ]
}

/// Compares text with its stored snapshot, redacted.
#[macro_export]
macro_rules! assert_redacted {
    ($name:expr, $text:expr) => {{
        let text = $text;
        let mut settings = insta::Settings::clone_current();
        settings.set_filters($crate::redact::filters());
        settings.set_omit_expression(true);
        settings.set_prepend_module_to_snapshot(false);
        settings.bind(|| insta::assert_snapshot!($name, text));
    }};
}
