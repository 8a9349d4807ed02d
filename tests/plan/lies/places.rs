//! Lies about places: layers and stages, the numbers of a rank, and what a rank reads.

use weighbridge::harness::plan::document::Held;
use weighbridge::harness::plan::{Grid, Rule};

use super::{QUERY, WORDS, breaks, by, held, lie, llama, says, share};
use crate::{found, grid, headers, plan};

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
