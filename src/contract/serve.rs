//! Turns a [`Loader`] into a program that answers on stdin and stdout.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use super::request::Request;
use super::wire::{Line, MAX_LINE, Question};
use super::{Class, Code, Failure, Loader, PROTOCOL, Phase};

/// Answers requests until `bye` or the end of input.
///
/// Only the protocol may write to standard output while this runs. A panic in the loader ends the
/// process, and the harness reports a crash.
///
/// # Errors
/// Where stdin or stdout fails.
pub fn serve(loader: &mut dyn Loader) -> io::Result<()> {
    converse(loader, &mut BufReader::new(io::stdin().lock()), &mut io::stdout().lock())
}

/// The same over any pair of streams.
///
/// # Errors
/// Where either stream fails.
pub fn converse<R: BufRead, W: Write>(
    loader: &mut dyn Loader,
    input: &mut R,
    output: &mut W,
) -> io::Result<()> {
    let mut output = BufWriter::new(output);
    let mut text = Vec::new();
    loop {
        text.clear();
        let read = input.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut text)?;
        if read == 0 {
            return Ok(());
        }
        let (line, last) = match serde_json::from_slice::<Question>(&text) {
            Ok(Question { id, request }) => {
                let last = matches!(request, Request::Bye(_));
                (Line::answer(id, loader.answer(request)), last)
            }
            Err(error) => (Line::answer(id_of(&text), Err(unreadable(&error))), false),
        };
        serde_json::to_writer(&mut output, &line)?;
        output.write_all(b"\n")?;
        output.flush()?;
        if last {
            return Ok(());
        }
    }
}

/// The id of a line whose request could not be read, so that its sender can match the refusal.
fn id_of(text: &[u8]) -> u64 {
    serde_json::from_slice::<serde_json::Value>(text)
        .ok()
        .and_then(|value| value.get("id")?.as_u64())
        .unwrap_or(0)
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::new(
        Class::Refused,
        Phase::Request,
        Code::InvalidRequest,
        format!("request not understood: {error}"),
    )
    .expected(format!("one request of protocol version {PROTOCOL}"), error)
    .remedy("Send one request a line, with the fields of its verb and no others.")
}
