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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::weighing::Embedded;

    fn printed(cases: &[Case], json: bool) -> String {
        let mut out = Vec::new();
        print(cases, json, &mut out).expect("printed");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn every_boundary_is_listed_with_its_cases_and_the_sums_agree() {
        let embedded = Embedded::read().expect("the suite");
        let cases = embedded.cases.cases();
        let listing: serde_json::Value = serde_json::from_str(&printed(cases, true)).expect("JSON");
        let rows = read(EMBEDDED).expect("the table");
        let (boundaries, keys) = (&listing["boundaries"], &listing["keys"]);
        assert_eq!(boundaries.as_array().map(Vec::len), Some(rows.len()));
        let untold = keys.as_array().into_iter().flatten().filter(|key| key["case"].is_null());
        let holes = rows.iter().filter(|row| row.hole.is_some()).count() + untold.count();
        assert_eq!(listing["holes"], holes);
        let known = |id: &serde_json::Value| cases.iter().any(|case| *id == case.id());
        for row in boundaries.as_array().into_iter().flatten() {
            let named = row["cases"].as_array().expect("cases");
            assert!(named.iter().all(known), "{row}");
            assert!(named.is_empty() == row["hole"].is_string(), "{row}");
        }
        let keys = keys.as_array().expect("keys");
        assert!(keys.iter().any(|key| key["name"] == "rope_theta" && known(&key["case"])));
        let text = printed(cases, false);
        let sums = format!("{} boundaries, {holes} without a case; ", rows.len() + keys.len());
        assert!(text.lines().last().is_some_and(|line| line.starts_with(&sums)), "{text}");
        for row in &rows {
            let told = match &row.hole {
                Some(why) => format!("  HOLE: {why}"),
                None => row.cases.join(", "),
            };
            let mut lines = text.lines().filter(|line| line.trim_start().starts_with(&row.what));
            assert!(lines.any(|line| line.ends_with(&told)), "{}: {told}", row.what);
        }
    }

    #[test]
    fn a_key_that_no_case_states_is_a_hole() {
        let text = printed(&[], false);
        let line = text.lines().find(|line| line.trim_start().starts_with("rope_theta"));
        assert!(line.is_some_and(|line| line.ends_with("HOLE: no case states it")), "{text}");
        let listing: serde_json::Value = serde_json::from_str(&printed(&[], true)).expect("JSON");
        let untold = listing["keys"].as_array().map_or(0, Vec::len);
        let holes =
            read(EMBEDDED).expect("the table").iter().filter(|row| row.hole.is_some()).count();
        assert_eq!(listing["holes"], holes + untold);
    }
}
