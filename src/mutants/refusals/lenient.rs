//! Repairs malformed requests before they are parsed: drops unknown fields, replaces values by
//! numbers, and replaces an unknown verb by `stat`.

use std::io::{self, BufRead, Read};

use serde_json::{Map, Value, json};

use crate::contract::Loader;
use crate::contract::request::Request;
use crate::loader::ReferenceLoader;

/// The name of the mutant whose requests come through [`Lenient`].
pub(super) const NAME: &str = "requests-read-leniently";

/// Creates the honest loader; only its input is changed.
pub(super) fn make() -> Box<dyn Loader + Send> {
    Box::new(ReferenceLoader::new())
}

/// A reader of request lines that rewrites each malformed line.
pub(super) struct Lenient<R> {
    lines: R,
    ready: Vec<u8>,
    given: usize,
}

impl<R: BufRead> Lenient<R> {
    /// Reads from `lines`.
    pub(super) fn new(lines: R) -> Self {
        Lenient { lines, ready: Vec::new(), given: 0 }
    }
}

impl<R: BufRead> Read for Lenient<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.ready.len() {
            self.ready.clear();
            self.lines.read_until(b'\n', &mut self.ready)?;
            self.given = 0;
            if let Some(better) = readable(&self.ready) {
                self.ready = better;
            }
        }
        let count = (&self.ready[self.given..]).read(into)?;
        self.given += count;
        Ok(count)
    }
}

/// Returns a repaired line; `None` if the request is valid or the line is not JSON.
fn readable(line: &[u8]) -> Option<Vec<u8>> {
    let mut question: Value = serde_json::from_slice(line).ok()?;
    let request = question.get_mut("request")?;
    if reads(request) {
        return None;
    }
    *request = better(request.as_object()?).unwrap_or_else(|| json!({"stat": {}}));
    let mut line = serde_json::to_vec(&question).ok()?;
    line.push(b'\n');
    Some(line)
}

fn reads(request: &Value) -> bool {
    serde_json::from_value::<Request>(request.clone()).is_ok()
}

/// Keeps one verb of the request: unchanged, without one field, or with 1 as one field's value.
fn better(request: &Map<String, Value>) -> Option<Value> {
    request.iter().find_map(|(verb, of)| {
        let with = |change: &dyn Fn(&mut Map<String, Value>)| {
            let mut fields = of.as_object()?.clone();
            change(&mut fields);
            let request = json!({verb: fields});
            reads(&request).then_some(request)
        };
        let one = |key: &String| {
            let dropped = with(&|fields| drop(fields.remove(key)));
            dropped.or_else(|| with(&|fields| drop(fields.insert(key.clone(), json!(1)))))
        };
        with(&|_| {}).or_else(|| of.as_object()?.keys().find_map(one))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads_as(line: &str) -> Option<Value> {
        let line = readable(line.as_bytes())?;
        let question: Value = serde_json::from_slice(&line).ok()?;
        question.get("request").cloned()
    }

    #[test]
    fn what_cannot_be_read_is_made_readable_and_the_rest_is_left() {
        assert_eq!(reads_as(r#"{"id":1,"request":{"stat":{}}}"#), None);
        assert_eq!(reads_as(r#"{"id":1,"request":{"levitate":{}}}"#), Some(json!({"stat": {}})));
        let two = r#"{"id":1,"request":{"stat":{},"bye":{}}}"#;
        assert_eq!(reads_as(two), Some(json!({"bye": {}})));
        let word = r#"{"id":1,"request":{"unload":{"handle":"first"}}}"#;
        assert_eq!(reads_as(word), Some(json!({"unload": {"handle": 1}})));
        let further = r#"{"id":1,"request":{"unload":{"handle":7,"gently":true}}}"#;
        assert_eq!(reads_as(further), Some(json!({"unload": {"handle": 7}})));
    }

    #[test]
    fn bytes_come_through_in_order() -> io::Result<()> {
        let text = "{\"id\":1,\"request\":{\"stat\":{}}}\nno JSON\n";
        let mut read = String::new();
        Lenient::new(text.as_bytes()).read_to_string(&mut read)?;
        assert_eq!(read, text);
        Ok(())
    }
}
