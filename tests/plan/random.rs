//! Random grids and sizes: what the ranks hold is disjoint and complete, element by element, and any change of a
//! claim is noticed.

use proptest::prelude::*;
use weighbridge::harness::model::recipe::{Architecture, Recipe};
use weighbridge::harness::plan::{Entry, Grid, Headers, Interval, Plan, Share, Spans};

use crate::{found, headers, recipe};

const DECODERS: [Architecture; 6] = [
    Architecture::Llama,
    Architecture::Mistral,
    Architecture::Qwen2,
    Architecture::Qwen3,
    Architecture::Phi3,
    Architecture::Gpt2,
];

/// A model and a grid that divides it.
pub fn divisible() -> impl Strategy<Value = (Headers, Grid)> {
    let grid = (1_u64..=4, 1_u64..=3, 1_u64..=2);
    let sizes = (1_usize..=2, 0_usize..=2, 1_usize..=3, 1_usize..=3, 1_usize..=23, 3_usize..=5);
    (0_usize..DECODERS.len(), any::<bool>(), grid, sizes).prop_map(|(at, untied, grid, sizes)| {
        let ((tp, pp, replicas), (more, keys, head, inner, words, layers)) = (grid, sizes);
        let recipe = recipe(DECODERS[at], |recipe: &mut Recipe| {
            let sizes = &mut recipe.sizes;
            let tp = tp as usize;
            sizes.heads = tp * more;
            // As many key heads as query heads, as ranks, or one.
            sizes.key_heads = [sizes.heads, tp, 1][keys];
            sizes.head_size = head;
            if matches!(recipe.architecture, Architecture::Gpt2 | Architecture::Phi3) {
                sizes.hidden = sizes.heads * head;
            }
            if recipe.architecture == Architecture::Gpt2 {
                sizes.key_heads = sizes.heads;
            }
            sizes.inner = tp * inner;
            sizes.vocabulary = words;
            sizes.layers = layers;
            recipe.decoder.untied = untied;
        });
        (headers(&recipe), Grid::new(tp, pp, replicas, &[]).expect("a grid"))
    })
}

/// How often each element of a tensor is in a share.
fn count(times: &mut [u32], share: &Share, shape: &[u64]) {
    let mut flat = vec![0_u64];
    for (held, side) in share.dimensions().iter().zip(shape) {
        let indices: Vec<u64> = held.iter().flat_map(|one| one.begin..one.end).collect();
        let inner = |first: &u64| {
            let first = first * side;
            indices.iter().map(move |index| first + index).collect::<Vec<_>>()
        };
        flat = flat.iter().flat_map(inner).collect();
    }
    for at in flat {
        times[at as usize] += 1;
    }
}

/// The ranks of a stage together: every element once, or as often as it is replicated.
fn complete(plan: &Plan, entry: &Entry) {
    let declared = &entry.declared;
    let (tp, width) = (plan.grid.tp(), entry.width());
    let mut times = vec![0; declared.shape.iter().product::<u64>() as usize];
    let mut bytes = vec![0; declared.bytes as usize];
    for rank in 0..tp {
        let share = entry.share(rank);
        count(&mut times, &share, &declared.shape);
        for piece in entry.spans(&share).iter().flatten().flat_map(Spans::iter) {
            for at in piece.begin..piece.end {
                bytes[(at - declared.begin.expect("a place")) as usize] += 1;
            }
        }
    }
    let name = &declared.name;
    for (byte, element) in bytes.iter().zip(times.iter().flat_map(|n| vec![*n; width as usize])) {
        assert_eq!(*byte, element, "{name}: the bytes are not those of the elements");
    }
    let Some(cut) = &entry.cut else {
        assert!(times.iter().all(|n| u64::from(*n) == tp), "{name} is not whole on every rank");
        return;
    };
    let inside: u64 = declared.shape[cut.dimension + 1..].iter().product();
    for (at, found) in times.iter().enumerate() {
        let index = at as u64 / inside % declared.shape[cut.dimension];
        let block = cut.blocks.iter().find(|block| {
            let whole = block.whole();
            whole.begin <= index && index < whole.end
        });
        let wanted = block.expect("every index is in a block").repeat;
        assert_eq!(u64::from(*found), wanted, "{name}, element {at}");
        let keys = ["k_proj", "v_proj", "qkv_proj"].iter().any(|part| name.contains(part));
        assert!(wanted == 1 || keys, "{name} is replicated");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn shares_are_disjoint_and_complete((headers, grid) in divisible()) {
        let plan = crate::plan(&headers, &grid);
        let mut homes = 0;
        for entry in &plan.entries {
            complete(&plan, entry);
            homes += (0..grid.pp()).filter(|stage| plan.has(*stage, entry)).count();
        }
        // Every tensor is on one stage; tied word embeddings are on the first and on the last.
        let twice = usize::from(plan.tied && grid.pp() > 1);
        prop_assert_eq!(homes, plan.entries.len() + twice);
        let claim = plan.document();
        let told = serde_json::to_vec(&claim).expect("JSON");
        let claim = serde_json::from_slice(&told).expect("the same document");
        prop_assert_eq!(found(&headers, &grid, &claim), Vec::new());
    }

    #[test]
    fn any_other_share_is_noticed(
        (headers, grid) in divisible(),
        at in any::<prop::sample::Index>(),
        of in any::<prop::sample::Index>(),
        where_ in any::<prop::sample::Index>(),
        begin in 0_u64..30,
        length in 0_u64..30,
    ) {
        let plan = crate::plan(&headers, &grid);
        let mut claim = plan.document();
        let rank = at.index(claim.ranks.len());
        let tensors = &mut claim.ranks[rank].tensors;
        let tensor = of.index(tensors.len());
        let held = &mut tensors[tensor];
        let mut dimensions = held.ranges.dimensions().to_vec();
        let dimension = where_.index(dimensions.len());
        dimensions[dimension] = vec![Interval::new(begin, begin + length)];
        let changed = Share::from(dimensions);
        let name = held.tensor.clone();
        let entry = plan.entries.iter().find(|entry| entry.declared.name == name).expect("planned");
        // An interval behind the tensor is wrong, even if another dimension leaves nothing of both.
        let fits = changed.misfit(&entry.declared.shape).is_none();
        let same = fits && changed.same(&held.ranges);
        held.ranges = changed;
        let findings = found(&headers, &grid, &claim);
        prop_assert_eq!(findings.is_empty(), same, "{:?}", findings);
        for finding in findings {
            prop_assert!(finding.tensor.is_none_or(|tensor| tensor == name || tensor == "lm_head.weight"));
        }
    }

    #[test]
    fn degrees_that_do_not_divide_are_refused_and_no_others(
        heads in 1_usize..20,
        groups in 1_usize..6,
        inner in 1_usize..40,
        tp in 1_u64..12,
    ) {
        let recipe = recipe(Architecture::Llama, |recipe| {
            recipe.sizes.heads = heads * groups;
            recipe.sizes.key_heads = groups;
            recipe.sizes.inner = inner;
        });
        let (heads, groups, inner) = ((heads * groups) as u64, groups as u64, inner as u64);
        let keys = groups.is_multiple_of(tp) || tp.is_multiple_of(groups);
        let divides = heads.is_multiple_of(tp) && inner.is_multiple_of(tp) && keys;
        let planned = Plan::of(&headers(&recipe), &crate::grid(tp, 1), 1);
        prop_assert_eq!(planned.is_ok(), divides);
        if let Err(refusal) = planned {
            let words = refusal.failure.message;
            for number in refusal.numbers {
                prop_assert!(words.contains(&number.to_string()), "{} has no {}", words, number);
            }
        }
    }
}
