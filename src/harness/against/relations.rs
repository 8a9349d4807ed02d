//! How each check of this suite compares its two texts: by which relation, and in which words it expects. So a
//! record cannot make a weaker comparison out of one.

use self::Called::{Begins, Has, Is};
use super::own::at;
use crate::harness::record::Relation::{self, Contains, Equals, Judged, Mentions, OneOf, Within};
use crate::harness::record::{CaseRecord, Check, Mismatch};

/// Every check that this suite does not compare so.
pub(super) fn differences(found: &CaseRecord) -> Vec<Mismatch> {
    let checks = found.steps.iter().flat_map(|step| &step.checks);
    checks.filter_map(|check| difference(check, &found.id)).collect()
}

fn difference(check: &Check, id: &str) -> Option<Mismatch> {
    let relation = check.relation?;
    let rows = || ROWS.iter().filter(|row| row.is_about(&check.what));
    // Of other names it is told that the case has no such check.
    rows().next()?;
    let is_row = |row: &Row| row.relation == relation && fits(row.form, &check.expected);
    // An answer of another kind is told by two texts that differ, and of other bytes it is said which.
    let of_failure = !check.held && matches!(relation, Equals | Judged);
    if of_failure || rows().any(is_row) {
        return None;
    }
    let wanted: Vec<String> = rows().map(Row::words).collect();
    let actual = format!("{}, {:?}", relation.name(), check.expected);
    Some(at(format!("{id}, {}", check.what), wanted.join(" or "), actual))
}

/// Whether an expected text has a form. `#` stands for a number, `#?` for a number or `any`; every text has the
/// empty form.
fn fits(form: &str, expected: &str) -> bool {
    let is_number = |word: &str| {
        let number = word.trim_end_matches([',', ':']).parse();
        number.is_ok_and(|number: f64| number.is_finite())
    };
    let (forms, words) = (form.split(' '), expected.split(' '));
    let same = |(form, word): (&str, &str)| match form {
        "#" => is_number(word),
        "#?" => word == "any" || is_number(word),
        form => form == word,
    };
    form.is_empty()
        || (forms.clone().count() == words.clone().count() && forms.zip(words).all(same))
}

/// Checks with one relation and one form of the expected text.
struct Row {
    relation: Relation,
    form: &'static str,
    names: &'static [Called],
}

/// The name of a check.
enum Called {
    Is(&'static str),
    Begins(&'static str),
    Has(&'static str),
}

impl Row {
    fn is_about(&self, what: &str) -> bool {
        self.names.iter().any(|name| match name {
            Is(name) => what == *name,
            Begins(name) => what.starts_with(name),
            Has(part) => what.contains(part),
        })
    }

    fn words(&self) -> String {
        match self.form {
            "" => self.relation.name().to_owned(),
            form => format!("{}, {form:?}", self.relation.name()),
        }
    }
}

const fn of(relation: Relation, form: &'static str, names: &'static [Called]) -> Row {
    Row { relation, form, names }
}

/// Every check of the suite. The forms are those of [`fits`].
const ROWS: &[Row] = &[
    of(
        Equals,
        "",
        &[
            Is("device"),
            Is("SHA-256 of the file"),
            Is("SHA-256 of the file written"),
            Is("size of the file"),
            Is("size of the file written"),
            Is("__metadata__"),
            Is("models"),
            Is("models held afterwards"),
            Is("models held at once"),
            Is("element type named"),
            Is("tensor named"),
            Is("where it ran"),
            Is("values compared"),
            Is("mode"),
            Is("unused tensors"),
            Is("bytes of weights"),
            Is("bytes held, and bytes planned"),
            Is("tokens"),
            Is("tokens of transformers"),
            Is("the same again"),
            Is("text of the tokens"),
            Is("reason to stop"),
            Is("compute capability"),
            Is("name"),
            Is("total bytes"),
            Is("devices"),
            Is("UUID"),
            Is("loads refused"),
            Is("digest"),
            Is("library mapped in the process"),
            Is("where the largest difference is"),
            Is("ranks and their devices"),
            Is("bytes held by all ranks"),
            Begins("shape of "),
            Begins("table of "),
            Begins("size of "),
            Begins("bytes of keys and values in "),
            Begins("SHA-256 after "),
            Begins("tokens of "),
            Begins("seed "),
        ],
    ),
    of(Equals, "#", &[Is("rows, sound input")]),
    of(
        Equals,
        "none",
        &[
            Is("missing from the error"),
            Is("processes that outlive the loader"),
            Is("files left behind"),
            Is("files that were changed"),
            Is("processes of ranks that are left"),
            Begins("bare unsafe among "),
        ],
    ),
    of(Equals, "done", &[Is("answer")]),
    of(Equals, "nothing", &[Is("output"), Is("output after the answer to bye")]),
    of(Equals, "an answer to bye, then exit status 0", &[Is("the end")]),
    of(Equals, "as they were", &[Is("files of the case")]),
    of(Equals, "exit status: 0", &[Is("exit")]),
    of(Equals, "no two alike but by chance", &[Is("answers of several seeds")]),
    of(Equals, "some that are not the most likely", &[Is("sampled tokens")]),
    of(
        Within,
        "# to #",
        &[
            Is("bytes held for the model"),
            Is("bytes held"),
            Is("tokens planned for"),
            Is("bytes asked for"),
            Is("number of tokens"),
            Begins("bytes of weights on the device, "),
            Begins("free bytes as reported, "),
            Begins("bytes held for "),
            Begins("bytes held by rank "),
        ],
    ),
    of(Within, "#? to #?", &[Begins("growth in bytes since ")]),
    of(Within, "more than #", &[Is("bytes asked for")]),
    of(Within, "# tensors and # to # elements checked, # to # tensors exempt", &[Has(" gate")]),
    of(Within, "pinned, asynchronous, at most # bytes of staging", &[Is("transfer")]),
    of(
        Within,
        "below # ms",
        &[Is("time of the load"), Is("time of the validation"), Is("time to the first token")],
    ),
    of(Within, "at most # ms", &[Begins("time of ")]),
    of(Within, "below # s", &[Is("time of all thirteen"), Is("mean time of a load")]),
    of(
        Within,
        "# to # ms",
        &[Is("the sum of the loader's own times"), Is("the loader's own time")],
    ),
    of(Within, "at most # us", &[Is("the loader's own time")]),
    of(Within, "at least # GB/s", &[Is("rate of the load"), Is("rate by the harness's clock")]),
    of(Within, "at most # GB/s", &[Is("rate by the harness's clock")]),
    of(
        Within,
        "device memory of device # not managed, at least # bytes",
        &[Is("kind of memory, by the driver")],
    ),
    of(Within, "at least # bytes", &[Begins("memory of the loader on ")]),
    of(Judged, "as the loader says", &[Begins("memory of the loader on ")]),
    of(
        Within,
        "elements at most # % off by root mean square, L2 norms below # % apart",
        &[Is("matrices compared with the unquantised")],
    ),
    of(Within, "L2 norms below # % apart", &[Is("logits compared with the unquantised")]),
    of(Within, "at most # off transformers'", &[Begins("logits of "), Is("cosines of all pairs")]),
    of(
        Within,
        "at most # off the oracle's",
        &[
            Begins("logits of "),
            Begins("sentence "),
            Begins("change by "),
            Begins("output "),
            Is("embedding"),
            Is("token_states"),
            Is("logits"),
            Is("embeddings"),
        ],
    ),
    of(Within, "L2 norm below # off, values below # of the largest", &[Begins("state ")]),
    of(Within, "at most # off, absolute", &[Has(" against its golden")]),
    of(Within, "above #", &[Is("related sentences lie closer than any others")]),
    of(Within, "above # a second", &[Is("tokens")]),
    of(
        Within,
        "at most #",
        &[
            Begins("exponent of a token's time over "),
            Begins("descriptors of the loader "),
            Begins("threads of the loader "),
            Begins("processes of the loader "),
            Begins("maps of the case's files "),
            Is("seconds spent waiting for the loader"),
            Is("largest relative error against float64"),
            Is("bytes read beyond 4 MiB, by those of the model"),
        ],
    ),
    of(Within, "more than # times", &[Begins("speed compared with ")]),
    of(Within, "at most # % below", &[Is("rate compared with the GGUF runtime's")]),
    of(Within, "above # %", &[Is("utilisation while generating")]),
    of(Within, "at least #", &[Is("largest difference reported"), Is("Rust files read")]),
    of(Within, "", &[Is("GPU in NVML")]),
    of(OneOf, "", &[Is("answer"), Is("digest"), Is("exit code"), Begins("tokens given to ")]),
    of(OneOf, "internal or device or resource/any phase/any code", &[Begins("answer for rank ")]),
    of(OneOf, "refused/any phase/unknown_handle", &[Begins("answer for rank ")]),
    of(Contains, "", &[Is("driver's own words"), Is("answer"), Is("output")]),
    of(Mentions, "", &[Is("named in the failure"), Is("what it says")]),
    of(Judged, "equal", &[Has(" tensors, byte for byte, through ")]),
    of(Judged, "those of the file", &[Begins("slices of rank ")]),
    of(
        Judged,
        "stopped in the middle, or over before it could be stopped",
        &[Is("the load of the second process")],
    ),
    of(Judged, "it stands still until the judge lets it go on", &[Is("the stopped process")]),
    of(
        Judged,
        "slices that keep every rule of parallel plans",
        &[Is("what the ranks say they hold")],
    ),
    of(Judged, "the bytes just written from outside", &[Is("what the loader reads")]),
    of(Judged, "the oracle's most likely token at each step", &[Is("tokens")]),
    of(Judged, "a token that the sampling allows by the oracle, at each step", &[Is("tokens")]),
    of(
        Judged,
        "as often as the oracle's probabilities say; chance exceeds the bound once in # times",
        &[Is("how often tokens come")],
    ),
    of(Judged, "one that no earlier GPU has", &[Is("UUID")]),
    of(Judged, "readable text", &[Is("answer")]),
    of(Judged, "listed on the GPU", &[Is("the process, by NVML")]),
    of(Judged, "never listed on a GPU", &[Is("the process, by NVML")]),
    of(
        Judged,
        "the same bits",
        &[
            Is("the same input again"),
            Is("logits of a batch"),
            Is("logits of every step"),
            Has(" put back"),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::Basis;

    #[test]
    fn no_check_becomes_a_weaker_one() {
        let told = |check: &Check| difference(check, "A-001::x").map(|one| one.to_string());
        let within = |expected: &str, found: &str| {
            told(&Check::within("time of the load", expected, found, Basis::Observed))
        };
        assert_eq!(within("below 5 ms", "4 ms"), None);
        assert_eq!(
            within("at least 5 ms", "7 ms").unwrap(),
            "A-001::x, time of the load: expected within, \"below # ms\" or within, \"at most # ms\", found \
             within, \"at least 5 ms\""
        );
        assert!(within("below 5 ms, at most any", "4 ms").is_some());
        let judged = |what: &str, expected: &str| {
            told(&Check::judged(what, expected, Ok(String::new()), Basis::Observed))
        };
        assert_eq!(judged("2 tensors, byte for byte, through a file", "equal"), None);
        assert!(judged("2 tensors, byte for byte, through a file", "alike").is_some());
        assert!(judged("SHA-256 of the file", "equal").is_some());
        let refused = "refused/open/gap";
        assert_eq!(told(&Check::broken("answer", refused, "loaded", Basis::Observed)), None);
        assert!(told(&Check::equal("answer", refused, refused, Basis::Observed)).is_some());
        assert_eq!(judged("elegance", "much"), None, "told as a check that no case has");
    }

    #[test]
    fn every_check_of_a_whole_run_is_in_the_table() {
        for name in ["full-h100-cuda1", "minilm-h200"] {
            let path = format!("{}/reports/{name}.json", env!("CARGO_MANIFEST_DIR"));
            let record = crate::harness::record::Record::read(path.as_ref()).unwrap();
            let steps = record.cases.iter().flat_map(|case| &case.steps);
            for check in steps.flat_map(|step| &step.checks) {
                assert!(ROWS.iter().any(|row| row.is_about(&check.what)), "{}", check.what);
            }
        }
    }
}
