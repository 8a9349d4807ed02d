//! Reads a card at rest and at work: copies and the canary run while NVML is asked how fast it runs.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::canary;
use super::seen::{Blame, Canary, Seen, Unread, counters};
use crate::gpu::nvml::{self, CardPace, XidEvents};
use crate::gpu::{self, Context};

/// Time between two looks at a card that works.
const LOOK: Duration = Duration::from_millis(10);

/// Reads everything.
pub fn seen(ordinal: u32, events: Option<&XidEvents>, blame: Blame) -> Seen {
    // Held to the end: without a context, a card is slow to begin and clocks itself down.
    let context = Context::open(ordinal);
    let mut paces: Vec<CardPace> = Vec::new();
    let mut look = || paces.extend(nvml::card_pace(ordinal));
    look();
    let (copy_gbps, canary) = match &context {
        Err(error) => (Err(blame(error)), Err(blame(error))),
        Ok(context) => thread::scope(|scope| {
            let (ended, waiting) = channel();
            let worker = scope.spawn(move || {
                let worked = work(context, blame);
                // The receiver is there until this is sent.
                let _sent = ended.send(());
                worked
            });
            while let Err(RecvTimeoutError::Timeout) = waiting.recv_timeout(LOOK) {
                look();
            }
            worker.join().unwrap_or_else(|_| {
                let why = || Unread::Unknown("the harness failed at it".to_owned());
                (Err(why()), Err(why()))
            })
        }),
    };
    look();
    // Last, so that what the work itself brought to light is counted.
    Seen { counters: counters(ordinal, events, blame), paces, copy_gbps, canary }
}

fn work(context: &Context, blame: Blame) -> (Result<f64, Unread>, Result<Canary, Unread>) {
    let copied = gpu::copy_limit(context).map_err(|error| blame(&error));
    (copied.map(|limit| limit.h2d_pinned_gbps), canary::sing(context, blame))
}
