//! Generation: a sequence on an engine, and the loop that extends it until it ends.

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
use super::sample::{Choose, most_likely};
use super::settings::Settings;

/// A callback that receives each chosen token, and the logits that it was chosen from if they are
/// on the host. It returns false to end the sequence.
pub type Watch<'w> = dyn FnMut(u32, Option<&[f32]>) -> Result<bool> + 'w;

/// A sequence in progress. Its state is freed with it.
pub trait Sequence {
    /// Runs more tokens after those that already ran.
    ///
    /// # Errors
    /// If memory runs out or the device fails.
    fn extend(&mut self, ids: &[u32]) -> Result<()>;

    /// The logits after the last token, `[vocabulary]`.
    ///
    /// # Errors
    /// As above.
    fn logits(&mut self) -> Result<Vec<f32>>;

    /// Appends the most likely token up to `most` times. Every token except the last is also run.
    /// An engine may compute more tokens than `watch` has received.
    ///
    /// # Errors
    /// As above; `output_not_finite`; those of `watch`.
    fn follow(&mut self, most: usize, watch: &mut Watch<'_>) -> Result<()> {
        one_by_one(self, most, &mut most_likely, watch)
    }
}

/// Generates token by token. `choose` picks each token from its logits on the host. Every token
/// except the last is also run.
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

/// Limits of a generation.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    /// Most tokens to generate.
    pub limit: usize,
    /// Tokens that end a sequence.
    pub ends: &'a [u32],
    /// The publisher's settings that change which token is chosen.
    pub settings: &'a Settings,
    /// Most tokens that may run, including the prompt.
    pub longest: usize,
    /// Whether the callback needs every token's logits.
    pub logits: bool,
}

impl Bounds<'_> {
    /// Returns how many tokens can follow a prompt, and the reason for the limit. The last token
    /// need not run, so it takes no room.
    fn most(&self, prompt: usize) -> (usize, Stop) {
        let room = self.longest - prompt + 1;
        if self.limit <= room { (self.limit, Stop::Limit) } else { (room, Stop::Context) }
    }

    /// Returns how many tokens run, including those of the prompt.
    pub fn room(&self, prompt: usize) -> usize {
        prompt + self.most(prompt).0 - 1
    }
}

/// Checks a prompt against the model and the limits.
///
/// # Errors
/// `invalid_input` for an empty prompt, one that is too long, or unknown token ids;
/// `invalid_request` for a limit of 0.
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

/// Continues a checked prompt. Returns all generated tokens, and why the generation stopped.
///
/// # Errors
/// Those of the sequence and of `watch`; `output_not_finite`.
pub fn run(
    sequence: &mut dyn Sequence,
    prompt: &PreparedTokens,
    bounds: &Bounds<'_>,
    chooser: &mut dyn Choose,
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
    if bounds.settings.change_nothing() {
        if chooser.greedy() && !bounds.logits {
            sequence.follow(most, &mut see)?;
        } else {
            one_by_one(sequence, most, &mut |logits| chooser.choose(logits), &mut see)?;
        }
        return Ok((tokens, stop));
    }
    let mut all = prompt.ids().to_vec();
    let mut choose = |logits: &[f32]| {
        most_likely(logits)?;
        let mut changed = logits.to_vec();
        bounds.settings.apply(&mut changed, &all, prompt.ids().len(), bounds.ends);
        let id = chooser.pick(&changed);
        all.push(id);
        Ok(id)
    };
    one_by_one(sequence, most, &mut choose, &mut see)?;
    Ok((tokens, stop))
}

/// A sequence on the host. It runs the forward pass with a KV cache.
pub struct HostSequence<'m> {
    runnable: &'m RunnableModel,
    ops: HostOps<'m>,
    cache: Cache<Vec<f32>>,
    /// Whether the cache is used. If not, every step runs the whole sequence again.
    caches: bool,
    ids: Vec<u32>,
    logits: Vec<f32>,
}

impl<'m> HostSequence<'m> {
    /// Creates a sequence with room for `room` tokens. `model` holds the weights.
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
