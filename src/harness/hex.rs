//! Bytes as hex digits, for all of the judge. The loader has its own: neither may rely on the other's.

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
