//! Why a command ended early: its exit code, the text for people, and the same as JSON for scripts.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::exit;
use super::fault::Fault;
use super::lookup::LookupError;
use crate::contract::Failure;
use crate::loader::error::emb;

/// Why a command ended early: an exit code and a message for people.
#[derive(Debug)]
pub struct CommandError {
    /// One of [`exit`]'s constants.
    pub code: u8,
    /// What to print on stderr.
    pub message: String,
    /// The loader's failure that it comes from, if it comes from one.
    failure: Option<Box<Failure>>,
}

impl CommandError {
    /// An exit code and a message.
    pub fn new(code: u8, message: impl ToString) -> Self {
        CommandError { code, message: message.to_string(), failure: None }
    }

    /// The command line is wrong, or a file that it names.
    pub fn usage(message: impl ToString) -> Self {
        CommandError::new(exit::USAGE, message)
    }

    /// The harness cannot do its work.
    pub fn harness(message: impl ToString) -> Self {
        CommandError::new(exit::HARNESS_ERROR, message)
    }

    /// Adds the failure that it comes from. Its fields go into the JSON.
    pub fn of(mut self, failure: Failure) -> Self {
        self.failure = Some(Box::new(failure));
        self
    }

    /// Prints the message on stderr and returns the code.
    pub fn tell(self) -> u8 {
        if !self.message.is_empty() {
            // If stderr is closed or full, only the exit code reports the error.
            let _ = writeln!(io::stderr(), "error: {}", self.message);
        }
        self.code
    }

    /// Does the same, and prints the error as one line of JSON on stdout.
    pub fn tell_as_json(self) -> u8 {
        if !self.message.is_empty() {
            // As above.
            let _ = writeln!(io::stdout(), "{}", self.json());
        }
        self.tell()
    }

    /// The error as JSON: `{"error": {"exit_code": 6, "message": ...}}`, with the fields of the
    /// loader's failure and its `EMB` code where there is one.
    fn json(&self) -> Value {
        let mut error = Map::from_iter([("exit_code".to_owned(), json!(self.code))]);
        if let Some(failure) = &self.failure {
            let (number, name) = emb(failure.code);
            error.insert("emb".to_owned(), json!(format!("EMB-E{number:03}")));
            error.insert("name".to_owned(), json!(name));
            if let Ok(Value::Object(fields)) = serde_json::to_value(failure) {
                error.extend(fields);
            }
        }
        error.entry("message").or_insert_with(|| json!(self.message));
        json!({ "error": error })
    }
}

impl From<LookupError> for CommandError {
    fn from(error: LookupError) -> Self {
        match error {
            // A reader may stop early, as `head` does.
            LookupError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                CommandError::new(exit::CORROBORATED, "")
            }
            LookupError::Output(_) => CommandError::harness(error),
            LookupError::Unknown { .. } => CommandError::usage(error),
        }
    }
}

impl From<Fault> for CommandError {
    fn from(fault: Fault) -> Self {
        CommandError::new(fault.exit_code(), fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Class, Code, Phase};

    #[test]
    fn json_has_the_exit_code_and_the_failure() {
        let plain = CommandError::usage("no such file").json();
        assert_eq!(plain, json!({"error": {"exit_code": 2, "message": "no such file"}}));
        let failure = Failure::new(Class::Refused, Phase::Open, Code::NotFound, "no weights")
            .remedy("name the folder");
        let error =
            &CommandError::new(exit::NOT_WARM, "[EMB-E008] ...").of(failure).json()["error"];
        assert_eq!((&error["exit_code"], &error["emb"]), (&json!(6), &json!("EMB-E008")));
        assert_eq!((&error["code"], &error["phase"]), (&json!("not_found"), &json!("open")));
        assert_eq!(
            (&error["message"], &error["remedy"]),
            (&json!("no weights"), &json!("name the folder"))
        );
    }
}
