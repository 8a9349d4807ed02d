//! The arms of `bench decode`: the bundled loader in this process, and peers in processes of their own.

use std::path::Path;
use std::time::Instant;

use super::figures::{COUNT, Figures, Row};
use super::table::times;
use crate::cli::CommandError;
use crate::cli::bench::frame::{Common, Holding, load_ours, middle, written};
use crate::cli::bench::peer::{Peer, other, own_seconds};
use crate::cli::steps::Steps;
use crate::contract::generation::{LOGITS, Prompt, Sampling};
use crate::contract::inference::{Compute, Head};
use crate::contract::reply::Reply;
use crate::contract::request::{Generate, Request};
use crate::harness::scratch::Scratch;
use crate::loader::Honest;
use crate::loader::load::model::Model;
use crate::loader::verbs::generate;

/// Generations of a peer before the timed ones, because the first ones compile.
const WARM_UP: u32 = 3;

/// One model, and what every arm does with it.
pub struct Measured<'a> {
    pub common: &'a Common,
    /// Timed rounds of each figure.
    pub rounds: u32,
    /// The model.
    pub folder: &'a Path,
    pub name: &'a str,
    /// Prompts of each length. The first of them is timed, and the logits behind all are compared.
    pub prompts: &'a [Vec<Vec<u32>>],
}

impl Measured<'_> {
    /// Measures the bundled loader. `exact` are the tokens that it generated in the exact mode, if it
    /// did before. Returns the tokens.
    ///
    /// # Errors
    /// Where it does not load or run the model.
    pub fn ours(
        &self,
        compute: Compute,
        exact: Option<&[u32]>,
        figures: &mut Figures,
    ) -> Result<Vec<u32>, CommandError> {
        let device = self.common.on.device;
        let (mut model, mut gpus) = load_ours(self.folder, device, Head::Logits {}, compute)?;
        if let Some(runnable) = &mut model.runnable {
            // Without end tokens, every arm generates the same number of tokens.
            runnable.ends.clear();
        }
        let token_bytes = token_bytes(&model);
        let mut asked = |request: &Generate| -> Result<(f64, f64, Vec<u32>), CommandError> {
            let (begin, mut first) = (Instant::now(), None);
            let mut see = |_| {
                first.get_or_insert_with(|| begin.elapsed().as_secs_f64());
            };
            let given = generate::generate(&mut model, &mut gpus, &Honest, request, &mut see);
            let all = begin.elapsed().as_secs_f64();
            let given = given.map_err(CommandError::harness)?;
            Ok((first.unwrap_or(all), all, given.tokens))
        };
        let steps = Steps::new(self.common.output.show);
        let arm = format!("weighbridge, {}", compute.name());
        steps.step(&format!("{}: {arm}", self.name));
        // The longest first, so that no later one needs more memory.
        asked(&request(0, &self.prompts[self.prompts.len() - 1][0], COUNT))?;
        let mut first_seconds = Vec::new();
        for prompt in self.prompts.iter().map(|prompts| &prompts[0]) {
            let mut seconds = Vec::new();
            asked(&request(0, prompt, 1))?;
            for _ in 0..self.rounds {
                seconds.push(asked(&request(0, prompt, 1))?.0);
            }
            first_seconds.push(middle(seconds));
        }
        let (mut rates, mut tokens) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let (first, all, given) = asked(&request(0, &self.prompts[0][0], COUNT))?;
            rates.push(f64::from(COUNT - 1) / (all - first));
            tokens = given;
        }
        let mut logits = Vec::new();
        // Only transformers can tell what is true.
        if self.common.peers {
            let scratch = Scratch::new_in(&std::env::temp_dir()).map_err(CommandError::harness)?;
            let into = scratch.path().join(LOGITS);
            for prompts in self.prompts {
                let mut behind = Vec::new();
                for prompt in prompts {
                    asked(&Generate { into: Some(into.clone()), ..request(0, prompt, 1) })?;
                    behind.extend(written(&into, LOGITS).map_err(CommandError::harness)?);
                }
                logits.push(behind);
            }
        }
        let row =
            Row { compute: Some(compute), first_seconds, token_bytes, logits, ..Row::default() };
        self.add(row, (&arm, rates), alike(&tokens, exact.unwrap_or(&tokens)), (&steps, figures));
        steps.end();
        Ok(tokens)
    }

    /// Measures an arm of transformers: its name in the output, and in the adapter.
    ///
    /// # Errors
    /// Why there are no figures.
    pub fn transformers(
        &self,
        (arm, arm_there): (&str, &str),
        exact: &[u32],
        figures: &mut Figures,
    ) -> Result<(), String> {
        let holding = self.common.start(arm_there, self.folder, Head::Logits {})?;
        self.peer(arm, holding, exact, figures)
    }

    /// Measures a peer that holds the model.
    ///
    /// # Errors
    /// Why there are no figures.
    pub fn peer(
        &self,
        arm: &str,
        (mut peer, whose, handle): Holding,
        exact: &[u32],
        figures: &mut Figures,
    ) -> Result<(), String> {
        let steps = Steps::new(self.common.output.show);
        let arm = format!("{whose}, {arm}");
        steps.step(&format!("{}: {arm}", self.name));
        let (mut rates, mut tokens) = (Vec::new(), Vec::new());
        for limit in [1, COUNT] {
            for _ in 0..WARM_UP {
                once(&mut peer, &request(handle, &self.prompts[0][0], limit))?;
            }
        }
        for _ in 0..self.rounds.min(3) {
            let (all, given) = once(&mut peer, &request(handle, &self.prompts[0][0], COUNT))?;
            let (first, _) = once(&mut peer, &request(handle, &self.prompts[0][0], 1))?;
            rates.push(f64::from(COUNT - 1) / (all - first));
            tokens = given;
        }
        let mut first_seconds = Vec::new();
        for prompt in self.prompts.iter().map(|prompts| &prompts[0]) {
            for _ in 0..WARM_UP {
                once(&mut peer, &request(handle, prompt, 1))?;
            }
            let mut seconds = Vec::new();
            for _ in 0..self.rounds {
                seconds.push(once(&mut peer, &request(handle, prompt, 1))?.0);
            }
            first_seconds.push(middle(seconds));
        }
        // Only transformers can tell what is true.
        let logits = match self.common.peers {
            true => self.logits(&mut peer, handle)?,
            false => Vec::new(),
        };
        let token_bytes = figures.results.last().map_or(0, |row| row.token_bytes);
        let row = Row { first_seconds, token_bytes, logits, ..Row::default() };
        self.add(row, (&arm, rates), alike(&tokens, exact), (&steps, figures));
        steps.end();
        Ok(())
    }

    /// The logits of transformers in F64 behind the prompts of each length.
    ///
    /// # Errors
    /// Why there are none.
    pub fn truth(&self, arm_there: &str) -> Result<Vec<Vec<f32>>, String> {
        let (mut peer, whose, handle) =
            self.common.start(arm_there, self.folder, Head::Logits {})?;
        let steps = Steps::new(self.common.output.show);
        steps.step(&format!("{}: {whose}, F64", self.name));
        let logits = self.logits(&mut peer, handle);
        steps.end();
        logits
    }

    /// A peer's logits behind the prompts of each length.
    fn logits(&self, peer: &mut Peer, handle: u64) -> Result<Vec<Vec<f32>>, String> {
        let into = peer.file(LOGITS);
        let mut one = |prompt: &Vec<u32>| {
            let asked = Generate { into: Some(into.clone()), ..request(handle, prompt, 1) };
            once(peer, &asked)?;
            written(&into, LOGITS)
        };
        let behind = |prompts: &Vec<Vec<u32>>| {
            let each: Result<Vec<_>, _> = prompts.iter().map(&mut one).collect();
            each.map(|each| each.concat())
        };
        self.prompts.iter().map(behind).collect()
    }

    /// Adds a row and says it.
    fn add(
        &self,
        row: Row,
        (arm, rates): (&str, Vec<f64>),
        alike: usize,
        (steps, figures): (&Steps, &mut Figures),
    ) {
        let rate = middle(rates);
        let share = |gbps| rate * row.token_bytes as f64 / (gbps * 1e9);
        let row = Row {
            model: self.name.to_owned(),
            arm: arm.to_owned(),
            tokens_per_second: rate,
            share_of_reading: figures.read_gbps.map(share),
            alike,
            ..row
        };
        steps.row(&format!("{}: {}", row.model, times(&row).trim()));
        figures.results.push(row);
    }
}

/// A request for at most `limit` tokens after a prompt, greedy.
fn request(handle: u64, prompt: &[u32], limit: u32) -> Generate {
    let prompt = Prompt::Tokens(prompt.to_vec());
    Generate { handle, prompt, limit, sampling: Sampling::GREEDY, into: None }
}

/// Lets a peer generate. Returns the seconds from ids to tokens, and the tokens.
fn once(peer: &mut Peer, asked: &Generate) -> Result<(f64, Vec<u32>), String> {
    let (reply, trip) = peer.ask(Request::Generate(asked.clone()))?;
    let Reply::Generate(generated) = reply else { return Err(other(&reply)) };
    if generated.tokens.len() != asked.limit as usize {
        return Err(format!("{} tokens in place of {}", generated.tokens.len(), asked.limit));
    }
    Ok((own_seconds(generated.elapsed_us, trip)?, generated.tokens))
}

/// How many of the first tokens are the same.
fn alike(some: &[u32], others: &[u32]) -> usize {
    some.iter().zip(others).take_while(|(one, other)| one == other).count()
}

/// Bytes that the device reads for one token: every tensor once. Embeddings that are not also the
/// head are left out, because a token reads only one of their rows.
fn token_bytes(model: &Model) -> u64 {
    let tied = model.runnable.as_ref().is_some_and(|runnable| runnable.config.tied);
    let lookup = |name: &str| name.ends_with("embed_tokens.weight") || name.ends_with("wte.weight");
    let read = model.tensors.iter().filter(|tensor| tied || !lookup(&tensor.info.name));
    read.map(|tensor| tensor.bytes).sum()
}
