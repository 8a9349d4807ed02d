//! Lies about the vocabulary: its last shares, its padding, and heads that are tied to the word embeddings.

use weighbridge::harness::plan::{Document, Plan, Rule};

use super::{HEAD, WORDS, breaks, held, lie, llama, says, share, tied};
use crate::{found, grid, headers};

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
