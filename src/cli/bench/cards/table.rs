//! The table of `bench load --devices`.

use super::figures::Bench;
use crate::cli::bench::figures::best;
use crate::cli::bench::table::steps;
use crate::harness::report::text::Table;

/// The whole table.
pub fn render(bench: &Bench) -> String {
    let mut table = Table::new(2, ["", ""]);
    table.row(["bench load --devices".to_owned(), bench.stamp.origin()]);
    table.row(["machine".to_owned(), bench.stamp.place()]);
    table.row(["model".to_owned(), format!("{} bytes", bench.model_bytes)]);
    table.row(["devices".to_owned(), bench.devices.join(", ")]);
    let back = "whose ranks are read back, except this program's unverified one";
    let loads = format!("{} timed after one untimed, {back}", bench.rounds);
    table.row(["loads".to_owned(), loads]);
    let mut text = table.text();
    text += "\nlimits, in GB/s (10^9 bytes a second)\n";
    let mut table = Table::new(
        1,
        ["devices", "page cache", "copies to all", "both at once", "threads, pieces"],
    );
    let rate = |rate: Option<f64>| rate.map_or("none".to_owned(), |rate| format!("{rate:.1}"));
    for limit in &bench.limits {
        let most = best(&limit.together);
        let how = most.map_or("-".to_owned(), |most| {
            format!("{}, {} of {} KiB each", most.threads, most.slots, most.piece_bytes >> 10)
        });
        table.row([
            limit.devices.to_string(),
            format!("{:.1}", limit.page_cache),
            rate(limit.copies),
            rate(most.map(|most| most.gbps)),
            how,
        ]);
    }
    text += &table.text();
    text += "\nloads; GB/s count the bytes of the model once; \"of both\" is by reading and copying at once; read has no bytes that come through a map of the file; spread is from the first device to end its work to the last, by the time of the load\n";
    let head = [
        "way",
        "bounded by",
        "devices",
        "best s",
        "GB/s",
        "median",
        "of limit",
        "of both",
        "read",
        "spread",
    ];
    let mut table = Table::new(2, head);
    for arm in &bench.arms {
        let least = arm.seconds.iter().copied().fold(f64::INFINITY, f64::min);
        match &arm.error {
            Some(error) => table.sentence([arm.name.clone(), error.clone()]),
            None => table.row([
                arm.name.clone(),
                arm.bound.to_owned(),
                arm.devices.to_string(),
                format!("{least:.3}"),
                format!("{:.1}", arm.best_gbps),
                format!("{:.1}", arm.median_gbps),
                format!("{:.2}", arm.of_limit),
                arm.of_reachable.map_or("-".to_owned(), |share| format!("{share:.2}")),
                format!("{:.3}", arm.read),
                arm.spread.map_or("-".to_owned(), |spread| format!("{:.1} %", spread * 100.0)),
            ]),
        }
    }
    text += &table.text();
    for arm in bench.arms.iter().filter(|arm| arm.own) {
        if let Some(times) = &arm.times {
            let (name, devices, all) = (&arm.name, arm.devices, steps(times));
            text += &format!("  {name}, {devices}: the shortest load in ms: {all}\n");
        }
    }
    for line in &bench.synthetic {
        text += &format!("\nsynthetic: {line}\n");
    }
    text
}
