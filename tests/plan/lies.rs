//! Lies about a plan, one for each fault that loaders were seen to have. Each breaks the rules that are named beside
//! it and no other.

use std::collections::BTreeSet;

use weighbridge::harness::model::recipe::{Architecture, Recipe};
use weighbridge::harness::plan::document::{Held, Rank};
use weighbridge::harness::plan::{
    Document, Finding, Grid, Headers, Interval, Plan, Rule, Share, Spans,
};

use crate::{found, grid, headers, plan, recipe, rules};

/// A Llama that two and four ranks divide, of four layers, whose last shares of the vocabulary are uneven.
fn llama() -> Recipe {
    recipe(Architecture::Llama, |recipe| {
        let sizes = &mut recipe.sizes;
        (sizes.heads, sizes.key_heads, sizes.inner, sizes.layers) = (8, 2, 64, 4);
        sizes.vocabulary = 109;
    })
}

fn phi3() -> Recipe {
    recipe(Architecture::Phi3, |recipe| {
        (recipe.sizes.heads, recipe.sizes.key_heads, recipe.sizes.inner) = (4, 2, 76);
    })
}

fn tied() -> Recipe {
    recipe(Architecture::Qwen3, |recipe| {
        recipe.decoder.untied = false;
        (recipe.sizes.inner, recipe.sizes.vocabulary) = (72, 128);
    })
}

/// What is found in a claim that was true before the lie.
fn lie(headers: &Headers, grid: &Grid, tell: impl FnOnce(&Plan, &mut Document)) -> Vec<Finding> {
    let plan = plan(headers, grid);
    let mut claim = plan.document();
    assert_eq!(found(headers, grid, &claim), Vec::new(), "the truth");
    tell(&plan, &mut claim);
    found(headers, grid, &claim)
}

/// The findings break exactly these rules.
fn breaks(findings: &[Finding], expected: &[Rule]) {
    let expected: BTreeSet<Rule> = expected.iter().copied().collect();
    assert_eq!(rules(findings), expected, "{findings:#?}");
}

/// One of the findings is about this rule, tensor and rank, with these words.
fn says(
    findings: &[Finding],
    rule: Rule,
    tensor: Option<&str>,
    rank: Option<u64>,
    words: [&str; 2],
) {
    let [expected, told] = words;
    let fits = |one: &&Finding| {
        one.rule == rule
            && one.tensor.as_deref() == tensor
            && one.rank == rank
            && one.expected.contains(expected)
            && one.found.contains(told)
    };
    assert!(findings.iter().any(|one| fits(&one)), "{findings:#?}");
}

/// A tensor of a rank.
fn held<'c>(rank: &'c mut Rank, name: &str) -> &'c mut Held {
    let found = rank.tensors.iter_mut().find(|held| held.tensor == name);
    found.unwrap_or_else(|| panic!("no {name}"))
}

/// A share of these intervals.
fn share(dimensions: &[&[[u64; 2]]]) -> Share {
    let one = |held: &&[[u64; 2]]| held.iter().copied().map(Interval::from).collect();
    dimensions.iter().map(one).collect::<Vec<Vec<Interval>>>().into()
}

/// Gives every rank the shares that another number than its own leads to.
fn by(plan: &Plan, claim: &mut Document, number: impl Fn(&Rank) -> u64) {
    for rank in &mut claim.ranks {
        let slice = number(rank);
        let stage = rank.stage.expect("it is told");
        rank.tensors = plan.of_stage(stage).map(|entry| plan.held(entry, slice)).collect();
        for held in &mut rank.tensors {
            held.adds = None;
        }
    }
}

const QUERY: &str = "model.layers.1.self_attn.q_proj.weight";
const KEY: &str = "model.layers.1.self_attn.k_proj.weight";
const OUT: &str = "model.layers.1.self_attn.o_proj.weight";
const FUSED: &str = "model.layers.1.self_attn.qkv_proj.weight";
const GATE: &str = "model.layers.1.mlp.gate_up_proj.weight";
const WORDS: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

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
fn last_shares_that_do_not_end_with_the_vocabulary() {
    let headers = headers(&llama());
    // 109 words over 2 ranks: 55 and 54.
    let rows = |claim: &mut Document, rows: [[u64; 2]; 2]| {
        for (rank, rows) in rows.into_iter().enumerate() {
            for name in [WORDS, HEAD] {
                held(&mut claim.ranks[rank], name).ranges = share(&[&[rows], &[[0, 54]]]);
            }
        }
    };
    // Rounded down, the last word is lost.
    let findings = lie(&headers, &grid(2, 1), |_, claim| rows(claim, [[0, 54], [54, 108]]));
    breaks(&findings, &[Rule::LastShare, Rule::Reassembles]);
    let findings = lie(&headers, &grid(2, 1), |_, claim| rows(claim, [[0, 55], [55, 110]]));
    breaks(&findings, &[Rule::LastShare]);
    let words = ["[55:109, 0:54]", "55:110 of dimension 0, which has 109"];
    says(&findings, Rule::LastShare, Some(HEAD), Some(1), words);
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
fn another_padding_of_the_head() {
    let headers = headers(&llama());
    let findings = lie(&headers, &grid(2, 1), |_, claim| {
        // As if the vocabulary were padded to 128.
        for (rank, rows) in [(0, [0, 64]), (1, [64, 109])] {
            held(&mut claim.ranks[rank], HEAD).ranges = share(&[&[rows], &[[0, 54]]]);
        }
    });
    breaks(&findings, &[Rule::LastShare, Rule::PaddedVocabulary]);
    says(&findings, Rule::PaddedVocabulary, Some(HEAD), Some(0), ["[0:55, 0:54]", "[0:64, 0:54]"]);
    let findings = lie(&headers, &grid(2, 1), |_, claim| {
        held(&mut claim.ranks[1], HEAD).padding = Some(19);
    });
    breaks(&findings, &[Rule::PaddedVocabulary]);
    says(&findings, Rule::PaddedVocabulary, Some(HEAD), Some(1), ["1 padding rows", "19"]);
    let findings = lie(&headers, &grid(2, 1), |_, claim| claim.padded_vocabulary = Some(111));
    breaks(&findings, &[Rule::PaddedVocabulary]);
    // 128 for both is another padding, and no fault.
    let wide = Plan::of(&headers, &grid(2, 1), 64).expect("a plan").document();
    assert_eq!(wide.padded_vocabulary, Some(128));
    assert_eq!(found(&headers, &grid(2, 1), &wide), Vec::new());
}

#[test]
fn a_tied_head_that_is_stale_or_another() {
    // The files have an old head besides.
    let mut headers = headers(&tied());
    let mut stale = headers.tensor(WORDS).expect("it is there").clone();
    stale.name = HEAD.to_owned();
    headers.tensors.push(stale);
    headers.tensors.sort_by(|a, b| a.name.cmp(&b.name));
    for (pp, rule) in [(1, Rule::TiedHead), (2, Rule::TiedAcrossStages)] {
        let findings = lie(&headers, &grid(2, pp), |_, claim| {
            for rank in claim.ranks.iter_mut().filter(|rank| rank.stage == Some(pp - 1)) {
                let mut head = held(rank, WORDS).clone();
                head.tensor = HEAD.to_owned();
                rank.tensors.push(head);
            }
        });
        breaks(&findings, &[rule]);
        says(&findings, rule, Some(HEAD), Some(pp * 2 - 1), ["the word embeddings", "of its own"]);
    }
    // A second copy of the embeddings for the head, of another slice.
    let findings = lie(&headers, &grid(2, 1), |_, claim| {
        for (rank, rows) in [(0, [0, 64]), (1, [0, 64])] {
            let mut head = held(&mut claim.ranks[rank], WORDS).clone();
            head.ranges = share(&[&[rows], &[[0, 44]]]);
            claim.ranks[rank].tensors.push(head);
        }
    });
    breaks(&findings, &[Rule::TiedHead]);
    says(&findings, Rule::TiedHead, Some(WORDS), Some(1), ["[64:128, 0:44]", "[0:64, 0:44]"]);
}

#[test]
fn a_last_stage_without_the_embeddings_of_its_head() {
    let headers = headers(&tied());
    let findings = lie(&headers, &grid(2, 2), |_, claim| {
        for rank in &mut claim.ranks[2..] {
            rank.tensors.retain(|held| held.tensor != WORDS);
        }
    });
    breaks(&findings, &[Rule::TiedAcrossStages]);
    says(&findings, Rule::TiedAcrossStages, Some(WORDS), Some(3), ["[64:128, 0:44]", "nothing"]);
    let findings = lie(&headers, &grid(2, 2), |_, claim| {
        held(&mut claim.ranks[3], WORDS).ranges = share(&[&[[60, 128]], &[[0, 44]]]);
    });
    breaks(&findings, &[Rule::TiedAcrossStages, Rule::Reassembles]);
}

#[test]
fn layers_that_are_left_out_or_there_twice() {
    let headers = headers(&llama());
    let of_layer = |held: &Held, layer: &str| held.tensor.contains(&format!(".layers.{layer}."));
    let findings = lie(&headers, &grid(2, 2), |_, claim| {
        for rank in &mut claim.ranks {
            rank.tensors.retain(|held| !of_layer(held, "3"));
        }
    });
    breaks(&findings, &[Rule::OneStage]);
    assert_eq!(findings.len(), 1);
    says(&findings, Rule::OneStage, None, None, ["layer 3 on one stage", "no stage"]);
    let findings = lie(&headers, &grid(2, 2), |_, claim| {
        let again = claim.ranks[0].tensors.iter().filter(|held| of_layer(held, "1"));
        let again: Vec<Held> = again.cloned().collect();
        claim.ranks[2].tensors.extend(again);
    });
    breaks(&findings, &[Rule::OneStage]);
    says(&findings, Rule::OneStage, None, None, ["layer 1 on one stage", "stages [0, 1]"]);
    let findings = lie(&headers, &grid(1, 2), |_, claim| {
        let words = held(&mut claim.ranks[0], WORDS).clone();
        claim.ranks[1].tensors.push(words);
    });
    breaks(&findings, &[Rule::OneStage]);
    says(&findings, Rule::OneStage, Some(WORDS), Some(1), ["no such tensor on stage 1", "a share"]);
}

#[test]
fn stages_of_other_sizes_are_no_fault() {
    let (headers, grid) = (headers(&llama()), Grid::new(2, 3, 2, &[]).expect("a grid"));
    for stages in [[0, 1, 1, 2], [0, 1, 2, 2], [0, 2, 1, 1]] {
        let mut plan = plan(&headers, &grid);
        plan.stages = stages.to_vec();
        assert_eq!(found(&headers, &grid, &plan.document()), Vec::new());
    }
    // The second replica otherwise than the first, and then with a layer too few.
    let mut other = plan(&headers, &grid);
    let mut claim = other.document();
    other.stages = vec![0, 1, 2, 2];
    claim.ranks.truncate(6);
    claim.ranks.extend(other.document().ranks.split_off(6));
    assert_eq!(found(&headers, &grid, &claim), Vec::new());
    for rank in &mut claim.ranks[6..] {
        rank.tensors.retain(|held| !held.tensor.contains(".layers.2."));
    }
    let findings = found(&headers, &grid, &claim);
    breaks(&findings, &[Rule::OneStage]);
    says(&findings, Rule::OneStage, None, None, ["layer 2 on one stage of replica 1", "no stage"]);
}

#[test]
fn tensors_of_other_stages_that_are_counted_wrongly() {
    let findings =
        lie(&headers(&llama()), &grid(1, 2), |_, claim| claim.ranks[1].elsewhere = Some(0));
    breaks(&findings, &[Rule::OtherStages]);
    // Two layers of 14 tensors, and the embeddings.
    says(&findings, Rule::OtherStages, None, Some(1), ["33 tensors", "0"]);
}

#[test]
fn one_number_in_place_of_another() {
    let headers = headers(&llama());
    let turned = Grid::new(2, 2, 1, &[1, 0, 3, 2]).expect("a grid");
    let beyond = Grid::new(2, 1, 1, &[6, 7]).expect("a grid");
    // The ordinal, taken for the rank in the group.
    let findings = lie(&headers, &turned, |plan, claim| by(plan, claim, |rank| rank.device % 2));
    breaks(&findings, &[Rule::RankNames, Rule::PaddedVocabulary]);
    says(&findings, Rule::RankNames, Some(QUERY), Some(0), ["[0:32, 0:54]", "[32:64, 0:54]"]);
    // The ordinal, and the global rank, with no remainder taken: a slice beyond the end.
    for (grid, at) in [(beyond, 0), (grid(2, 2), 2)] {
        let findings = lie(&headers, &grid, |_, claim| {
            for rank in &mut claim.ranks[at..] {
                let number = if at == 0 { rank.device } else { rank.rank };
                let (layer, rows) = (1 + at as u64, [number * 32, number * 32 + 32]);
                let name = QUERY.replace('1', &layer.to_string());
                held(rank, &name).ranges = share(&[&[rows], &[[0, 54]]]);
            }
        });
        breaks(&findings, &[Rule::RankNames]);
    }
    // The rank, where the ordinal is told; and other numbers of a rank.
    let findings = lie(&headers, &turned, |_, claim| {
        for rank in &mut claim.ranks {
            rank.device = rank.rank;
        }
    });
    breaks(&findings, &[Rule::RankNames]);
    says(&findings, Rule::RankNames, None, Some(0), ["device 1", "device 0"]);
    let findings = lie(&headers, &turned, |_, claim| {
        (claim.ranks[2].stage, claim.ranks[2].tp_rank) = (Some(0), Some(2));
    });
    breaks(&findings, &[Rule::RankNames]);
    says(&findings, Rule::RankNames, None, Some(2), ["rank in its group 0", "rank in its group 2"]);
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

#[test]
fn everybody_reads_everything() {
    let headers = headers(&llama());
    let findings = lie(&headers, &grid(2, 2), |plan, claim| {
        for rank in &mut claim.ranks {
            rank.bytes_read = Some(plan.bytes());
        }
    });
    breaks(&findings, &[Rule::BytesRead]);
    assert_eq!(findings.len(), 4);
    // Five of a hundred more than its share is not too much.
    let findings = lie(&headers, &grid(2, 2), |_, claim| {
        let read = claim.ranks[0].bytes_read.as_mut().expect("it is told");
        *read += *read / 25;
    });
    assert_eq!(findings, Vec::new());
}
