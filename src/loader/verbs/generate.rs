//! The verb `generate`, which continues a prompt.

use std::time::Instant;

use crate::contract::Phase;
use crate::contract::generation::{LOGITS, Prompt};
use crate::contract::inference::{OutputKind, State};
use crate::contract::reply::Generated;
use crate::contract::request::Generate;

use super::engine::Engine;
use super::forward;
use super::ranks::Ranks;
use crate::loader::decisions::{LoadDecisions, Run};
use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, Result};
use crate::loader::infer::RunnableModel;
use crate::loader::infer::chat::PreparedTokens;
use crate::loader::infer::generate;
use crate::loader::infer::generate::Bounds;
use crate::loader::load::model::Model;
use crate::loader::memory::Memory;
use crate::loader::remedies::Remedy;
use crate::loader::remedies::request::NOT_FOR_GENERATING;
use crate::loader::remedies::tokenizer_and_template::{NO_TEMPLATE, NO_TOKENIZER};

/// Answers `generate`. `see` receives every token when it is chosen.
///
/// # Errors
/// `invalid_request` for a model without a language model's head; `invalid_input`,
/// `invalid_tokenizer`, `invalid_template`, `output_not_finite`, `device_fault`.
pub fn generate(
    model: &mut Model,
    gpus: &mut Gpus,
    decisions: &dyn LoadDecisions,
    request: &Generate,
    see: &mut dyn FnMut(u32),
) -> Result<Generated> {
    forward::ready(model, gpus)?;
    let Model { runnable, divided, tensors, memory, runner, rank_runners, decoder, asked, .. } =
        model;
    let runnable = runnable.as_ref().ok_or_else(forward::not_for_inference)?;
    if runnable.head.gives() != OutputKind::Logits {
        let message = "the model was not loaded for generating";
        return Err(LoadError::refused(Phase::Request, NOT_FOR_GENERATING, message)
            .expected("a head that gives logits", runnable.head.gives()));
    }
    let prompt = prepared(runnable, decisions.prompt(runnable, request.prompt.clone())?)?;
    let ends = decisions.ends(&runnable.ends);
    let bounds = Bounds {
        limit: request.limit as usize,
        ends: &ends,
        settings: &runnable.settings,
        longest: runnable.config.longest,
        logits: request.into.is_some(),
    };
    generate::check(runnable, &prompt, &bounds)?;
    let mut chooser = decisions.chooser(request.sampling)?;
    let mut seen = Vec::new();
    let mut watch = |id: u32, logits: Option<&[f32]>| {
        see(id);
        if bounds.logits {
            seen.extend_from_slice(logits.unwrap_or_default());
        }
        Ok(true)
    };
    let device = memory.device();
    let room = bounds.room(prompt.ids().len());
    let began = Instant::now();
    let (engine, mut ranks);
    let made = if let (Memory::Divided(memories), Some(divided)) = (&*memory, divided) {
        let (whole, exchange) = ((runnable, &*divided), decisions.exchange());
        ranks = Ranks::of(whole, tensors, memories, rank_runners, exchange)?;
        ranks.sequence(room, decisions, (gpus, decoder))?
    } else {
        engine = Engine { runnable, memory, runner: runner.as_mut(), gpus: Some(gpus), decoder };
        engine.sequence(room, decisions)?
    };
    let mut sequence = decisions.sequence(&Run { runnable, memory, trace: false }, made)?;
    let (tokens, stop) =
        generate::run(&mut *sequence, &prompt, &bounds, &mut *chooser, &mut watch)?;
    drop(sequence);
    let elapsed_us = Some(forward::micros(began));
    let text = match &runnable.tokenizer {
        None => None,
        Some(tokenizer) => Some(tokenizer.text(&tokens)?),
    };
    let written = match &request.into {
        None => None,
        Some(into) => {
            let shape = vec![tokens.len(), runnable.config.vocabulary];
            let state = State { name: LOGITS.to_owned(), shape, values: seen };
            Some(forward::write_states(&state, &[], into)?)
        }
    };
    let prompt = decisions.told(&request.prompt, prompt.ids().to_vec());
    let device = decisions.claimed_device(*asked, device);
    Ok(Generated { prompt, tokens, text, stop, device, written, elapsed_us })
}

/// Converts a prompt to tokens. A conversation goes through the chat template and the tokenizer.
fn prepared(runnable: &RunnableModel, prompt: Prompt) -> Result<PreparedTokens> {
    let turns = match prompt {
        Prompt::Tokens(ids) => return Ok(PreparedTokens::given(ids)),
        Prompt::Chat(turns) => turns,
    };
    let missing = |cause: Remedy, what: &str| {
        let message = format!("the model was loaded without its {what}");
        LoadError::refused(Phase::Request, cause, message)
            .expected(format!("a {what} named when the model is loaded"), "none")
    };
    let tokenizer = runnable.tokenizer.as_ref();
    let tokenizer = tokenizer.ok_or_else(|| missing(NO_TOKENIZER, "tokenizer"))?;
    let template = runnable.template.as_ref();
    let template = template.ok_or_else(|| missing(NO_TEMPLATE, "chat template"))?;
    template.prepare(&turns, tokenizer)
}
