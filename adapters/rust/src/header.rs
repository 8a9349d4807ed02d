//! Errors of serde's JSON parser about a safetensors header. They are only texts, and the beginning says the kind.

use weighbridge::contract::{Code, DType};

/// The code of a parser's error, and the element type that it does not know.
pub fn unparsed(text: &str) -> (Code, Option<DType>) {
    let kinds = [
        ("missing field", Code::MissingField),
        ("duplicate field", Code::DuplicateKey),
        ("unknown field", Code::UnknownField),
        ("invalid value", Code::InvalidField),
        ("invalid length", Code::InvalidField),
        // A value of the wrong type, in an entry or in the metadata: the text does not say which.
        ("invalid type", Code::InvalidHeader),
    ];
    if let Some(rest) = text.strip_prefix("unknown variant `") {
        // The library lacks a type that the format has, or the format has no such type either.
        return match rest.split_once('`').and_then(|(name, _)| DType::from_name(name)) {
            Some(dtype) => (Code::UnsupportedDtype, Some(dtype)),
            None => (Code::UnknownDtype, None),
        };
    }
    let kind = kinds.iter().find(|(beginning, _)| text.starts_with(beginning));
    (kind.map_or(Code::HeaderNotJson, |(_, code)| *code), None)
}

#[cfg(test)]
mod tests {
    use weighbridge::contract::{Code, DType};

    use super::unparsed;

    #[test]
    fn the_beginning_says_the_kind() {
        let code = |text| unparsed(text).0;
        assert_eq!(code("missing field `dtype` at line 1 column 2"), Code::MissingField);
        assert_eq!(code("duplicate field `shape` at line 1"), Code::DuplicateKey);
        assert_eq!(code("unknown field `extra`, expected one of"), Code::UnknownField);
        assert_eq!(code("invalid value: integer `-1`, expected usize"), Code::InvalidField);
        assert_eq!(code("invalid type: map, expected a string"), Code::InvalidHeader);
        assert_eq!(code("expected value at line 1 column 1"), Code::HeaderNotJson);
    }

    #[test]
    fn a_type_of_the_format_is_not_served_and_any_other_is_unknown() {
        let lacks = "unknown variant `F64`, expected one of `F32`, `F16`";
        assert_eq!(unparsed(lacks), (Code::UnsupportedDtype, Some(DType::F64)));
        let strange = "unknown variant `F128`, expected one of `F32`, `F16`";
        assert_eq!(unparsed(strange), (Code::UnknownDtype, None));
        let open = "unknown variant `F64";
        assert_eq!(unparsed(open), (Code::UnknownDtype, None));
    }
}
