//! Lies about slices: another one, a wrong one, none; wrong bytes; a plan where a refusal is due.

use weighbridge::harness::model::recipe::Architecture;
use weighbridge::harness::plan::{Document, Interval, Rule, Spans};

use super::{FUSED, GATE, KEY, OUT, QUERY, breaks, by, held, lie, llama, phi3, says, share};
use crate::{found, grid, headers, plan, recipe};

#[test]
fn slice_0_on_every_rank() {
    for recipe in [llama(), phi3()] {
        let findings = lie(&headers(&recipe), &grid(2, 1), |plan, claim| by(plan, claim, |_| 0));
        // The padding of the first share is none, so the last rank has none either.
        let uneven = recipe.sizes.vocabulary % 2 == 1;
        let padded = if uneven { &[Rule::PaddedVocabulary][..] } else { &[] };
        breaks(&findings, &[&[Rule::OwnSlice, Rule::Reassembles], padded].concat());
        says(&findings, Rule::OwnSlice, Some(OUT), Some(1), ["[0:", "[0:"]);
        assert!(findings.iter().all(|one| one.rank != Some(0)), "{findings:#?}");
    }
}

#[test]
fn shares_that_overlap_or_leave_something_out() {
    let headers = headers(&llama());
    let findings = lie(&headers, &grid(2, 1), |_, claim| {
        held(&mut claim.ranks[1], QUERY).ranges = share(&[&[[24, 64]], &[[0, 54]]]);
    });
    breaks(&findings, &[Rule::OwnSlice, Rule::Reassembles]);
    says(
        &findings,
        Rule::Reassembles,
        Some(QUERY),
        None,
        ["without a common", "[0:32, 0:54] of rank 0"],
    );
    let findings = lie(&headers, &grid(2, 1), |_, claim| {
        held(&mut claim.ranks[0], QUERY).ranges = share(&[&[[0, 31]], &[[0, 54]]]);
    });
    breaks(&findings, &[Rule::OwnSlice, Rule::Reassembles]);
    says(&findings, Rule::Reassembles, Some(QUERY), None, ["all 3456 elements", "3402 of them"]);
    let findings = lie(&headers, &grid(2, 1), |_, claim| {
        claim.ranks[1].tensors.retain(|held| held.tensor != QUERY);
    });
    breaks(&findings, &[Rule::Reassembles]);
    says(&findings, Rule::Reassembles, Some(QUERY), Some(1), ["[32:64, 0:54]", "nothing"]);
}

#[test]
fn a_fused_matrix_cut_into_equal_runs() {
    let headers = headers(&phi3());
    // 4 query heads and 2 key heads of 12 rows: 96 rows.
    for (first, second) in [
        // Equal runs: the first rank has queries only.
        (share(&[&[[0, 48]], &[[0, 48]]]), share(&[&[[48, 96]], &[[0, 48]]])),
        // Queries and keys exchanged.
        (
            share(&[&[[48, 60], [0, 24], [72, 84]], &[[0, 48]]]),
            share(&[&[[60, 72], [24, 48], [84, 96]], &[[0, 48]]]),
        ),
        // Queries of the next head group.
        (
            share(&[&[[24, 48], [48, 60], [72, 84]], &[[0, 48]]]),
            share(&[&[[0, 24], [60, 72], [84, 96]], &[[0, 48]]]),
        ),
    ] {
        let findings = lie(&headers, &grid(2, 1), |_, claim| {
            held(&mut claim.ranks[0], FUSED).ranges = first;
            held(&mut claim.ranks[1], FUSED).ranges = second;
        });
        breaks(&findings, &[Rule::FusedHeads]);
        says(&findings, Rule::FusedHeads, Some(FUSED), Some(1), ["[24:48+60:72+84:96, 0:48]", "["]);
    }
    // GPT-2 stores the same as [in, out].
    let gpt2 = recipe(Architecture::Gpt2, |recipe| {
        let sizes = &mut recipe.sizes;
        (sizes.heads, sizes.key_heads, sizes.head_size) = (4, 4, 10);
    });
    let findings = lie(&crate::headers(&gpt2), &grid(2, 1), |_, claim| {
        for (rank, columns) in [(0, [0, 60]), (1, [60, 120])] {
            let held = held(&mut claim.ranks[rank], "transformer.h.0.attn.c_attn.weight");
            held.ranges = share(&[&[[0, 40]], &[columns]]);
        }
    });
    breaks(&findings, &[Rule::FusedHeads]);
}

#[test]
fn gate_on_one_rank_and_up_on_the_other() {
    let findings = lie(&headers(&phi3()), &grid(2, 1), |_, claim| {
        held(&mut claim.ranks[0], GATE).ranges = share(&[&[[0, 76]], &[[0, 48]]]);
        held(&mut claim.ranks[1], GATE).ranges = share(&[&[[76, 152]], &[[0, 48]]]);
    });
    breaks(&findings, &[Rule::FusedGate]);
    says(&findings, Rule::FusedGate, Some(GATE), Some(0), ["[0:38+76:114, 0:48]", "[0:76, 0:48]"]);
}

#[test]
fn key_heads_that_are_replicated_in_another_order() {
    // Two key heads for four ranks: 0, 0, 1, 1 and not 0, 1, 0, 1.
    let findings = lie(&headers(&llama()), &grid(4, 1), |_, claim| {
        for rank in &mut claim.ranks {
            let first = rank.rank % 2 * 8;
            held(rank, KEY).ranges = share(&[&[[first, first + 8]], &[[0, 54]]]);
        }
    });
    breaks(&findings, &[Rule::FewKeyHeads, Rule::Reassembles]);
    says(&findings, Rule::FewKeyHeads, Some(KEY), Some(1), ["[0:8, 0:54]", "[8:16, 0:54]"]);
    // The same in a fused matrix, with the right queries: one query head and one of two key heads.
    let findings = lie(&headers(&phi3()), &grid(4, 1), |_, claim| {
        held(&mut claim.ranks[1], FUSED).ranges =
            share(&[&[[12, 24], [60, 72], [84, 96]], &[[0, 48]]]);
    });
    breaks(&findings, &[Rule::FewKeyHeads]);
}

#[test]
fn a_plan_where_a_refusal_is_due() {
    let six = headers(&recipe(Architecture::Llama, |recipe| recipe.sizes.inner = 64));
    let claim = |refused: Option<&str>| Document {
        refused: refused.map(str::to_owned),
        ranks: plan(&headers(&llama()), &grid(4, 1)).document().ranks,
        ..Document::default()
    };
    let findings = found(&six, &grid(4, 1), &claim(None));
    breaks(&findings, &[Rule::Divides]);
    says(&findings, Rule::Divides, None, None, ["6 query heads", "a plan of 4 ranks"]);
    let judged = |words| {
        use weighbridge::harness::plan::judge;
        judge(&six, &grid(4, 1), 1, &claim(Some(words))).expect("a judgement")
    };
    assert_eq!(judged("6 heads over 4 ranks").findings, Vec::new());
    for (words, number) in
        [("cannot be divided by 4", "6"), ("64 heads, degree 14", "6"), ("6", "4")]
    {
        let judgement = judged(words);
        assert!(judgement.refused);
        breaks(&judgement.findings, &[Rule::Divides]);
        says(&judgement.findings, Rule::Divides, None, None, [&format!("names {number}"), words]);
    }
    // Three key heads neither divide by four nor divide four.
    let twelve = headers(&recipe(Architecture::Llama, |recipe| {
        (recipe.sizes.heads, recipe.sizes.key_heads, recipe.sizes.inner) = (12, 3, 64);
    }));
    breaks(&found(&twelve, &grid(4, 1), &claim(None)), &[Rule::FewKeyHeads]);
}

#[test]
fn a_row_parallel_weight_by_rows() {
    let headers = headers(&llama());
    let findings = lie(&headers, &grid(2, 1), |_, claim| {
        held(&mut claim.ranks[0], OUT).ranges = share(&[&[[0, 27]], &[[0, 64]]]);
        held(&mut claim.ranks[1], OUT).ranges = share(&[&[[27, 54]], &[[0, 64]]]);
    });
    breaks(&findings, &[Rule::ColumnBytes]);
    // The right columns, and bytes as if they were contiguous.
    let findings = lie(&headers, &grid(2, 1), |_, claim| {
        let held = held(&mut claim.ranks[0], OUT);
        let spans = held.spans.as_mut().expect("they are told");
        let first = spans[0].pieces[0].begin;
        let bytes = spans[0].bytes().expect("small");
        *spans =
            vec![Spans { pieces: vec![Interval::new(first, first + bytes)], stride: 0, count: 1 }];
    });
    breaks(&findings, &[Rule::ColumnBytes]);
    says(&findings, Rule::ColumnBytes, Some(OUT), Some(0), ["bytes ", "bytes "]);
    let findings = lie(&headers, &grid(2, 1), |_, claim| {
        held(&mut claim.ranks[0], QUERY).file = Some("other.safetensors".to_owned());
    });
    breaks(&findings, &[Rule::ColumnBytes]);
}

#[test]
fn a_bias_that_every_rank_adds() {
    let name = "model.layers.1.self_attn.o_proj.bias";
    for (adds, words) in
        [([true, true], "ranks [0, 1] add it"), ([false, false], "no rank adds it")]
    {
        let findings = lie(&headers(&llama()), &grid(2, 1), |_, claim| {
            for (rank, adds) in claim.ranks.iter_mut().zip(adds) {
                held(rank, name).adds = Some(adds);
            }
        });
        breaks(&findings, &[Rule::BiasOnce]);
        says(&findings, Rule::BiasOnce, Some(name), None, ["one rank adds it", words]);
    }
}

#[test]
fn a_norm_that_is_divided() {
    let name = "model.layers.0.input_layernorm.weight";
    let findings = lie(&headers(&llama()), &grid(2, 1), |_, claim| {
        held(&mut claim.ranks[1], name).ranges = share(&[&[[27, 54]]]);
    });
    breaks(&findings, &[Rule::Replicated]);
    says(&findings, Rule::Replicated, Some(name), Some(1), ["[0:54]", "[27:54]"]);
}

#[test]
fn entries_without_a_tensor_and_ranges_of_another_shape() {
    let headers = headers(&llama());
    let findings = lie(&headers, &grid(2, 1), |_, claim| {
        held(&mut claim.ranks[0], KEY).tensor = "model.layers.1.attn.k_proj.weight".to_owned();
    });
    breaks(&findings, &[Rule::NoSuchTensor, Rule::Reassembles]);
    let findings = lie(&headers, &grid(2, 1), |_, claim| {
        held(&mut claim.ranks[1], OUT).ranges = share(&[&[[0, 64]], &[[27, 54]]]);
    });
    breaks(&findings, &[Rule::DeclaredShape]);
    let words = ["[0:54, 32:64]", "0:64 of dimension 0, which has 54"];
    says(&findings, Rule::DeclaredShape, Some(OUT), Some(1), words);
    let findings = lie(&headers, &grid(2, 1), |_, claim| {
        held(&mut claim.ranks[1], OUT).ranges = share(&[&[[0, u64::MAX]]]);
    });
    breaks(&findings, &[Rule::DeclaredShape]);
}
