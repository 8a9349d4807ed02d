//! The verb that goes on from a prompt.

use std::time::Instant;

use crate::contract::generation::{LOGITS, Prompt};
use crate::contract::inference::{OutputKind, State};
use crate::contract::reply::Generated;
use crate::contract::request::Generate;
use crate::contract::{Code, Phase};

use super::engine::Engine;
use super::forward;
use crate::loader::decisions::Steps;
use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, Result};
use crate::loader::infer::RunnableModel;
use crate::loader::infer::chat::PreparedTokens;
use crate::loader::infer::generate;
use crate::loader::infer::generate::Bounds;
use crate::loader::infer::sample::Sampler;
use crate::loader::load::model::Model;

/// Answers `generate`. `see` is told every token as it comes.
///
/// # Errors
/// `invalid_request` for a model without a language model's head; `invalid_input`,
/// `invalid_tokenizer`, `invalid_template`, `output_not_finite`, `device_fault`.
pub fn generate(
    model: &mut Model,
    gpus: &mut Gpus,
    steps: &dyn Steps,
    request: &Generate,
    see: &mut dyn FnMut(u32),
) -> Result<Generated> {
    forward::ready(model, gpus)?;
    let Model { runnable, memory, runner, decoder, asked, .. } = model;
    let runnable = runnable.as_ref().ok_or_else(forward::not_for_inference)?;
    if runnable.head.gives() != OutputKind::Logits {
        return Err(LoadError::refused(
            Phase::Request,
            Code::InvalidRequest,
            "the model was not loaded for generating",
        )
        .expected("a head that gives logits", runnable.head.gives())
        .remedy("load the model again with that head"));
    }
    let prompt = prepared(runnable, steps.prompt(runnable, request.prompt.clone())?)?;
    let ends = steps.ends(&runnable.ends);
    let bounds = Bounds {
        limit: request.limit as usize,
        ends: &ends,
        longest: runnable.config.longest,
        logits: request.into.is_some(),
    };
    generate::check(runnable, &prompt, &bounds)?;
    let mut sampler = Sampler::new(steps.sampling(request.sampling))?;
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
    let mut engine =
        Engine { runnable, memory, runner: runner.as_mut(), gpus: Some(gpus), decoder };
    let began = Instant::now();
    let mut sequence = engine.sequence(room, steps)?;
    let (tokens, stop) = generate::run(&mut *sequence, &prompt, &bounds, &mut sampler, &mut watch)?;
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
    let prompt = steps.told(&request.prompt, prompt.ids().to_vec());
    let device = steps.claimed_device(*asked, device);
    Ok(Generated { prompt, tokens, text, stop, device, written, elapsed_us })
}

/// The tokens of a prompt: of a conversation, by template and tokenizer.
fn prepared(runnable: &RunnableModel, prompt: Prompt) -> Result<PreparedTokens> {
    let turns = match prompt {
        Prompt::Tokens(ids) => return Ok(PreparedTokens::given(ids)),
        Prompt::Chat(turns) => turns,
    };
    let missing = |code, what: &str| {
        LoadError::refused(Phase::Request, code, format!("the model was loaded without its {what}"))
            .expected(format!("a {what} named when the model is loaded"), "none")
            .remedy(format!("load the model with its {what}, or give tokens"))
    };
    let tokenizer = runnable.tokenizer.as_ref();
    let tokenizer = tokenizer.ok_or_else(|| missing(Code::InvalidTokenizer, "tokenizer"))?;
    let template = runnable.template.as_ref();
    let template = template.ok_or_else(|| missing(Code::InvalidTemplate, "chat template"))?;
    template.prepare(&turns, tokenizer)
}
