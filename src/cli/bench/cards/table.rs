//! The table of `bench load --devices`.

use super::figures::Bench;
use crate::harness::report::text::Table;

/// The whole table.
pub fn render(bench: &Bench) -> String {
    let mut table = Table::new(2, ["", ""]);
    table.row(["bench load --devices".to_owned(), bench.stamp.origin()]);
    table.row(["machine".to_owned(), bench.stamp.place()]);
    table.row(["model".to_owned(), format!("{} bytes", bench.model_bytes)]);
    table.row(["devices".to_owned(), bench.devices.join(", ")]);
    let loads = format!("{} timed after one untimed, whose ranks are read back", bench.rounds);
    table.row(["loads".to_owned(), loads]);
    let mut text = table.text();
    text += "\nlimits, in GB/s (10^9 bytes a second)\n";
    let mut table = Table::new(1, ["devices", "page cache", "copies to all"]);
    for limit in &bench.limits {
        let copies = limit.copies.map_or("none".to_owned(), |rate| format!("{rate:.1}"));
        table.row([limit.devices.to_string(), format!("{:.1}", limit.page_cache), copies]);
    }
    text += &table.text();
    text += "\nloads; GB/s count the bytes of the model once; read has no bytes that come through a map of the file; spread is from the first device to end its work to the last, by the time of the load\n";
    let head =
        ["way", "bounded by", "devices", "best s", "GB/s", "median", "of limit", "read", "spread"];
    let mut table = Table::new(2, head);
    for arm in &bench.arms {
        let best = arm.seconds.iter().copied().fold(f64::INFINITY, f64::min);
        match &arm.error {
            Some(error) => table.sentence([arm.name.clone(), error.clone()]),
            None => table.row([
                arm.name.clone(),
                arm.bound.to_owned(),
                arm.devices.to_string(),
                format!("{best:.3}"),
                format!("{:.1}", arm.best_gbps),
                format!("{:.1}", arm.median_gbps),
                format!("{:.2}", arm.of_limit),
                format!("{:.3}", arm.read),
                arm.spread.map_or("-".to_owned(), |spread| format!("{:.1} %", spread * 100.0)),
            ]),
        }
    }
    text += &table.text();
    for line in &bench.synthetic {
        text += &format!("\nsynthetic: {line}\n");
    }
    text
}
