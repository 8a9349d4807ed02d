//! How fast a card runs and copies: what slows it, its clock at work, its link.

use super::limits;
use super::seen::{Unread, unread};
use super::told::{Sight, told};
use crate::gpu::nvml::{CardPace, Link, Slowed};
use crate::harness::record::health::Reading;

const COOL: &str = "see to the card's cooling and power supply (`nvidia-smi -q -d PERFORMANCE,TEMPERATURE,POWER`), \
    or choose another card with --device cuda:N";

/// Every reading about speed. `encrypted`: whether confidential computing encrypts every copy.
pub fn all(paces: &[CardPace], encrypted: bool, copy_gbps: &Sight<f64>) -> Vec<Reading> {
    vec![slowed(paces), clock(paces), copy(paces, encrypted, copy_gbps)]
}

/// What the hardware slows the card for. Only what every look shows counts: NVML reports a slowdown also
/// while a clock changes. Catches heat and a weak power supply.
fn slowed(paces: &[CardPace]) -> Reading {
    let sight = figures(paces, |pace| pace.slowed.as_ref().map(|slowed| *slowed)).map(|all| {
        let each = |of: fn(&Slowed) -> bool| all.iter().all(of);
        let reasons: Vec<&str> = [
            (each(|slowed| slowed.hardware), "slowdown"),
            (each(|slowed| slowed.thermal), "too hot"),
            (each(|slowed| slowed.power_brake), "power brake"),
        ]
        .into_iter()
        .filter_map(|(seen, word)| seen.then_some(word))
        .collect();
        match reasons.is_empty() {
            true => (true, format!("nothing, in {} looks", all.len())),
            false => (false, format!("{}, in all of {} looks", reasons.join(", "), all.len())),
        }
    });
    let source = "NVML: each such reason halves the clock or worse";
    told("slowed by the hardware", "nothing at each look", source, sight, COOL)
}

/// The clock while the card works. Catches a card that is stuck at its idle clock.
fn clock(paces: &[CardPace]) -> Reading {
    let limit = format!("at least {} of the highest, at work", limits::CLOCK);
    let sight = figures(paces, |pace| pace.clock.as_ref().map(|clock| *clock)).map(|all| {
        let (now, most) = all.into_iter().max().unwrap_or_default();
        let held = f64::from(now) >= limits::CLOCK * f64::from(most);
        (held, format!("{now} of {most} MHz"))
    });
    told("clock", &limit, "NVML; a power cap or locked clocks stay far above", sight, COOL)
}

/// The copy rate against what the link can do. Catches a link with fewer lanes or of an older generation.
fn copy(paces: &[CardPace], encrypted: bool, copy_gbps: &Sight<f64>) -> Reading {
    const SEAT: &str = "seat the card anew, look at its slot and riser and at the kernel log for PCIe errors; \
        or end what else copies on this machine";
    let what = "copies to the device";
    let source = "the rate of the PCIe link by its specification, generation and lanes by NVML";
    // The best link seen: an idle link rests in a lower generation.
    let link = figures(paces, |pace| pace.link.as_ref().map(|link| *link))
        .map(|all| all.into_iter().max_by_key(|link| (link.generation, link.width)));
    let (rate, link) = match (copy_gbps, link) {
        (Err(error), _) => return told(what, "a rate", source, Err(error.clone()), SEAT),
        (Ok(rate), Err(Unread::Unknown(why) | Unread::Broken(why))) => {
            let why = format!("{rate:.1} GB/s, and nothing to compare with: {why}");
            return told(what, "a share of the link", source, Err(Unread::Unknown(why)), SEAT);
        }
        (Ok(rate), Ok(link)) => (*rate, link),
    };
    let best = link.and_then(|link| limits::link_gbps(link.most_generation, link.most_width));
    let (Some(link), Some(best)) = (link, best) else {
        let why = format!("{rate:.1} GB/s over a link whose rate is not known");
        return told(what, "a share of the link", source, Err(Unread::Unknown(why)), SEAT);
    };
    let found = format!("{rate:.1} GB/s, {:.2} of the link; {}", rate / best, spelled(&link));
    if encrypted {
        let limit = "none: confidential computing encrypts every copy";
        return told(what, limit, source, Ok((true, found)), SEAT);
    }
    let less = link.generation < link.most_generation || link.width < link.most_width;
    let least = if less { limits::COPY_ON_LESS } else { limits::COPY };
    let limit = format!("at least {least} of {best:.1} GB/s");
    told(what, &limit, source, Ok((rate >= least * best, found)), SEAT)
}

fn spelled(link: &Link) -> String {
    format!(
        "generation {} of {}, {} of {} lanes",
        link.generation, link.most_generation, link.width, link.most_width
    )
}

/// A figure of all paces that give it; if none does, why.
fn figures<T>(
    paces: &[CardPace],
    of: impl Fn(&CardPace) -> Result<T, &crate::gpu::GpuError>,
) -> Sight<Vec<T>> {
    let mut why = None;
    let mut all = Vec::new();
    for pace in paces {
        match of(pace) {
            Ok(figure) => all.push(figure),
            Err(error) => why = Some(unread(error)),
        }
    }
    match (all.is_empty(), why) {
        (false, _) => Ok(all),
        (true, Some(why)) => Err(why),
        (true, None) => Err(Unread::Unknown("NVML gave no figure".to_owned())),
    }
}
