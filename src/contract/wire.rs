//! The contract on a pipe: one JSON object a line, UTF-8, at most [`MAX_LINE`] bytes.
//!
//! ```text
//! harness  {"id":1,"request":{"hello":{"protocol":2,"nonce":"5d0c","scratch":"/tmp/w"}}}
//! loader   {"id":1,"reply":{"hello":{"protocol":2,"nonce":"5d0c","name":"...","version":"...","capabilities":{...}}}}
//! harness  {"id":2,"request":{"load":{"path":"/tmp/w/9f2c","device":"cpu","admit":true}}}
//! loader   {"id":2,"progress":{"done":1048576,"total":4194304}}
//! loader   {"id":2,"failure":{"class":"refused","phase":"header","code":"overlap","effects":"none","device":"ok","message":"..."}}
//! harness  {"id":3,"request":{"bye":{}}}
//! ```
//!
//! One request is in flight at a time. The reply repeats the request's id. `progress` lines are
//! optional and show only that the process runs. Text for people goes to stderr. It is stored as a
//! log and does not affect any verdict.

use serde::{Deserialize, Serialize};

use super::Failure;
use super::reply::Reply;
use super::request::Request;

/// Longest line either side may send, in bytes, newline included.
///
/// A table of about 100,000 tensors fits. Bulk data goes through files.
pub const MAX_LINE: usize = 16 << 20;

/// One line from the harness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Counts up from 1.
    pub id: u64,
    /// What is asked.
    pub request: Request,
}

/// One line from the loader: exactly one of the three optional fields is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The question's id; 0 if the question could not be read.
    pub id: u64,
    /// The request was served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// The request failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The request is still in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// How far a request has come, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Done so far.
    pub done: u64,
    /// In all.
    pub total: u64,
}

impl Line {
    /// The final line of an exchange.
    pub fn answer(id: u64, answer: Result<Reply, Failure>) -> Self {
        let (reply, failure) = match answer {
            Ok(reply) => (Some(reply), None),
            Err(failure) => (None, Some(failure)),
        };
        Line { id, reply, failure, progress: None }
    }
}
