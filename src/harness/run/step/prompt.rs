//! Prompts that the harness generates, and the tokens that must reach the model.

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::contract::generation::{Prompt, Role, Turn};
use crate::harness::case::generate::PromptSource;
use crate::harness::model::foreign::{Pairs, Pieces};
use crate::harness::run::case_run::CaseEnd;
use crate::harness::run::case_run::model::PlacedModel;
use crate::harness::run::case_run::words::wire;
use crate::harness::template::Moment;

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
    /// When it was rendered, and the tokens of the next day, if its template tells the date.
    pub dated: Option<(Moment, Vec<u32>)>,
}

impl Made {
    /// Whether these are its tokens. At midnight, those of either day are.
    pub fn is(&self, given: &[u32]) -> bool {
        self.tokens == given || self.next_day(given)
    }

    /// Its tokens in words; those of both days, where these are the next day's.
    pub fn wanted(&self, given: &[u32]) -> String {
        match self.next_day(given) {
            true => format!("{:?} or {given:?}", self.tokens),
            false => format!("{:?}", self.tokens),
        }
    }

    fn next_day(&self, given: &[u32]) -> bool {
        let is_next = |(at, tokens): &(Moment, Vec<u32>)| {
            tokens == given && Moment::now().0.date() != at.0.date()
        };
        self.dated.as_ref().is_some_and(is_next)
    }
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
        PromptSource::Golden => "the conversation of its golden template".to_owned(),
        PromptSource::Ending => "the prompt after which it was built to end".to_owned(),
        PromptSource::IdBeyond => "an id beyond its vocabulary".to_owned(),
        PromptSource::Beyond(more) => format!("its longest input and {more} tokens"),
    }
}

/// Makes a prompt for a model.
///
/// # Errors
/// If the case asks for something that the model does not have. For the run's own checkpoint the
/// case is then untested.
pub fn make(source: &PromptSource, model: &PlacedModel, seed: u64) -> Result<Made, CaseEnd> {
    let made = made(source, model, seed).map_err(|why| model.lacks(why))?;
    let beyond = matches!(source, PromptSource::Beyond(_) | PromptSource::IdBeyond);
    if model.given.is_some() && !beyond {
        let (length, vocabulary) = (made.tokens.len(), model.vocabulary());
        if length > model.longest() {
            let longest = model.longest();
            return Err(model.lacks(format!("takes {longest} tokens, and the case gives {length}")));
        }
        if made.tokens.iter().any(|id| *id as usize >= vocabulary) {
            return Err(model.lacks(format!("has {vocabulary} tokens, and the case names more")));
        }
    }
    Ok(made)
}

fn made(source: &PromptSource, model: &PlacedModel, seed: u64) -> Result<Made, String> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let vocabulary = model.vocabulary();
    let mut some = |count: usize| -> Vec<u32> {
        (0..count).map(|_| random.random_range(0..vocabulary) as u32).collect()
    };
    let given =
        |tokens: Vec<u32>| Made { prompt: Prompt::Tokens(tokens.clone()), tokens, dated: None };
    let voice = || model.voice.as_ref().ok_or_else(|| "the model cannot chat".to_owned());
    let chat = |turns: Vec<Turn>| -> Result<Made, String> {
        let now = Moment::now();
        let tokens = voice()?.tokens(&turns, now)?;
        let next = voice()?.tokens(&turns, now.next_day())?;
        let dated = (next != tokens).then_some((now, next));
        Ok(Made { tokens, prompt: Prompt::Chat(turns), dated })
    };
    let said = |text: String, tokens: Vec<u32>| {
        let turns = vec![Turn { role: Role::User, content: text }];
        Made { prompt: Prompt::Chat(turns), tokens, dated: None }
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
        PromptSource::Golden => match voice()?.said() {
            Some(turns) => chat(turns.to_vec()),
            None => Err("the model's template is not a golden one".to_owned()),
        },
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
