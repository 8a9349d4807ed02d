//! `weighbridge list --boundaries`: which case notices what, the largest counts that cases have, and
//! the holes.

use std::io::Write;

use serde_json::json;

use super::lookup::LookupError;
use crate::harness::boundaries::extents::extents;
use crate::harness::boundaries::keys::keys;
use crate::harness::boundaries::{Boundary, EMBEDDED, read};
use crate::harness::case::Case;

/// Prints the table, or the JSON.
///
/// # Errors
/// If the table cannot be read, or `out` fails.
pub fn print(cases: &[Case], json: bool, out: &mut dyn Write) -> Result<(), LookupError> {
    let rows = read(EMBEDDED).map_err(|why| LookupError::Output(std::io::Error::other(why)))?;
    let (extents, keys) = (extents(cases), keys(cases));
    let untold = keys.iter().filter(|key| key.case.is_none()).count();
    let holes = rows.iter().filter(|row| row.hole.is_some()).count() + untold;
    if json {
        let row = |row: &Boundary| json!({"under": row.under, "what": row.what, "cases": row.cases, "hole": row.hole});
        let listing = json!({
            "boundaries": rows.iter().map(row).collect::<Vec<_>>(),
            "extents": extents
                .iter()
                .map(|one| json!({"what": one.what, "most": one.most, "case": one.case}))
                .collect::<Vec<_>>(),
            "keys": keys
                .iter()
                .map(|key| json!({"name": key.name, "case": key.case}))
                .collect::<Vec<_>>(),
            "holes": holes,
        });
        serde_json::to_writer_pretty(&mut *out, &listing)?;
        return Ok(writeln!(out)?);
    }
    let wide = rows.iter().map(|row| row.what.len()).max().unwrap_or(0);
    let mut under = "";
    for row in &rows {
        if row.under != under {
            under = &row.under;
            writeln!(out, "{under}")?;
        }
        let told = match &row.hole {
            Some(why) => format!("HOLE: {why}"),
            None => row.cases.join(", "),
        };
        writeln!(out, "  {:wide$}  {told}", row.what)?;
    }
    writeln!(out, "keys of config.json and generation_config.json")?;
    for key in &keys {
        let told = key.case.as_deref().unwrap_or("HOLE: no case states it");
        writeln!(out, "  {:wide$}  {told}", key.name)?;
    }
    writeln!(out, "the largest counts that cases have")?;
    for one in &extents {
        let what = format!("{} {}", one.most, one.what);
        writeln!(out, "  {what:wide$}  {}", one.case)?;
    }
    Ok(writeln!(
        out,
        "\n{} boundaries, {holes} without a case; {} counts",
        rows.len() + keys.len(),
        extents.len()
    )?)
}
