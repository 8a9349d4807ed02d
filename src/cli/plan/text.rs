//! A plan for people: what cannot be divided and why, the ranks in short, and every slice with its bytes.

use std::collections::BTreeMap;

use crate::harness::plan::{Plan, Spans};

/// Pieces of a span that are printed; the others are counted.
const SHOWN: usize = 4;

/// The whole plan.
pub fn of(plan: &Plan) -> String {
    head(plan) + &whole(plan) + &ranks(plan) + &slices(plan)
}

fn head(plan: &Plan) -> String {
    let grid = &plan.grid;
    let (bytes, files) = (plan.bytes(), plan.files.len());
    let (tp, pp, replicas) = (grid.tp(), grid.pp(), grid.replicas());
    let of = format!("tp {tp} x pp {pp} x replicas {replicas}");
    let mut text = format!("ranks        {}: {of}\n", grid.world());
    let name = plan.architecture.model_type();
    let files = if files == 1 { "one file".to_owned() } else { format!("{files} files") };
    text += &format!("{name}: {} tensors, {bytes} bytes in {files}\n", plan.entries.len());
    if let Some(by_config) = &plan.by_config {
        let dtype = by_config.dtype;
        text +=
            &format!("by config    no weight file is there: shapes and {dtype} by config.json\n");
        if let Some(total) = by_config.total.filter(|total| *total != bytes) {
            text += &format!("index        says that all tensors have {total} bytes\n");
        }
    }
    if plan.architecture.is_decoder() {
        let (rows, padded) = (plan.division.vocabulary, plan.division.padded);
        let each = plan.division.words_each();
        text += &format!("vocabulary   {rows} rows, padded to {padded}: {each} for each rank\n");
        let head = match (plan.tied, grid.pp()) {
            (false, _) => "a matrix of its own",
            (true, 1) => "tied: the rank's own word embeddings",
            (true, _) => "tied: the last stage reads the word embeddings too",
        };
        text += &format!("head         {head}\n");
    }
    for stage in 0..grid.pp() {
        let own = plan.stages.iter().zip(0_u64..).filter(|(owner, _)| **owner == stage);
        let layers: Vec<String> = own.map(|(_, layer)| layer.to_string()).collect();
        let from_to = match layers.as_slice() {
            [] => "no layer".to_owned(),
            [only] => format!("layer {only}"),
            [first, .., last] => format!("layers {first} to {last}"),
        };
        text += &format!("stage {stage:<6} {from_to}\n");
    }
    text
}

/// What every rank has whole, and what nobody has.
fn whole(plan: &Plan) -> String {
    let mut reasons: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for entry in &plan.entries {
        if let Some(reason) = entry.part.role.reason() {
            reasons.entry(reason).or_insert((0, &entry.declared.name)).0 += 1;
        }
    }
    let mut text = String::new();
    for (reason, (count, first)) in reasons {
        let first = first.escape_debug();
        text += &format!("whole        {count} tensors, as {first}: {reason}\n");
    }
    for (name, why) in &plan.unused {
        text += &format!("unused       {}: {why}\n", name.escape_debug());
    }
    text
}

fn ranks(plan: &Plan) -> String {
    let mut text =
        "\n  rank replica stage tp-rank device  tensors       bytes elsewhere\n".to_owned();
    for place in plan.grid.places() {
        let load = plan.load(&place);
        text += &format!(
            "{:>6} {:>7} {:>5} {:>7} {:>6} {:>8} {:>11} {:>9}\n",
            place.rank,
            place.replica,
            place.stage,
            place.tp_rank,
            place.device,
            load.tensors,
            load.bytes,
            load.elsewhere
        );
    }
    let (all, times) = (plan.bytes_of_ranks(), plan.times_the_model());
    text + &format!("all ranks read {all} bytes, {times:.3} times the model\n")
}

/// Every slice of the first replica; the others have the same.
fn slices(plan: &Plan) -> String {
    let mut text = String::new();
    for place in plan.grid.places().filter(|place| place.replica == 0) {
        let (rank, stage, tp_rank, device) = (place.rank, place.stage, place.tp_rank, place.device);
        text += &format!("\nrank {rank}: stage {stage}, tp rank {tp_rank}, device {device}\n");
        for entry in plan.of_stage(stage) {
            let share = entry.share(tp_rank);
            let (name, role) = (entry.declared.name.escape_debug(), entry.part.role.name());
            let file = &plan.files[entry.declared.file].name;
            let mut line = format!("  {name}  {role}  {share}");
            let padding = plan.held(entry, tp_rank).padding.unwrap_or(0);
            if padding > 0 {
                line += &format!(" and {padding} padding rows");
            }
            let spans = entry.spans(&share);
            let spans = spans.map(|spans| spans.iter().map(pieces).collect::<Vec<_>>().join("; "));
            let bytes = share.elements() * entry.width();
            let read = spans.unwrap_or_else(|| format!("{bytes} bytes"));
            line += &match bytes {
                0 => "  reads nothing".to_owned(),
                _ => format!("  {}: {read}", file.escape_debug()),
            };
            text += &format!("{line}\n");
        }
    }
    if plan.grid.replicas() > 1 {
        text += "\nranks of other replicas hold the same as those of replica 0\n";
    }
    text
}

/// Pieces of a file, in words.
fn pieces(spans: &Spans) -> String {
    let shown: Vec<String> = spans.pieces.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = match spans.pieces.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let times = match spans.count {
        1 => String::new(),
        count => format!(", {count} times every {} bytes", spans.stride),
    };
    format!("bytes {}{more}{times}", shown.join("+"))
}
