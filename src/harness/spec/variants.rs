//! Lists the names of an enum's variants as serde spells them.
//!
//! The contract's failure codes have no list. The names come from the derived deserializer, so the
//! list always matches the enum.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

/// The wire names of an enum's variants; empty for a type that is not an enum.
pub(super) fn names<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut found: &'static [&'static str] = &[];
    // The listener returns an error for every type, so there is never a value.
    let _ = T::deserialize(Listener { found: &mut found });
    found
}

struct Listener<'a> {
    found: &'a mut &'static [&'static str],
}

/// The error that a [`Listener`] always returns.
#[derive(Debug)]
struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no value: only the variants' names are read")
    }
}

impl std::error::Error for Stop {}

impl de::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Stop
    }
}

impl<'de> Deserializer<'de> for Listener<'_> {
    type Error = Stop;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(Stop)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Stop> {
        *self.found = variants;
        Err(Stop)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;

    #[test]
    fn names_are_those_of_the_wire() {
        let names = names::<Code>();
        assert_eq!(names.first(), Some(&"not_found"));
        assert!(names.contains(&"checksum_mismatch"));
        for name in names {
            let code: Code = serde_json::from_value((*name).into()).unwrap();
            assert_eq!(code.name(), *name);
        }
    }

    #[test]
    fn a_type_without_variants_has_none() {
        assert!(names::<u32>().is_empty());
    }
}
