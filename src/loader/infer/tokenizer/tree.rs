//! Reads JSON of strangers with a bound on what it may become in memory: small values, and counts of long
//! lists.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::{Map, Value};

/// Most values in one small value. Published tokenizers have some hundred.
const NODES: usize = 20_000;

/// Longest texts of a small value together, in bytes. The character map of published SentencePiece
/// tokenizers has 320 KB.
const TEXTS: usize = 2 << 20;

/// A value of bounded size.
#[derive(Debug, Default)]
pub struct Small(pub Value);

impl<'de> Deserialize<'de> for Small {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Small, D::Error> {
        let left = Left { nodes: Cell::new(NODES), bytes: Cell::new(TEXTS) };
        Node(&left).deserialize(deserializer).map(Small)
    }
}

/// What a small value may still hold.
struct Left {
    nodes: Cell<usize>,
    bytes: Cell<usize>,
}

impl Left {
    fn take<E: de::Error>(&self, bytes: usize) -> Result<(), E> {
        let node = self.nodes.get().checked_sub(1);
        match (node, self.bytes.get().checked_sub(bytes)) {
            (Some(nodes), Some(bytes)) => {
                self.nodes.set(nodes);
                self.bytes.set(bytes);
                Ok(())
            }
            _ => {
                let (nodes, texts) = (NODES, TEXTS >> 20);
                Err(E::custom(format!("a part of more than {nodes} values or {texts} MiB of text")))
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Node<'l>(&'l Left);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.0.take(0).map(|()| Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.0.take(0).map(|()| Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.0.take(0).map(|()| Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.0.take(0).map(|()| Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.0.take(0).map(|()| Value::from(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.0.take(text.len()).map(|()| Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.0.take(0)?;
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.0.take(0)?;
        let mut all = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.0.take(key.len())?;
            let value = entries.next_value_seed(self)?;
            if all.insert(key, value).is_some() {
                return Err(A::Error::custom("a field twice in one object"));
            }
        }
        Ok(Value::Object(all))
    }
}

/// A list or an object that is not kept: how many entries it has, and the bytes of the texts in them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// The entries.
    pub entries: usize,
    /// The bytes, those of an object's keys included.
    pub bytes: usize,
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Count, D::Error> {
        deserializer.deserialize_any(Counting)
    }
}

struct Counting;

impl<'de> Visitor<'de> for Counting {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Count, E> {
        Ok(Count::default())
    }

    fn visit_bool<E: Error>(self, _value: bool) -> Result<Count, E> {
        Ok(Count::default())
    }

    fn visit_i64<E: Error>(self, _value: i64) -> Result<Count, E> {
        Ok(Count::default())
    }

    fn visit_u64<E: Error>(self, _value: u64) -> Result<Count, E> {
        Ok(Count::default())
    }

    fn visit_f64<E: Error>(self, _value: f64) -> Result<Count, E> {
        Ok(Count::default())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Count, E> {
        Ok(Count { entries: 0, bytes: text.len() })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Count, A::Error> {
        let mut count = Count::default();
        while let Some(item) = items.next_element::<Count>()? {
            count.entries += 1;
            count.bytes += item.bytes;
        }
        Ok(count)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Count, A::Error> {
        let mut count = Count::default();
        while let Some((key, value)) = entries.next_entry::<Count, Count>()? {
            count.entries += 1;
            count.bytes += key.bytes + value.bytes;
        }
        Ok(count)
    }
}
