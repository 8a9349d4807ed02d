//! Mutants of the form of an input: masks that are not a prefix, padding ids that are tokens, types,
//! and batches of an unusual shape.

use crate::contract::inference::{Batch, State, Traced};
use crate::gpu::AttentionParams;
use crate::loader::LoadDecisions;
use crate::loader::decisions::Run;
use crate::loader::error::Result;
use crate::loader::infer::RunnableModel;
use crate::loader::infer::config::Architecture;
use crate::mutants::mutant::{Mutant, reference};

use super::bent::{Bending, Given, Habits};

/// The mutants of this file.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "mask-as-length",
        lie: "reads only the sum of a mask: the first tokens of a row count",
        seen_in: "servers that pass sequence lengths to an attention kernel",
        needs_gpu: false,
        make: || reference(Reread(as_length)),
    },
    Mutant {
        name: "mask-to-its-end",
        lie: "attends to every token up to the last one of the mask, holes included",
        seen_in: "servers that look for the end of a sentence",
        needs_gpu: false,
        make: || reference(Reread(to_its_end)),
    },
    Mutant {
        name: "mask-from-ids",
        lie: "takes each token that is not the padding id as visible, whatever the mask says",
        seen_in: "loaders whose own tokenizer makes every input",
        needs_gpu: false,
        make: || reference(Reread(from_ids)),
    },
    Mutant {
        name: "mask-of-first-row",
        lie: "applies the first row's mask to every row",
        seen_in: "masks that are broadcast over a batch",
        needs_gpu: false,
        make: || reference(Reread(first_mask)),
    },
    Mutant {
        name: "types-of-first-row",
        lie: "applies the first row's token types to every row",
        seen_in: "inputs that are broadcast over a batch",
        needs_gpu: false,
        make: || reference(Reread(first_types)),
    },
    Mutant {
        name: "types-as-flags",
        lie: "reads each token type above 1 as 1",
        seen_in: "loaders for pairs of sentences",
        needs_gpu: false,
        make: || reference(Reread(flags)),
    },
    Mutant {
        name: "full-mask-dropped",
        lie: "passes no mask where all tokens are visible; its library then takes the model as causal",
        seen_in: "is_causal = attention_mask is None, in ports to PyTorch's attention",
        needs_gpu: false,
        make: || reference(Bending(Habits { sight: causal_if_full, ..Habits::HONEST })),
    },
    Mutant {
        name: "lone-token-skips",
        lie: "leaves attention out for a sentence of one token that is alone in its batch",
        seen_in: "fast paths for short inputs",
        needs_gpu: false,
        make: || {
            reference(Bending(Habits {
                skips: |of, past| past == 0 && of.rows * of.tokens == 1,
                ..Habits::HONEST
            }))
        },
    },
    Mutant {
        name: "places-by-mask",
        lie: "counts RoBERTa's positions by the mask, and not by the padding id",
        seen_in: "candle-transformers and other ports of RoBERTa",
        needs_gpu: false,
        make: || reference(Bending(Habits { rows: by_mask, ..Habits::HONEST })),
    },
    Mutant {
        name: "places-by-column",
        lie: "gives RoBERTa's tokens the positions of their columns, behind that of the padding id",
        seen_in: "ports of RoBERTa that add an offset to BERT's positions",
        needs_gpu: false,
        make: || reference(Bending(Habits { rows: by_column, ..Habits::HONEST })),
    },
    Mutant {
        name: "places-from-first-token",
        lie: "counts learned positions from the first visible token of a row",
        seen_in: "position_ids made from a mask for every architecture",
        needs_gpu: false,
        make: || reference(Bending(Habits { rows: from_first, ..Habits::HONEST })),
    },
    Mutant {
        name: "last-by-count",
        lie: "takes the token at the mask's sum as a row's last one",
        seen_in: "attention_mask.sum(dim=1) - 1 as the place of the last token",
        needs_gpu: false,
        make: || {
            let last = |mask: &[u32]| (mask.iter().sum::<u32>() as usize).saturating_sub(1);
            reference(Bending(Habits { last, ..Habits::HONEST }))
        },
    },
    Mutant {
        name: "last-by-first-hole",
        lie: "takes the token before the first hole of a mask as a row's last one",
        seen_in: "attention_mask.argmin() - 1 as the place of the last token",
        needs_gpu: false,
        make: || {
            let last = |mask: &[u32]| {
                let hole = mask.iter().position(|seen| *seen == 0).unwrap_or(mask.len());
                hole.checked_sub(1).unwrap_or(mask.len() - 1)
            };
            reference(Bending(Habits { last, ..Habits::HONEST }))
        },
    },
    Mutant {
        name: "last-position-twice",
        lie: "gives the last position of the table to no token: the one before serves twice",
        seen_in: "tables of positions that are one row too short",
        needs_gpu: false,
        make: || reference(Bending(Habits { rows: all_but_last, ..Habits::HONEST })),
    },
    Mutant {
        name: "absent-types-are-ones",
        lie: "takes each token as one of the second segment where no types are given",
        seen_in: "defaults of exported graphs",
        needs_gpu: false,
        make: || reference(Reread(ones)),
    },
    Mutant {
        name: "rows-by-length",
        lie: "sorts the rows by length to save padding, and gives them back in that order",
        seen_in: "embedding servers that sort a batch",
        needs_gpu: false,
        make: || reference(Sorted),
    },
];

/// Changes the batch before it runs.
pub(super) struct Reread(pub(super) fn(&RunnableModel, &mut Batch));

impl LoadDecisions for Reread {
    fn compute(
        &self,
        run: &Run<'_>,
        batch: &Batch,
        engine: &mut dyn FnMut(&Batch) -> Result<Traced>,
    ) -> Result<Traced> {
        let mut read = batch.clone();
        (self.0)(run.runnable, &mut read);
        engine(&read)
    }
}

/// Does something to each row's mask.
fn masks(batch: &mut Batch, change: impl Fn(&mut [i64])) {
    if let Batch::Tokens { columns, mask, .. } = batch {
        mask.chunks_mut(*columns).for_each(change);
    }
}

fn as_length(_model: &RunnableModel, batch: &mut Batch) {
    masks(batch, |row| {
        let length = row.iter().sum::<i64>() as usize;
        row.iter_mut().enumerate().for_each(|(at, seen)| *seen = i64::from(at < length));
    });
}

fn to_its_end(_model: &RunnableModel, batch: &mut Batch) {
    masks(batch, |row| {
        let last = row.iter().rposition(|seen| *seen == 1).unwrap_or(0);
        row[..=last].fill(1);
    });
}

fn from_ids(model: &RunnableModel, batch: &mut Batch) {
    let padding = model.config.padding as i64;
    if let Batch::Tokens { columns, ids, mask, .. } = batch {
        for (ids, mask) in ids.chunks(*columns).zip(mask.chunks_mut(*columns)) {
            // A row without a token would be refused.
            if ids.iter().any(|id| *id != padding) {
                mask.iter_mut().zip(ids).for_each(|(seen, id)| *seen = i64::from(*id != padding));
            }
        }
    }
}

fn first_mask(_model: &RunnableModel, batch: &mut Batch) {
    if let Batch::Tokens { rows, columns, mask, .. } = batch {
        *mask = mask[..*columns].repeat(*rows);
    }
}

fn first_types(_model: &RunnableModel, batch: &mut Batch) {
    if let Batch::Tokens { rows, columns, types, .. } = batch
        && !types.is_empty()
    {
        *types = types[..*columns].repeat(*rows);
    }
}

fn flags(_model: &RunnableModel, batch: &mut Batch) {
    if let Batch::Tokens { types, .. } = batch {
        types.iter_mut().for_each(|kind| *kind = (*kind).min(1));
    }
}

fn ones(model: &RunnableModel, batch: &mut Batch) {
    if let Batch::Tokens { ids, types, .. } = batch
        && types.is_empty()
        && model.config.types > 1
    {
        *types = vec![1; ids.len()];
    }
}

fn all_but_last(model: &RunnableModel, _given: &Given, places: &mut [u32]) {
    let last = (model.config.positions as u32).saturating_sub(2);
    places.iter_mut().for_each(|place| *place = (*place).min(last));
}

fn causal_if_full(of: &mut AttentionParams, given: &Given) {
    of.causal |= !given.mask.contains(&0);
}

/// The tokens of a row that are counted, up to each.
fn counted<'r>(
    row: &'r [i64],
    counts: impl Fn(i64) -> bool + 'r,
) -> impl Iterator<Item = u32> + 'r {
    row.iter().scan(0, move |sum, value| {
        *sum += u32::from(counts(*value));
        Some(*sum)
    })
}

fn by_mask(model: &RunnableModel, given: &Given, places: &mut [u32]) {
    let padding = model.config.padding as u32;
    if model.config.architecture != Architecture::Roberta {
        return;
    }
    let rows = given.mask.chunks(given.columns).zip(places.chunks_mut(given.columns));
    for (mask, places) in rows {
        let seen = counted(mask, |seen| seen == 1);
        for ((place, count), seen) in places.iter_mut().zip(seen).zip(mask) {
            *place = padding + if *seen == 1 { count } else { 0 };
        }
    }
}

fn by_column(model: &RunnableModel, given: &Given, places: &mut [u32]) {
    if model.config.architecture == Architecture::Roberta {
        let first = model.config.padding as u32 + 1;
        let columns = given.columns;
        places
            .iter_mut()
            .enumerate()
            .for_each(|(at, place)| *place = first + (at % columns) as u32);
    }
}

fn from_first(model: &RunnableModel, given: &Given, places: &mut [u32]) {
    if model.config.architecture == Architecture::Roberta {
        return;
    }
    let rows = given.mask.chunks(given.columns).zip(places.chunks_mut(given.columns));
    for (mask, places) in rows {
        let first = mask.iter().position(|seen| *seen == 1).unwrap_or(0) as u32;
        places.iter_mut().for_each(|place| *place = place.saturating_sub(first));
    }
}

struct Sorted;

impl LoadDecisions for Sorted {
    fn output(&self, _handle: u64, batch: &Batch, mut given: State) -> State {
        let Batch::Tokens { rows, columns, mask, .. } = batch else { return given };
        let share = given.values.len() / rows;
        let mut order: Vec<usize> = (0..*rows).collect();
        order.sort_by_key(|row| mask[row * columns..][..*columns].iter().sum::<i64>());
        let row = |row: &usize| given.values[row * share..][..share].to_vec();
        given.values = order.iter().flat_map(row).collect();
        given
    }
}
