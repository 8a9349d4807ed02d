//! Files of a conversation: what was written, the tokens that end a sequence, and why a file does not open.

use std::io::ErrorKind;
use std::path::Path;
use std::{fs, io};

use serde_json::Value;
use sha2::{Digest, Sha256};
use weighbridge::contract::reply::Written;
use weighbridge::contract::{Code, Failure, Phase};

use super::refused;
use super::settings::unserved_setting;

/// Size and digest of a written file.
///
/// # Errors
/// Where it cannot be read.
pub fn written(path: &Path) -> io::Result<Written> {
    let bytes = fs::read(path)?;
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Written { bytes: bytes.len() as u64, sha256 })
}

/// The code of a file that the system does not open or map.
pub fn unopened(error: &io::Error) -> Code {
    // What a folder or a pipe answers to a mapping has no kind of its own.
    const NO_SUCH_DEVICE: i32 = 19;
    const BAD_DISK: i32 = 5;
    match (error.kind(), error.raw_os_error()) {
        (ErrorKind::NotFound | ErrorKind::NotADirectory, _) => Code::NotFound,
        (ErrorKind::IsADirectory, _) | (_, Some(NO_SUCH_DEVICE)) => Code::NotAFile,
        (_, Some(BAD_DISK)) => Code::ReadFailed,
        _ => Code::Unreadable,
    }
}

/// `eos_token_id` of a configuration: none, one or several.
pub fn ends(fields: &Value) -> Vec<u32> {
    let one = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match &fields["eos_token_id"] {
        Value::Array(several) => several.iter().filter_map(one).collect(),
        single => one(single).into_iter().collect(),
    }
}

/// The end tokens of `generation_config.json`, where there is one and it names any. Without this file the settings of
/// `config.json` count.
///
/// # Errors
/// `invalid_config` where `generation_config.json` cannot be read, or a setting that counts changes which token comes
/// next: no library behind these adapters computes with one.
pub fn generation_ends(
    generation: Option<&Path>,
    config: &Path,
) -> Result<Option<Vec<u32>>, Failure> {
    let path = generation.unwrap_or(config);
    let bad = |text: String| refused(Phase::Header, Code::InvalidConfig, text).path(path);
    let read = fs::read(path).map_err(|error| bad(error.to_string()));
    let parsed = read.and_then(|text| {
        serde_json::from_slice::<Value>(&text).map_err(|error| bad(error.to_string()))
    });
    let fields = match (parsed, generation) {
        (Ok(fields), _) => fields,
        // What is wrong with config.json is for the library to find.
        (Err(_), None) => return Ok(None),
        (Err(failure), Some(_)) => return Err(failure),
    };
    if let Some((setting, value)) = unserved_setting(&fields) {
        let failure = bad(format!("{}: the library computes without {setting}", path.display()));
        return Err(failure
            .expected(format!("no {setting}"), value)
            .remedy(format!("remove {setting}, or use a loader that computes with it")));
    }
    let ends = generation.map(|_| ends(&fields));
    Ok(ends.filter(|ends| !ends.is_empty()))
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use serde_json::json;
    use weighbridge::contract::Code;

    use super::{ends, unopened};

    #[test]
    fn the_system_says_why_a_file_stays_shut() {
        let codes =
            [2, 20, 21, 19, 5, 13].map(|number| unopened(&Error::from_raw_os_error(number)));
        let wanted = [
            Code::NotFound,
            Code::NotFound,
            Code::NotAFile,
            Code::NotAFile,
            Code::ReadFailed,
            Code::Unreadable,
        ];
        assert_eq!(codes, wanted);
    }

    #[test]
    fn end_tokens_are_none_one_or_several() {
        assert!(ends(&json!({})).is_empty());
        assert_eq!(ends(&json!({"eos_token_id": 2})), [2]);
        assert_eq!(ends(&json!({"eos_token_id": [2, 5]})), [2, 5]);
    }
}
