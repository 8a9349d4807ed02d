//! What `run` and `chat` share: a loaded decoder that answers conversations and streams its text.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use super::computing::Computing;
use super::device::{OnDeviceOrShort, backend};
use super::fault::print;
use super::gate::{self, Gate};
use super::sealed::SealArgs;
use super::{CommandError, kind, seed};
use crate::contract::generation::{Prompt, Role, Sampling, Turn};
use crate::contract::inference::Compute;
use crate::contract::plan::Residency;
use crate::contract::reply::Generated;
use crate::contract::request::Generate;
use crate::loader::device::Gpus;
use crate::loader::error::LoadError;
use crate::loader::infer::tokenizer::Tokens;
use crate::loader::load::model::Model;
use crate::loader::open::beside;
use crate::loader::open::checkpoint::Checkpoint;
use crate::loader::progress::Progress;
use crate::loader::verbs::{forward, generate};
use crate::loader::{Honest, load};

/// Options of the commands that generate text.
#[derive(Clone, Debug, Args)]
pub struct Speaking {
    /// The model's folder, as it was published, or its `.gguf` or `.apr` file.
    model: PathBuf,
    #[command(flatten)]
    on: OnDeviceOrShort,
    #[command(flatten)]
    computing: Computing,
    /// Text of the system turn, which comes before the conversation.
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Largest number of tokens of an answer.
    #[arg(long, default_value_t = 256, value_name = "N")]
    max_tokens: u32,
    /// Temperature of sampling; 0 takes the most likely token.
    #[arg(long, default_value_t = 0.0, value_name = "T")]
    temperature: f32,
    /// Sample from the smallest set of tokens whose probabilities add up to this.
    #[arg(long, default_value_t = 1.0, value_name = "P")]
    top_p: f32,
    /// Seed of sampling: decimal, or hex with `0x`.
    #[arg(long, default_value = "0", value_name = "SEED", value_parser = seed::parse)]
    seed: u64,
    /// Print one JSON object for each answer.
    #[arg(long)]
    json: bool,
    /// Print the backend and the times on stderr.
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    gate: Gate,
    #[command(flatten)]
    seal: SealArgs,
}

/// A loaded model and the conversation so far.
pub struct Speaker<'a> {
    speaking: &'a Speaking,
    model: Model,
    gpus: Gpus,
    backend: String,
    turns: Vec<Turn>,
}

impl<'a> Speaker<'a> {
    /// Loads the model.
    ///
    /// # Errors
    /// 5 if the contract gate refuses the model, 6 for other reasons.
    pub fn open(speaking: &'a Speaking) -> Result<Self, CommandError> {
        let device = speaking.on.device();
        let mut gpus = Gpus::default();
        let failed = |error: LoadError| gate::stop(&error);
        let checkpoint = Checkpoint::find(&speaking.model).map_err(failed)?;
        kind::must_be_decoder(&checkpoint, &speaking.model)?;
        let sealed = speaking.seal.check(&speaking.model, &checkpoint).map_err(failed)?;
        let compute = speaking.computing.compute;
        let request = checkpoint.decoder(device, speaking.gate.admits());
        let mut request = request.computing(compute);
        request.seal = sealed.seal.clone();
        let mut model =
            load::load(&mut gpus, &Honest, &request, &Progress::default()).map_err(failed)?;
        sealed.held(device).map_err(failed)?;
        forward::ready(&mut model, &mut gpus).map_err(failed)?;
        let mut backend = backend(&model, &mut gpus).map_err(failed)?;
        if compute == Compute::Bf16 {
            backend += ", activations rounded to BF16";
        }
        if let Some(warning) = speaking.gate.warning() {
            tell(warning);
        }
        beside::warnings(&checkpoint).iter().for_each(|line| tell(line));
        if let Some(plan) = model.plan.filter(|plan| plan.mode == Residency::Streamed) {
            let (all, there) = (plan.weights_bytes >> 20, plan.device_bytes >> 20);
            tell(&format!(
                "streamed: {there} of {all} MiB of weights fit on the device; the layers are copied to it again \
                 for every token"
            ));
        }
        if speaking.verbose {
            tell(&format!("backend: {backend}"));
        }
        let system = speaking.system.iter();
        let turns = system.map(|text| Turn { role: Role::System, content: text.clone() }).collect();
        Ok(Speaker { speaking, model, gpus, backend, turns })
    }

    /// Answers the user's turn, and adds both turns to the conversation.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and if the output cannot be written.
    pub fn answer(&mut self, said: &str, out: &mut dyn Write) -> Result<(), CommandError> {
        self.turns.push(Turn { role: Role::User, content: said.to_owned() });
        let Speaking { max_tokens, temperature, top_p, seed, json, verbose, .. } = *self.speaking;
        let request = Generate {
            handle: 0,
            prompt: Prompt::Chat(self.turns.clone()),
            limit: max_tokens,
            sampling: Sampling { temperature, top_p, seed },
            into: None,
        };
        let tokens = self.model.runnable.as_ref().and_then(|runnable| runnable.tokenizer.clone());
        let mut pieces = Pieces { tokens, ids: Vec::new(), shown: 0 };
        let (began, mut first, mut fault) = (Instant::now(), None, None);
        let generated = {
            let mut see = |id: u32| {
                first.get_or_insert_with(|| began.elapsed());
                let piece = pieces.push(id);
                if !json && fault.is_none() {
                    fault = print(out, &piece).err();
                }
            };
            let Speaker { model, gpus, .. } = self;
            generate::generate(model, gpus, &Honest, &request, &mut see)
        };
        let seconds = began.elapsed().as_secs_f64();
        let generated = generated.map_err(|error| gate::stop(&error))?;
        let first = first.unwrap_or_default().as_secs_f64();
        fault.map_or(Ok(()), Err)?;
        let text = generated.text.clone().unwrap_or_default();
        if json {
            let line = self.line(&generated, &text, first, seconds);
            print(out, &format!("{line}\n"))?;
        } else {
            print(out, &format!("{}\n", text.get(pieces.shown..).unwrap_or_default()))?;
        }
        if verbose {
            let (given, made) = (generated.prompt.len(), generated.tokens.len());
            tell(&format!(
                "{given} tokens read, first of {made} after {:.1} ms, all after {:.1} ms, on {}",
                first * 1e3,
                seconds * 1e3,
                self.backend
            ));
        }
        self.turns.push(Turn { role: Role::Assistant, content: text });
        Ok(())
    }

    fn line(&self, generated: &Generated, text: &str, first: f64, seconds: f64) -> Value {
        json!({
            "text": text,
            "stop": generated.stop,
            "prompt_tokens": generated.prompt.len(),
            "tokens": generated.tokens,
            "backend": self.backend,
            "compute": self.speaking.computing.compute,
            "used_gpu": generated.device.is_gpu(),
            "first_token_seconds": first,
            "seconds": seconds,
            "contract": self.speaking.gate.word(),
        })
    }
}

/// Streams text: the text of tokens is shown when no later token can change it.
struct Pieces {
    tokens: Option<Tokens>,
    ids: Vec<u32>,
    shown: usize,
}

impl Pieces {
    fn push(&mut self, id: u32) -> String {
        self.ids.push(id);
        let Some(text) = self.tokens.as_ref().and_then(|tokens| tokens.text(&self.ids).ok()) else {
            return String::new();
        };
        // A character that is not complete yet decodes to the replacement character.
        if text.ends_with('\u{fffd}') {
            return String::new();
        }
        let piece = text.get(self.shown..).unwrap_or_default().to_owned();
        self.shown += piece.len();
        piece
    }
}

fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
