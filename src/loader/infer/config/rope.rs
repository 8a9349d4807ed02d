//! Reads the settings of rotary positions. Publishers write base and scaling at the top level, in
//! `rope_scaling` or `rope_parameters`, or there once more for each type of layer. All places that
//! state a setting must agree.

use serde_json::Value;

use crate::loader::error::{Result, json_text};
use crate::loader::remedies::config::{
    CONFIG_ROPE_BASE, CONFIG_ROPE_CONTRADICTS, CONFIG_ROPE_FORM, CONFIG_ROPE_SCALING,
    CONFIG_ROPE_TYPE_MISSING,
};

use super::fields::{Fields, invalid};
use super::rotary::{Llama3, Rotary, Scaling};
use super::spelling::{Own, ROTARY_BASE, same_number, twice};

/// The objects that hold settings of rotary positions.
const OBJECTS: [&str; 2] = ["rope_scaling", "rope_parameters"];

/// The share of a head that rotates, by its names in several families. Only whole heads do.
const SHARES: [&str; 4] =
    ["partial_rotary_factor", "rotary_pct", "rotary_percent", "rotary_emb_fraction"];

/// Fields of such an object that have no effect without a scaling, or that say what training did.
const WITHOUT_EFFECT: [&str; 2] = ["original_max_position_embeddings", "finetuned"];

/// What was stated so far, with the places that state it.
#[derive(Default)]
struct Stated<'v> {
    base: Option<(String, &'v Value, f32)>,
    scaling: Option<(String, &'v Value, Option<Scaling>)>,
}

impl Fields<'_> {
    /// Reads base and scaling. `usual` is the family's base where none is stated.
    ///
    /// # Errors
    /// `invalid_config` for a scaling that is not supported, and for two places that contradict
    /// each other.
    pub(super) fn rotary(&self, own: &Own, usual: f32) -> Result<Rotary> {
        let mut stated = Stated::default();
        if let Some(name) = self.spelled(&ROTARY_BASE, own.rotary_base)? {
            stated.base(self, name)?;
        }
        for field in OBJECTS {
            if let Some(value) = self.get(field) {
                stated.object(self, &self.inside(field, value), (field, value))?;
            }
        }
        for share in SHARES {
            self.refuse_unless(share, &Value::from(1.0))?;
        }
        let (name, base) = match &stated.base {
            Some((name, _, base)) => (name.as_str(), *base),
            None => ("rope_theta", usual),
        };
        if base <= 1.0 {
            return Err(invalid(CONFIG_ROPE_BASE, format!("{name} is not above 1"))
                .expected("more than 1", base));
        }
        Ok(Rotary { base, scaling: stated.scaling.and_then(|(_, _, scaling)| scaling) })
    }
}

impl<'v> Stated<'v> {
    /// Takes a base from a field.
    fn base(&mut self, fields: &Fields<'v>, field: &str) -> Result<()> {
        let (Some(value), Some(base)) = (fields.get(field), fields.number(field)?) else {
            return Ok(());
        };
        let name = fields.named(field);
        match &self.base {
            Some((other, first, _)) if !same_number(first, value) => {
                Err(twice((other, first), (&name, value)))
            }
            Some(_) => Ok(()),
            None => {
                self.base = Some((name, value, base));
                Ok(())
            }
        }
    }

    /// Takes what an object states, and the objects in it, which are for one type of layer each.
    fn object(
        &mut self,
        whole: &Fields<'v>,
        inside: &Fields<'v>,
        (field, value): (&str, &'v Value),
    ) -> Result<()> {
        let Some(entries) = value.as_object() else {
            let cause = CONFIG_ROPE_FORM.about([field]);
            return Err(invalid(cause, format!("{field} is not an object"))
                .expected("an object", json_text(value)));
        };
        for (name, entry) in entries.iter().filter(|(_, entry)| entry.is_object()) {
            let layers = inside.inside(name, entry);
            inside.get(name);
            self.object(whole, &layers, (&inside.named(name), entry))?;
        }
        inside.refuse_null("rope_theta")?;
        self.base(inside, "rope_theta")?;
        for share in SHARES {
            inside.refuse_unless(share, &Value::from(1.0))?;
        }
        let Some(scaling) = scaling(whole, inside)? else { return Ok(()) };
        match &self.scaling {
            Some((other, first, known)) if *known != scaling => {
                Err(twice((other, first), (field, value)))
            }
            Some(_) => Ok(()),
            None => {
                self.scaling = Some((field.to_owned(), value, scaling));
                Ok(())
            }
        }
    }
}

/// The scaling that an object states. `None` if it states nothing about scaling.
fn scaling(whole: &Fields<'_>, inside: &Fields<'_>) -> Result<Option<Option<Scaling>>> {
    let (new, old) = (inside.get("rope_type"), inside.get("type"));
    if let (Some(one), Some(two)) = (new, old)
        && one != two
    {
        return Err(twice((&inside.named("rope_type"), one), (&inside.named("type"), two)));
    }
    let kind = new.or(old);
    let scaling = match kind.map(|kind| kind.as_str().unwrap_or_default()) {
        None | Some("default") => {
            plain(inside)?;
            return Ok(kind.map(|_| None));
        }
        Some("linear") => Scaling::Linear(factor(inside)?),
        Some("llama3") => Scaling::Llama3(llama3(whole, inside)?),
        Some(_) => {
            let (name, kind) = (inside.named("rope_type"), json_text(kind.unwrap_or(&Value::Null)));
            let cause = CONFIG_ROPE_SCALING.about([&kind]);
            return Err(invalid(cause, format!("{name} {kind} is not supported"))
                .expected("default, linear or llama3", kind));
        }
    };
    match unread(inside).next() {
        Some((field, value)) => Err(inside.not_supported(field, value, "no such field")),
        None => Ok(Some(Some(scaling))),
    }
}

/// Refuses an object without a scaling's type that has a scaling's values.
fn plain(inside: &Fields<'_>) -> Result<()> {
    let is_one = |value: &Value| value.as_f64() == Some(1.0);
    let stray = unread(inside).find(|(field, value)| *field != "factor" || !is_one(value));
    let Some((field, value)) = stray else { return Ok(()) };
    let (name, kind) = (inside.named(field), inside.named("rope_type"));
    let cause = CONFIG_ROPE_TYPE_MISSING.about([&kind, &name]);
    let message = format!("{name} has no effect without a type of scaling in {kind}");
    Err(invalid(cause, message)
        .expected("a rope_type other than default, or no scaling", json_text(value)))
}

/// The fields of an object that are set, may have an effect, and that nothing has read.
fn unread<'v>(inside: &Fields<'v>) -> impl Iterator<Item = (&'v String, &'v Value)> {
    let all = inside.unread().into_iter();
    all.filter(|(field, value)| !value.is_null() && !WITHOUT_EFFECT.contains(&field.as_str()))
}

fn factor(inside: &Fields<'_>) -> Result<f32> {
    let factor = inside.number("factor")?.ok_or_else(|| inside.missing("factor"))?;
    if factor < 1.0 {
        return Err(contradicts().expected("a factor of at least 1", format!("factor {factor}")));
    }
    Ok(factor)
}

fn llama3(whole: &Fields<'_>, inside: &Fields<'_>) -> Result<Llama3> {
    let must = |field: &str| inside.number(field)?.ok_or_else(|| inside.missing(field));
    let scaling = Llama3 {
        factor: factor(inside)?,
        low: must("low_freq_factor")?,
        high: must("high_freq_factor")?,
        original: original(whole, inside)?,
    };
    if scaling.high > scaling.low {
        return Ok(scaling);
    }
    let Llama3 { low, high, .. } = scaling;
    Err(contradicts().expected(
        "low_freq_factor below high_freq_factor",
        format!("low_freq_factor {low}, high_freq_factor {high}"),
    ))
}

/// The longest input before the scaling: in the object, beside it, or the longest input at all.
fn original(whole: &Fields<'_>, inside: &Fields<'_>) -> Result<f32> {
    let field = "original_max_position_embeddings";
    if let (Some(one), Some(two)) = (inside.get(field), whole.get(field))
        && !same_number(one, two)
    {
        return Err(twice((&inside.named(field), one), (field, two)));
    }
    inside.refuse_null(field)?;
    for fields in [inside, whole] {
        if let Some(original) = fields.number(field)? {
            return Ok(original);
        }
    }
    let longest = "max_position_embeddings";
    whole.number(longest)?.ok_or_else(|| inside.missing(field))
}

fn contradicts() -> crate::loader::error::LoadError {
    let message = "the scaling of rotary positions contradicts itself";
    invalid(CONFIG_ROPE_CONTRADICTS, message)
}
