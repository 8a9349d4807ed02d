//! One reading from what was seen and its limit.

use super::seen::Unread;
use crate::harness::record::health::{Reading, State};

/// What was seen, or why not.
pub type Sight<T> = Result<T, Unread>;

/// A reading: whether it is within its limit and what was found, or why it is missing.
pub fn told(
    what: &str,
    limit: &str,
    source: &str,
    sight: Sight<(bool, String)>,
    remedy: &str,
) -> Reading {
    let (state, found) = match sight {
        Ok((true, found)) => (State::Healthy, found),
        Ok((false, found)) => (State::Sick, found),
        Err(Unread::Broken(why)) => (State::Sick, why),
        Err(Unread::Unknown(why)) => (State::NotReadable, why),
    };
    Reading {
        what: what.to_owned(),
        found,
        limit: limit.to_owned(),
        source: source.to_owned(),
        state,
        remedy: (state == State::Sick).then(|| remedy.to_owned()),
    }
}
