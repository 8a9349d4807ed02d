//! Identifies the running build of the suite, and gives the time.

use std::sync::OnceLock;

use super::digest::sha256_file;

/// The commit that this binary was built from, with `-dirty` if the working tree had changes.
pub const COMMIT: &str = env!("WEIGHBRIDGE_COMMIT");

/// SHA-256 of the running binary, as 64 hex digits, or why it cannot be read.
///
/// It is read once: an audit writes a record for each of hundreds of mutants.
pub fn binary_digest() -> String {
    static DIGEST: OnceLock<String> = OnceLock::new();
    let read = || {
        std::env::current_exe()
            .and_then(|path| sha256_file(&path))
            .unwrap_or_else(|error| format!("unreadable: {error}"))
    };
    DIGEST.get_or_init(read).clone()
}

/// The current time in UTC, in RFC 3339 format, to the second.
pub fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_now_in_utc_to_the_second() {
        let told = now();
        assert!(told.ends_with('Z') && told.len() == "2026-01-02T03:04:05Z".len(), "{told}");
        let read = chrono::DateTime::parse_from_rfc3339(&told).expect("RFC 3339");
        let apart = chrono::Utc::now().signed_duration_since(read).num_seconds();
        assert!((0..60).contains(&apart), "{told}");
    }
}
