//! A head beside the word embeddings, where the configuration does not say whether they are one.

use crate::loader::error::{LoadError, Result, quote};
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::memory::Memory;
use crate::loader::remedies::config::CONFIG_TIE_ABSENT;

use super::RunnableModel;

/// How many bytes are compared at a time.
const STEP: u64 = 1 << 20;

/// Refuses a head that differs from the word embeddings in a family that ties them by default, if
/// the configuration does not say which of them counts. A head that is a copy is fine.
///
/// # Errors
/// `invalid_config`; those of reading the model's memory.
pub fn check(model: &RunnableModel, tensors: &[PlacedTensor], memory: &Memory) -> Result<()> {
    let Some(body) = model.parts.body.as_ref().filter(|_| model.config.tied_by_default) else {
        return Ok(());
    };
    let is_head = |tensor: &&PlacedTensor| {
        let name = tensor.info.name.as_str();
        let head = name == "lm_head.weight" || name.ends_with(".lm_head.weight");
        head && model.parts.unused.iter().any(|unused| unused == name)
    };
    let Some(head) = tensors.iter().find(is_head) else { return Ok(()) };
    let words = tensors.iter().find(|tensor| tensor.offset == body.words.offset);
    if let Some(words) = words
        && words.dtype == head.dtype
        && words.info.shape == head.info.shape
        && same(memory, words, head)?
    {
        return Ok(());
    }
    let name = quote(&head.info.name);
    let message = format!("tie_word_embeddings is absent, and {name} is not the word embeddings");
    Err(LoadError::header(CONFIG_TIE_ABSENT.about([&name]), message)
        .tensor(&head.info.name)
        .expected("tie_word_embeddings, or a head that equals the embeddings", "neither"))
}

fn same(memory: &Memory, one: &PlacedTensor, two: &PlacedTensor) -> Result<bool> {
    let mut at = 0;
    while at < one.bytes {
        let length = STEP.min(one.bytes - at) as usize;
        let (mut first, mut second) = (vec![0; length], vec![0; length]);
        memory.read(one.offset + at, &mut first)?;
        memory.read(two.offset + at, &mut second)?;
        if first != second {
            return Ok(false);
        }
        at += length as u64;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;
    use crate::loader::infer::tests::{Tiny, decoder};

    /// A decoder whose configuration does not say whether its head is its embeddings, and this head.
    fn with_head(name: &str, rows: usize, values: &[f32]) -> (RunnableModel, Tiny) {
        let mut model = decoder();
        model.tensors.push((name.to_owned(), vec![rows, 8], values.to_vec()));
        let mut runnable = model.runnable().expect("a sound model");
        runnable.config.tied_by_default = true;
        (runnable, model)
    }

    fn judged((runnable, model): (RunnableModel, Tiny)) -> Result<()> {
        let (tensors, bytes) = model.placed();
        check(&runnable, &tensors, &Memory::Host(bytes))
    }

    #[test]
    fn a_head_that_is_not_the_embeddings_is_refused_where_nothing_says_which_counts() {
        let words = decoder().values("embed_tokens.weight").clone();
        assert_eq!(judged(with_head("lm_head.weight", 11, &words)), Ok(()), "a copy");
        let mut other = words.clone();
        if let Some(last) = other.last_mut() {
            *last += 1.0;
        }
        assert_eq!(judged(with_head("stray.weight", 11, &other)), Ok(()), "no head");
        for (rows, values) in [(11, &other[..]), (10, &words[..80])] {
            let error = judged(with_head("lm_head.weight", rows, values)).expect_err("another");
            let failure = error.failure();
            let told = (failure.code, failure.tensor.as_deref(), failure.actual.as_deref());
            let wanted = (Code::InvalidConfig, Some("lm_head.weight"), Some("neither"));
            assert_eq!(told, wanted);
        }
        let (mut runnable, model) = with_head("lm_head.weight", 11, &other);
        runnable.config.tied_by_default = false;
        assert_eq!(judged((runnable, model)), Ok(()), "the configuration says so");
    }
}
