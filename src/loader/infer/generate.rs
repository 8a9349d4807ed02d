//! Generating: one sequence under way on an engine, and the loop that carries it on to its end.

use crate::contract::Phase;
use crate::contract::generation::Stop;
use crate::loader::error::{LoadError, Result};
use crate::loader::remedies::Remedy;
use crate::loader::remedies::input_and_output::{
    PROMPT_NO_TOKENS, PROMPT_OUT_OF_RANGE, PROMPT_TOO_LONG,
};
use crate::loader::remedies::request::LIMIT_ZERO;

use super::RunnableModel;
use super::chat::PreparedTokens;
use super::forward::{self, Cache};
use super::host::HostOps;
use super::ops::Ops;
use super::sample::{Sampler, most_likely};

/// Sees a token as it is chosen, and the logits that it was chosen from where they are at hand; false
/// ends the sequence.
pub type Watch<'w> = dyn FnMut(u32, Option<&[f32]>) -> Result<bool> + 'w;

/// A sequence under way. Nothing of it outlives it.
pub trait Sequence {
    /// Runs more tokens, behind those that ran before.
    ///
    /// # Errors
    /// Where memory runs out or the device fails.
    fn extend(&mut self, ids: &[u32]) -> Result<()>;

    /// The logits behind the last token.
    ///
    /// # Errors
    /// As above.
    fn logits(&mut self) -> Result<Vec<f32>>;

    /// Goes on by the most likely token, so many times at most. Every token but the last runs. An
    /// engine may run ahead of what is watched.
    ///
    /// # Errors
    /// As above; `output_not_finite`; those of `watch`.
    fn follow(&mut self, most: usize, watch: &mut Watch<'_>) -> Result<()> {
        one_by_one(self, most, &mut most_likely, watch)
    }
}

/// Goes on token by token, each chosen here from its logits. Every token but the last runs.
///
/// # Errors
/// Those of the sequence, of `choose` and of `watch`.
pub fn one_by_one<S: Sequence + ?Sized>(
    sequence: &mut S,
    most: usize,
    choose: &mut dyn FnMut(&[f32]) -> Result<u32>,
    watch: &mut Watch<'_>,
) -> Result<()> {
    for n in 1..=most {
        let logits = sequence.logits()?;
        let id = choose(&logits)?;
        if !watch(id, Some(&logits))? || n == most {
            break;
        }
        sequence.extend(&[id])?;
    }
    Ok(())
}

/// How far to go on.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    /// Most tokens to generate.
    pub limit: usize,
    /// Tokens that end a sequence.
    pub ends: &'a [u32],
    /// Most tokens that may run.
    pub longest: usize,
    /// Whether every token's logits are to be seen.
    pub logits: bool,
}

impl Bounds<'_> {
    /// How many tokens there can be behind a prompt, and why no more: the last one does not run.
    fn most(&self, prompt: usize) -> (usize, Stop) {
        let room = self.longest - prompt + 1;
        if self.limit <= room { (self.limit, Stop::Limit) } else { (room, Stop::Context) }
    }

    /// How many tokens run behind such a prompt, itself among them.
    pub fn room(&self, prompt: usize) -> usize {
        prompt + self.most(prompt).0 - 1
    }
}

/// Refuses a prompt that the model cannot be given.
///
/// # Errors
/// `invalid_input` for none, one that is too long, or ids that the model has not; `invalid_request`
/// for a limit of nothing.
pub fn check(runnable: &RunnableModel, prompt: &PreparedTokens, bounds: &Bounds<'_>) -> Result<()> {
    let ids = prompt.ids();
    let invalid = |cause: Remedy, message: &str| LoadError::refused(Phase::Infer, cause, message);
    if ids.is_empty() {
        return Err(
            invalid(PROMPT_NO_TOKENS, "an empty prompt").expected("at least one token", "none")
        );
    }
    if ids.len() > bounds.longest {
        return Err(invalid(PROMPT_TOO_LONG, "the prompt is longer than the model's context")
            .expected(format!("at most {} tokens", bounds.longest), ids.len()));
    }
    let vocabulary = runnable.config.vocabulary;
    if let Some(at) = ids.iter().position(|id| *id as usize >= vocabulary) {
        return Err(invalid(PROMPT_OUT_OF_RANGE, "a token id that the model does not have")
            .expected(format!("0 to {}", vocabulary - 1), format!("{} at {at}", ids[at])));
    }
    if bounds.limit == 0 {
        return Err(LoadError::refused(Phase::Request, LIMIT_ZERO, "nothing to generate")
            .expected("a limit of at least 1", 0));
    }
    Ok(())
}

/// Generates behind a prompt that was checked; all tokens, and why there are no more.
///
/// # Errors
/// Those of the sequence and of `watch`; `output_not_finite`.
pub fn run(
    sequence: &mut dyn Sequence,
    prompt: &PreparedTokens,
    bounds: &Bounds<'_>,
    sampler: &mut Sampler,
    watch: &mut Watch<'_>,
) -> Result<(Vec<u32>, Stop)> {
    let (most, mut stop) = bounds.most(prompt.ids().len());
    let mut tokens = Vec::new();
    let mut see = |id: u32, logits: Option<&[f32]>| {
        tokens.push(id);
        let ends = bounds.ends.contains(&id);
        if ends {
            stop = Stop::EndOfSequence;
        }
        Ok(watch(id, logits)? && !ends)
    };
    sequence.extend(prompt.ids())?;
    if sampler.greedy() && !bounds.logits {
        sequence.follow(most, &mut see)?;
    } else {
        one_by_one(sequence, most, &mut |logits| sampler.choose(logits), &mut see)?;
    }
    Ok((tokens, stop))
}

/// A sequence on the host: the forward pass with a cache.
pub struct HostSequence<'m> {
    runnable: &'m RunnableModel,
    ops: HostOps<'m>,
    cache: Cache<Vec<f32>>,
    /// Whether the cache is used.
    caches: bool,
    ids: Vec<u32>,
    logits: Vec<f32>,
}

impl<'m> HostSequence<'m> {
    /// One with room for so many tokens, over a model's bytes.
    ///
    /// # Errors
    /// `out_of_host_memory`.
    pub fn new(
        runnable: &'m RunnableModel,
        model: &'m [u8],
        room: usize,
        caches: bool,
    ) -> Result<Self> {
        let mut ops = HostOps::new(model);
        let cache = Cache::new(runnable, room, &mut ops)?;
        Ok(HostSequence { runnable, ops, cache, caches, ids: Vec::new(), logits: Vec::new() })
    }
}

impl Sequence for HostSequence<'_> {
    fn extend(&mut self, ids: &[u32]) -> Result<()> {
        self.ids.extend_from_slice(ids);
        let ids = if self.caches {
            ids
        } else {
            self.cache.tokens = 0;
            &self.ids
        };
        let logits = forward::extend(self.runnable, ids, &mut self.cache, &mut self.ops)?;
        self.logits.resize(logits.len(), 0.0);
        self.ops.fetch(&logits, &mut self.logits)
    }

    fn logits(&mut self) -> Result<Vec<f32>> {
        Ok(self.logits.clone())
    }
}
