//! Prompts that the harness generates, and the tokens that must reach the model.

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::contract::generation::{Prompt, Role, Turn};
use crate::harness::case::generate::PromptSource;
use crate::harness::model::foreign::{Pairs, Pieces};
use crate::harness::run::case_run::model::PlacedModel;
use crate::harness::run::case_run::words::wire;

/// Questions for the small chat model. Other models may answer them in any way.
const QUESTIONS: [&str; 6] = [
    "Who founded Arvel?",
    "And its river?",
    "Hello!",
    "What is my name?",
    "How many bridges has Wexby?",
    "My name is Greta.",
];

/// A prompt, and the tokens that the model must be given for it.
pub struct Made {
    /// The prompt in the request.
    pub prompt: Prompt,
    /// The tokens, as the harness renders the prompt itself.
    pub tokens: Vec<u32>,
}

/// Describes a prompt's source.
pub fn words(source: &PromptSource) -> String {
    match source {
        PromptSource::Random(count) => format!("{count} random tokens"),
        PromptSource::Ids(ids) => format!("the tokens {ids:?}"),
        PromptSource::Chat(turns) => {
            let turn = |(role, text): &(Role, String)| format!("{}: {text:?}", wire(role));
            turns.iter().map(turn).collect::<Vec<_>>().join(", ")
        }
        PromptSource::Talk(turns) => format!("a random conversation of {turns} turns"),
        PromptSource::Pieces(number) => format!("text {number} of the SentencePiece goldens"),
        PromptSource::Pairs(way, number) => format!("text {number}, split as {way}"),
        PromptSource::Bare(text) => format!("the text {text:?} without a template"),
        PromptSource::Ending => "the prompt after which it was built to end".to_owned(),
        PromptSource::IdBeyond => "an id beyond its vocabulary".to_owned(),
        PromptSource::Beyond(more) => format!("its longest input and {more} tokens"),
    }
}

/// Makes a prompt for a model.
///
/// # Errors
/// If the case asks for something that the model does not have.
pub fn make(source: &PromptSource, model: &PlacedModel, seed: u64) -> Result<Made, String> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let vocabulary = model.vocabulary();
    let mut some = |count: usize| -> Vec<u32> {
        (0..count).map(|_| random.random_range(0..vocabulary) as u32).collect()
    };
    let given = |tokens: Vec<u32>| Made { prompt: Prompt::Tokens(tokens.clone()), tokens };
    let voice = || model.voice.as_ref().ok_or_else(|| "the model cannot chat".to_owned());
    let chat = |turns: Vec<Turn>| -> Result<Made, String> {
        Ok(Made { tokens: voice()?.tokens(&turns)?, prompt: Prompt::Chat(turns) })
    };
    let said = |text: String, tokens: Vec<u32>| {
        let turns = vec![Turn { role: Role::User, content: text }];
        Made { prompt: Prompt::Chat(turns), tokens }
    };
    match source {
        PromptSource::Random(count) => Ok(given(some(*count))),
        PromptSource::Ids(ids) => Ok(given(ids.clone())),
        PromptSource::IdBeyond => Ok(given(vec![1, vocabulary as u32])),
        PromptSource::Beyond(more) => {
            let count = model.longest() as i64 + more;
            Ok(given(some(usize::try_from(count).unwrap_or(0))))
        }
        PromptSource::Ending => match &model.ending {
            Some(prompt) => Ok(given(prompt.clone())),
            None => Err("the model was not built to end".to_owned()),
        },
        PromptSource::Bare(text) => Ok(given(voice()?.bare(text)?)),
        PromptSource::Pieces(number) => {
            let golden = Pieces::leading()?.texts.into_iter().nth(*number);
            let golden = golden.ok_or_else(|| format!("no text {number} in the goldens"))?;
            Ok(said(golden.text, golden.ids))
        }
        PromptSource::Pairs(way, number) => {
            let golden = Pairs::read()?.text(way, *number)?;
            Ok(said(golden.text, golden.ids))
        }
        PromptSource::Chat(said) => chat(
            said.iter().map(|(role, text)| Turn { role: *role, content: text.clone() }).collect(),
        ),
        PromptSource::Talk(count) => {
            let turn = |at: usize| {
                let role = if at.is_multiple_of(2) { Role::User } else { Role::Assistant };
                let (a, b) = (random.random_range(0..100), random.random_range(0..100));
                let asked = QUESTIONS.choose(&mut random).copied().unwrap_or("Hello!");
                let content = match (role, random.random_range(0..3)) {
                    (Role::User, 0) => format!("What is {a}+{b}?"),
                    (Role::User, 1) => format!("  {a} {b}"),
                    (Role::User, _) => asked.to_owned(),
                    _ => format!("{}", a + b),
                };
                Turn { role, content }
            };
            chat((0..*count).map(turn).collect())
        }
    }
}
