//! Formats the results of `bench load` as a table.

use std::fmt::Write;

use super::figures::{Arm, Bench, OnDisk, PEER_CLOCK};
use crate::contract::plan::{LoadStep, LoadTimes};
use crate::harness::report::text::Table;
use crate::harness::run::case_run::words::wire;

/// The whole table.
pub fn render(bench: &Bench) -> String {
    let mut text = head(bench);
    text += "\nlimits, in GB/s (10^9 bytes a second)\n";
    text += &limits(bench).text();
    let mut notes: Vec<String> = Vec::new();
    let mut sections: Vec<(&str, &str)> = Vec::new();
    for arm in &bench.arms {
        let section = (arm.file_system.as_str(), arm.cache);
        if !sections.contains(&section) {
            sections.push(section);
        }
    }
    for (file_system, cache) in sections {
        let state = match cache {
            "warm" => "the file in the page cache",
            _ => "none of the file in the page cache",
        };
        let _ = writeln!(text, "\n{file_system}, {state}");
        let arms: Vec<&Arm> = bench
            .arms
            .iter()
            .filter(|arm| arm.file_system == file_system && arm.cache == cache)
            .collect();
        text += &section(&arms, cache, &mut notes);
    }
    text += "\nGB/s and the ratios are of the best load; `x peer` is best over the fastest peer's \
             best, then median over the highest median of a peer. `of reachable` is best over best, then \
             median over median, of the arm that reads and copies at once.\n";
    for (at, note) in notes.iter().enumerate() {
        let _ = writeln!(text, "[{}] {note}", at + 1);
    }
    if bench.arms.iter().any(|arm| arm.clock == PEER_CLOCK) {
        let _ = writeln!(text, "clock of peers: {PEER_CLOCK}");
    }
    for missing in &bench.missing {
        let _ = writeln!(text, "without {}: {}", missing.name, missing.why);
    }
    for line in &bench.synthetic {
        let _ = writeln!(text, "synthetic: {line}");
    }
    text
}

fn head(bench: &Bench) -> String {
    let gates = if bench.gates { "on" } else { "off" };
    let mut table = Table::new(2, ["", ""]);
    table.row(["bench load".to_owned(), bench.stamp.origin()]);
    table.row(["machine".to_owned(), bench.stamp.place()]);
    table.row(["model".to_owned(), format!("{}, {} bytes", bench.model.what, bench.model.bytes)]);
    let timed = timed(&bench.arms);
    let loads = format!(
        "to {}, {timed} timed after one untimed, loaders in turn, gates {gates}",
        bench.device
    );
    table.row(["loads".to_owned(), loads]);
    table.text()
}

/// How many loads of each arm were timed: fewer than were asked for where `--within` left no time for all.
fn timed(arms: &[Arm]) -> String {
    let whole = arms.iter().filter(|arm| arm.error.is_none() && arm.skipped.is_none());
    let counts = || whole.clone().map(|arm| arm.runs.len());
    match (counts().min().unwrap_or(0), counts().max().unwrap_or(0)) {
        (fewest, most) if fewest == most => most.to_string(),
        (fewest, most) => format!("{fewest} to {most}"),
    }
}

fn limits(bench: &Bench) -> Table {
    let limits = &bench.limits;
    let mut table = Table::new(1, ["", ""]);
    let mut row = |what: String, gbps: f64| table.row([format!("  {what}"), rate(gbps)]);
    for (what, gbps) in [
        ("copy host to device, pinned", limits.copy_pinned),
        ("copy host to device, pageable", limits.copy_pageable),
        ("SHA-256 of chunks on the device", limits.device_sha256),
    ] {
        if let Some(gbps) = gbps {
            row(what.to_owned(), gbps);
        }
    }
    for width in &limits.sha256 {
        row(format!("SHA-256 over memory, {}", streams(width.threads, "stream")), width.gbps);
    }
    row("SHA-256 within the cache, 1 stream".to_owned(), limits.sha256_in_cache);
    for (what, all) in [("page cache", &limits.page_cache), ("direct read", &limits.direct)] {
        for OnDisk { file_system, rates, .. } in all {
            for width in rates {
                let threads = streams(width.threads, "thread");
                row(format!("{what}, {file_system}, {threads}"), width.gbps);
            }
        }
    }
    for one in &limits.reachable {
        if let Some(best) = one.best() {
            let (threads, size) = (streams(best.threads, "thread"), best.piece_bytes >> 10);
            let what = format!("{}: {threads}, pieces of {size} KiB", one.file_system);
            row(format!("reading and copying at once, {what}, {} slots", best.slots), best.gbps);
        }
    }
    for OnDisk { file_system, skipped, .. } in &limits.direct {
        if let Some(why) = skipped {
            table.sentence([format!("  direct read, {file_system}: {why}")]);
        }
    }
    table
}

fn section(arms: &[&Arm], cache: &str, notes: &mut Vec<String>) -> String {
    let last = if cache == "warm" { "x peer" } else { "of direct" };
    // On the host nothing is copied, and hashing is the limit.
    let copied = arms.iter().any(|arm| arm.of_reachable.is_some());
    let second = if copied { "of reachable" } else { "of SHA-256" };
    let titles =
        ["  arm", "verifies", "best s", "median", "worst", "GB/s", "of copy", second, last];
    let mut table = Table::new(2, titles);
    for arm in arms {
        let note = number(notes, &arm.how);
        let name = format!("  {} [{note}]", arm.name);
        if let Some(why) = arm.error.as_ref().or(arm.skipped.as_ref()) {
            let word = if arm.error.is_some() { "FAILED" } else { "skipped" };
            let why = why.lines().map(str::trim).collect::<Vec<_>>().join("; ");
            table.sentence([name, format!("{word}: {why}")]);
            continue;
        }
        let ratios = match cache {
            "warm" => both(arm.of_peer, arm.of_peer_median, rate),
            _ => percent(arm.of_direct),
        };
        table.row([
            name,
            arm.verifies.to_owned(),
            seconds(arm.best_s),
            seconds(arm.median_s),
            seconds(arm.worst_s),
            arm.best_gbps.map_or("-".to_owned(), rate),
            percent(arm.of_copy),
            if copied {
                both(arm.of_reachable, arm.of_reachable_median, share)
            } else {
                percent(arm.of_sha256)
            },
            ratios,
        ]);
    }
    let mut text = table.text();
    let left = arms.iter().flat_map(|arm| &arm.residual).copied().max_by(f64::total_cmp);
    if cache == "cold" && arms.iter().any(|arm| !arm.runs.is_empty()) {
        text += &match left {
            Some(share) => {
                format!("  left in the page cache before a load: at most {:.2} %\n", share * 100.0)
            }
            None => "  share left in the page cache is not known: the kernel does not report it\n"
                .to_owned(),
        };
    }
    for arm in arms.iter().filter(|arm| arm.own) {
        if let Some(times) = &arm.times {
            let _ = writeln!(text, "  {}: the shortest load in ms: {}", arm.name, steps(times));
        }
    }
    for arm in arms.iter().filter(|arm| arm.own && cache == "warm") {
        if let Some(peak) = arm.host_peak_bytes {
            let device = arm
                .device_bytes
                .map_or(String::new(), |bytes| format!(", {bytes} bytes of device memory"));
            let _ = writeln!(
                text,
                "  {}: host memory peaked {peak} bytes above what was held before{device}",
                arm.name
            );
        }
    }
    text
}

/// The time of each step, in milliseconds.
pub fn steps(times: &LoadTimes) -> String {
    let step = |(step, us): (LoadStep, u64)| format!("{} {:.1}", wire(step), us as f64 / 1e3);
    times.each().map(step).join(", ")
}

/// The number of a footnote. Equal texts share one number.
fn number(notes: &mut Vec<String>, how: &str) -> usize {
    let at = notes.iter().position(|note| note == how).unwrap_or_else(|| {
        notes.push(how.to_owned());
        notes.len() - 1
    });
    at + 1
}

fn streams(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn rate(gbps: f64) -> String {
    format!("{gbps:.2}")
}

fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.4}"))
}

fn percent(ratio: Option<f64>) -> String {
    ratio.map_or("-".to_owned(), share)
}

fn share(ratio: f64) -> String {
    format!("{:.0} %", ratio * 100.0)
}

/// The ratio of the best load, and that of the median one.
fn both(best: Option<f64>, median: Option<f64>, show: fn(f64) -> String) -> String {
    let both = best.zip(median);
    both.map_or("-".to_owned(), |(best, median)| format!("{}, {}", show(best), show(median)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loads_that_were_timed_are_counted() {
        let arm = |loads: usize| Arm { runs: vec![0.1; loads], ..Arm::default() };
        assert_eq!(timed(&[arm(3), arm(3)]), "3");
        assert_eq!(timed(&[arm(3), arm(4)]), "3 to 4");
        let failed = Arm { error: Some("other bytes".to_owned()), ..arm(1) };
        assert_eq!(timed(&[failed, arm(5)]), "5");
    }
}
