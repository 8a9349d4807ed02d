//! The slices that NumPy makes of four small models, byte for byte: `fixtures/plan/goldens.py`.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use weighbridge::harness::plan::{Grid, Headers, Spans};

use crate::{golden, grid, plan};

#[derive(Deserialize)]
struct Goldens {
    models: BTreeMap<String, Golden>,
}

#[derive(Deserialize)]
struct Golden {
    /// By degree and tensor: the digest of every rank's slice.
    slices: BTreeMap<u64, BTreeMap<String, Vec<String>>>,
    /// By number of stages: the layers of each.
    stages: BTreeMap<u64, Vec<Vec<u64>>>,
}

fn goldens() -> Goldens {
    let text = fs::read(golden("slices.json")).expect("the goldens");
    serde_json::from_slice(&text).expect("JSON")
}

#[test]
fn the_bytes_of_every_rank_are_those_that_numpy_divides() {
    let mut slices = 0;
    for (name, golden_of) in goldens().models {
        let headers = Headers::read(&golden(&name)).unwrap_or_else(|refusal| panic!("{refusal}"));
        let file = fs::read(golden(&name).join("model.safetensors")).expect("the weights");
        for (tp, tensors) in &golden_of.slices {
            let plan = plan(&headers, &grid(*tp, 1));
            assert_eq!(plan.entries.len(), tensors.len(), "{name}");
            for entry in &plan.entries {
                let tensor = &entry.declared.name;
                for (rank, expected) in tensors[tensor].iter().enumerate() {
                    let share = entry.share(rank as u64);
                    let mut bytes = Vec::new();
                    for piece in entry.spans(&share).iter().flat_map(Spans::iter) {
                        bytes.extend(&file[piece.begin as usize..piece.end as usize]);
                    }
                    assert_eq!(bytes.len() as u64, share.elements() * entry.width());
                    let padding = plan.held(entry, rank as u64).padding.unwrap_or(0);
                    let row = entry.declared.bytes / entry.declared.shape[0];
                    bytes.resize(bytes.len() + (padding * row) as usize, 0);
                    let digest: String =
                        Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
                    assert_eq!(
                        digest, *expected,
                        "{name}, tp {tp}, rank {rank}, {tensor}: {share}"
                    );
                    slices += 1;
                }
            }
        }
    }
    assert!(slices > 500, "only {slices} slices were compared");
}

#[test]
fn the_layers_of_every_stage_are_those_that_numpy_divides() {
    let mut seen = 0;
    for (name, golden_of) in goldens().models {
        let headers = Headers::read(&golden(&name)).unwrap_or_else(|refusal| panic!("{refusal}"));
        for (pp, stages) in golden_of.stages {
            let plan = plan(&headers, &Grid::new(1, pp, 1, &[]).expect("a grid"));
            for (stage, layers) in stages.iter().enumerate() {
                let own = (0..plan.stages.len() as u64)
                    .filter(|layer| plan.stages[*layer as usize] == stage as u64);
                assert_eq!(own.collect::<Vec<_>>(), *layers, "{name}, pp {pp}, stage {stage}");
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "only {seen} stages were compared");
}
