//! The slices that NumPy makes of four small models, byte for byte: `fixtures/plan/goldens.py`.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use weighbridge::contract::inference::{Compute, Head, Inference};
use weighbridge::contract::parallel::{Parallel, RankPlace};
use weighbridge::contract::request::{Load, Read};
use weighbridge::contract::{Device, Loader};
use weighbridge::harness::plan::{Entry, Grid, Headers, Plan, Spans};
use weighbridge::loader::ReferenceLoader;

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

/// The digest of a rank's slice with the rows of zeros that fill it up.
fn padded_digest(plan: &Plan, entry: &Entry, rank: u64, mut bytes: Vec<u8>) -> String {
    let padding = plan.held(entry, rank).padding.unwrap_or(0);
    let row = entry.declared.bytes / entry.declared.shape[0];
    bytes.resize(bytes.len() + (padding * row) as usize, 0);
    Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect()
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
                    for piece in entry.spans(&share).iter().flatten().flat_map(Spans::iter) {
                        bytes.extend(&file[piece.begin as usize..piece.end as usize]);
                    }
                    assert_eq!(bytes.len() as u64, share.elements() * entry.width());
                    let digest = padded_digest(&plan, entry, rank as u64, bytes);
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

/// Divides a model over ranks in host memory.
fn divided(name: &str, tp: u32) -> Load {
    let folder = golden(name);
    let ranks = (0..tp).map(|rank| RankPlace { rank, device: Device::Cpu }).collect();
    let inference = Inference {
        config: Some(folder.join("config.json")),
        tokenizer: None,
        template: None,
        generation: None,
        head: Head::Logits {},
        compute: Compute::Exact,
    };
    Load {
        inference: Some(inference),
        parallel: Some(Parallel { tp, pp: 1, replicas: 1, ranks }),
        ..Load::plain(folder.join("model.safetensors"), Device::Cpu)
    }
}

#[test]
fn the_ranks_of_the_bundled_loader_hold_what_numpy_divides() {
    let mut slices = 0;
    // The heads of this phi3 have three elements, which no model that can be run has.
    let models = goldens().models.into_iter().filter(|(name, _)| name != "phi3");
    for (name, golden_of) in models {
        let headers = Headers::read(&golden(&name)).unwrap_or_else(|refusal| panic!("{refusal}"));
        for (tp, tensors) in &golden_of.slices {
            let plan = plan(&headers, &grid(*tp, 1));
            let mut loader = ReferenceLoader::new();
            let loaded = loader.load(divided(&name, *tp as u32)).expect("divides");
            assert_eq!(loaded.parts.len() as u64, *tp);
            for rank in 0..*tp {
                let into = tempfile::NamedTempFile::new().expect("a file").into_temp_path();
                let read = Read {
                    handle: loaded.handle,
                    into: into.to_path_buf(),
                    rank: Some(rank as u32),
                };
                loader.read(read).expect("written");
                let bytes = fs::read(&into).expect("the slices");
                let held = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
                for entry in &plan.entries {
                    let tensor = &entry.declared.name;
                    let bytes = held.tensor(tensor).map_or(Vec::new(), |one| one.data().into());
                    let digest = padded_digest(&plan, entry, rank, bytes);
                    let expected = &tensors[tensor][rank as usize];
                    assert_eq!(digest, *expected, "{name}, tp {tp}, rank {rank}, {tensor}");
                    slices += 1;
                }
            }
        }
    }
    assert!(slices > 500, "{slices}");
}
