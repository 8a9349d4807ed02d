//! The first exchange, `hello`. A loader that answers it wrongly is not tested further.

use std::path::Path;

use super::{Bounds, Broken, Client, Outcome};
use crate::contract::capability::{self, check_complete};
use crate::contract::reply::{Introduction, Reply};
use crate::contract::request::{Hello, Request};
use crate::contract::{Code, Failure, PROTOCOL};

/// Names of branches, and similar words, that do not identify a build.
const BRANCHES: [&str; 7] = ["main", "master", "head", "trunk", "develop", "latest", "unknown"];

/// Sends `hello` with a new nonce and checks the answer.
///
/// After an error the client stays open, so that the caller can read the loader's stderr.
///
/// # Errors
/// The reason why the loader cannot be tested.
pub fn greet(
    client: &mut dyn Client,
    scratch: &Path,
    bounds: &Bounds,
) -> Result<Introduction, Broken> {
    let nonce = format!("{:032x}", rand::random::<u128>());
    let hello = Hello { protocol: PROTOCOL, nonce: nonce.clone(), scratch: scratch.to_path_buf() };
    match client.ask(Request::Hello(hello), bounds).outcome {
        Outcome::Reply(Reply::Hello(introduction)) => {
            check(&introduction, &nonce)?;
            Ok(introduction)
        }
        Outcome::Reply(other) => {
            Err(Broken::WrongVerb { asked: "hello".to_owned(), answered: other.verb().to_owned() })
        }
        Outcome::Failure(failure) => Err(match other_protocol(&failure) {
            Some(found) => Broken::WrongProtocol { expected: PROTOCOL, found },
            None => Broken::Refused { verb: "hello".to_owned(), failure: Box::new(failure) },
        }),
        Outcome::Broken(broken) => Err(broken),
    }
}

/// Checks that a loader is the one that answered the run's first `hello`: by its name, by its version and by
/// what it supports. The reasons of what it does not support may name amounts that change, such as free memory.
///
/// With its GPUs hidden, a loader may support less.
///
/// # Errors
/// [`Broken::Changed`].
pub fn same(first: &Introduction, now: &Introduction, hidden: bool) -> Result<(), Broken> {
    let changed = |what: String| Err(Broken::Changed { what });
    for (what, then, now) in
        [("name", &first.name, &now.name), ("version", &first.version, &now.version)]
    {
        if then != now {
            return changed(format!("{what} {then:?} then, {now:?} now"));
        }
    }
    let supports = |of: &Introduction, one| of.capabilities.get(one).is_some_and(|it| it.supported);
    let all = first.capabilities.keys().chain(now.capabilities.keys());
    for one in all.filter(|_| !hidden) {
        let (then, now) = (supports(first, one), supports(now, one));
        if then != now {
            let words = |is: bool| if is { "supported" } else { "not supported" };
            let name = capability::name(*one);
            return changed(format!("{name} {} then, {} now", words(then), words(now)));
        }
    }
    Ok(())
}

/// The protocol that a loader names in its refusal of ours.
fn other_protocol(failure: &Failure) -> Option<u32> {
    let number = |told: &Option<String>| told.as_ref()?.parse::<u32>().ok();
    let of_protocols =
        failure.code == Code::InvalidRequest && number(&failure.actual) == Some(PROTOCOL);
    number(&failure.expected).filter(|_| of_protocols)
}

fn check(introduction: &Introduction, nonce: &str) -> Result<(), Broken> {
    if introduction.protocol != PROTOCOL {
        let found = introduction.protocol;
        return Err(Broken::WrongProtocol { expected: PROTOCOL, found });
    }
    if introduction.nonce != nonce {
        let found = introduction.nonce.clone();
        return Err(Broken::WrongNonce { expected: nonce.to_owned(), found });
    }
    let name = introduction.name.trim();
    if name.is_empty() {
        return Err(Broken::Identity { why: "the name is empty".to_owned() });
    }
    let version = introduction.version.trim();
    if version.is_empty() {
        return Err(Broken::Identity { why: format!("the version of {name} is empty") });
    }
    if BRANCHES.contains(&version.to_ascii_lowercase().as_str()) {
        let why = format!("the version of {name} does not identify a build: {version}");
        return Err(Broken::Identity { why });
    }
    check_complete(&introduction.capabilities).map_err(|why| Broken::Capabilities { why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Capability;
    use crate::contract::capability::{Capabilities, Support};

    fn told(name: &str, version: &str, reads: bool) -> Introduction {
        let support = if reads { Support::yes() } else { Support::no("not today") };
        Introduction {
            protocol: PROTOCOL,
            nonce: String::new(),
            name: name.to_owned(),
            version: version.to_owned(),
            capabilities: Capabilities::from([(Capability::Read, support)]),
        }
    }

    #[test]
    fn a_loader_is_the_same_by_name_version_and_what_it_supports() {
        let first = told("a", "1", true);
        let changed = |now: &Introduction, hidden| same(&first, now, hidden).is_err();
        assert!(!changed(&told("a", "1", true), false));
        assert!(changed(&told("b", "1", true), false));
        assert!(changed(&told("a", "2", true), true));
        assert!(changed(&told("a", "1", false), false));
        // With its GPUs hidden it may support less, but has the same name.
        assert!(!changed(&told("a", "1", false), true));
        let mut less = told("a", "1", true);
        less.capabilities.clear();
        assert!(changed(&less, false) && same(&less, &first, false).is_err());
    }
}
