//! Tests how imports reorder rows. `tests/formats.rs` and the cases test whole files.

use crate::loader::format::*;

#[test]
fn rows_return_to_where_they_came_from() {
    // Two heads of four rows. In the file, pairs (0, 2) and (1, 3) of a head are neighbours.
    let import = Import { packing: None, heads: Some(2) };
    let places: Vec<u64> = (0..8).map(|row| import.row(row, 8)).collect();
    assert_eq!(places, [0, 2, 1, 3, 4, 6, 5, 7]);
    assert_eq!(Import::default().row(5, 8), 5);
}
