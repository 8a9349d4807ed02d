//! Groups the failures of a report by their cause.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::named::choose;
use super::shape::{shape, shape_of_message};
use crate::harness::record::{CaseRecord, Check, Report, StepRecord, Verdict};
use crate::harness::report::text::cut;

/// How many characters of a value are shown.
const VALUE: usize = 160;

/// Cases that failed for one cause.
#[derive(Clone, Debug)]
pub struct Cause<'r> {
    /// What is wrong, with the values of one case.
    pub title: String,
    /// Where the wrong value of that case is; `None` where no bytes were compared.
    pub place: Option<String>,
    /// How telling the cause is.
    pub rank: Rank,
    /// Ids of the requirements whose cases failed, in the record's order.
    pub requirements: Vec<&'r str>,
    /// The cases. The title is about the first.
    pub cases: Vec<&'r CaseRecord>,
}

/// How telling a cause is, the most telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Wrong bytes in memory: other failures may follow from them.
    Values,
    /// A wrong answer, a crash, a wait without end.
    Behaviour,
    /// A wrong result of a computation, which may follow from any of the above.
    Outputs,
    /// Only rules of warning severity.
    Warning,
    /// The harness failed, not the loader.
    Harness,
}

/// What two failures of one cause have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    rank: Rank,
    verdict: Verdict,
    step: String,
    check: String,
    difference: String,
}

/// The causes of a report's failures: the most telling first, and of equally telling ones the one with the
/// most requirements.
pub fn causes(report: &Report) -> Vec<Cause<'_>> {
    let record = &report.record;
    let warnings: BTreeMap<&str, bool> =
        record.requirements.iter().map(|row| (row.id.as_str(), row.warning)).collect();
    let mut places: BTreeMap<Key, usize> = BTreeMap::new();
    let mut causes: Vec<Cause<'_>> = Vec::new();
    let failing = || record.cases.iter().filter(|case| failed(case.verdict));
    let chosen = choose(failing().filter_map(|case| Some((case, broken(case)?.1))));
    for case in failing() {
        let warning = warnings.get(case.requirement.as_str()).copied().unwrap_or(false);
        let name = chosen.get(case.id.as_str()).copied().unwrap_or(0);
        let key = key(case, warning, name);
        let at = *places.entry(key.clone()).or_insert(causes.len());
        if at == causes.len() {
            let (title, place) = told(case, name);
            let (requirements, cases) = (Vec::new(), Vec::new());
            causes.push(Cause { title, place, rank: key.rank, requirements, cases });
        }
        causes[at].cases.push(case);
        if !causes[at].requirements.contains(&case.requirement.as_str()) {
            causes[at].requirements.push(&case.requirement);
        }
    }
    causes.sort_by_key(|cause| {
        (cause.rank, Reverse(cause.requirements.len()), Reverse(cause.cases.len()))
    });
    causes
}

/// Whether a case of this verdict has a cause to be named.
pub fn failed(verdict: Verdict) -> bool {
    verdict.refutes() || matches!(verdict, Verdict::Error | Verdict::Warning)
}

/// The first check that did not hold, and its step.
fn broken(case: &CaseRecord) -> Option<(&StepRecord, &Check)> {
    case.steps
        .iter()
        .find_map(|step| step.checks.iter().find(|check| !check.held).map(|check| (step, check)))
}

/// What a step does, in its first word: `load`, `embed`.
fn kind(step: &StepRecord) -> &str {
    step.does.split_whitespace().next().unwrap_or_default()
}

fn key(case: &CaseRecord, warning: bool, name: usize) -> Key {
    let (verdict, broken) = (case.verdict, broken(case));
    let rank = match broken {
        _ if verdict == Verdict::Error => Rank::Harness,
        _ if warning => Rank::Warning,
        Some((_, check)) if check.values.is_some() => Rank::Values,
        Some((step, check)) if is_result(step, check) => Rank::Outputs,
        _ => Rank::Behaviour,
    };
    match broken {
        Some((step, check)) => {
            let found = check.values.is_some();
            // The same bytes, messages and gaps in messages are met in several steps.
            let anywhere = found || check.expected == "none" || as_answer(&check.found).is_some();
            Key {
                rank,
                verdict,
                step: if anywhere { String::new() } else { kind(step).to_owned() },
                check: match rank {
                    Rank::Values => String::new(),
                    // A result's name may go on with the names of models.
                    Rank::Outputs => check.what.split(' ').next().unwrap_or_default().to_owned(),
                    _ => shape(&check.what),
                },
                difference: difference(check, name),
            }
        }
        None => Key {
            rank,
            verdict,
            step: case.steps.last().map(kind).unwrap_or_default().to_owned(),
            check: String::new(),
            difference: shape(case.reason.as_deref().unwrap_or_default()),
        },
    }
}

/// Whether a step's result is computed with the weights.
fn computes(step: &StepRecord) -> bool {
    let computing = ["embed", "run", "generate", "relate", "compare", "validate", "multiply"];
    computing.contains(&kind(step)) || step.does.contains(" run it ")
}

/// Whether a check is about a computed result, and not about an answer or a message.
fn is_result(step: &StepRecord, check: &Check) -> bool {
    let computed = ["tokens", "logits", "embedding", "state", "text of the tokens"];
    let is_one = computed.iter().any(|what| check.what.starts_with(what));
    (is_one || computes(step)) && check.what != "answer" && check.expected != "none"
}

fn difference(check: &Check, name: usize) -> String {
    if let Some(values) = &check.values {
        let kept = values.kept.as_ref().unwrap_or(&values.dtype);
        return match values.named().get(name) {
            Some(name) => shape(name),
            None => format!("{} as {kept} wrong", values.dtype),
        };
    }
    let found = shape(&check.found);
    match (as_answer(&check.expected), as_answer(&check.found)) {
        // What the loader said tells the fault, whatever was asked of it.
        (_, Some(_)) => shape_of_message(gist(&check.found)),
        (Some(code), None) => format!("{code} expected, {found} found"),
        (None, None) => format!("{} expected, {found} found", shape(&check.expected)),
    }
}

/// A message without the details that it gives in brackets.
fn gist(message: &str) -> &str {
    match message.split_once(" (") {
        Some((gist, _)) => gist,
        None => message,
    }
}

/// The first code of a failure in words, such as `gap` of `refused/open or header/gap or overlap: a hole`.
fn as_answer(text: &str) -> Option<&str> {
    let head = text.split_once(": ").map_or(text, |(head, _)| head);
    let mut parts = head.split('/');
    let (class, _phase, codes) = (parts.next()?, parts.next()?, parts.next()?);
    let is_class = !class.is_empty() && class.chars().all(char::is_alphabetic);
    (is_class && parts.next().is_none()).then(|| codes.split(" or ").next().unwrap_or(codes))
}

/// A failure in one line, values first, and the place of the wrong value.
fn told(case: &CaseRecord, name: usize) -> (String, Option<String>) {
    let Some((step, check)) = broken(case) else {
        let reason = case.reason.as_deref().unwrap_or_default();
        let verdict = case.verdict.name();
        return match case.steps.last() {
            Some(step) => (format!("{verdict} in {}: {reason}", kind(step)), None),
            None => (format!("{verdict}: {reason}"), None),
        };
    };
    if let Some(values) = &check.values {
        return (values.told_as(name).line(), Some(values.place()));
    }
    let (kind, found) = (kind(step), cut(&check.found, VALUE));
    let title = match (check.what.as_str(), check.expected.as_str()) {
        ("answer", expected) => format!("{kind}: expected {expected}, found {found}"),
        (what, "none") => format!("{kind}: {what}: {found}"),
        (what, expected) => {
            format!("{kind}: {what}: expected {}, found {found}", cut(expected, VALUE))
        }
    };
    (title, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::{Basis, Values, sample};

    /// A case of a requirement that failed at one check.
    fn case(id: &str, does: &str, check: Check) -> CaseRecord {
        let mut case = sample::because(id, Verdict::Fail, "a check did not hold");
        let (claim, elapsed_us) = (None, 0);
        case.steps.push(StepRecord {
            does: does.to_owned(),
            claim,
            checks: vec![check],
            elapsed_us,
        });
        case
    }

    fn check(what: &str, expected: &str, found: &str) -> Check {
        Check::broken(what, expected, found, Basis::Observed)
    }

    fn values(name: Option<&str>, tensor: &str, stored: &str) -> Option<Values> {
        Some(Values {
            difference: name.map(str::to_owned),
            or: Vec::new(),
            tensor: tensor.to_owned(),
            dtype: "BF16".to_owned(),
            kept: Some("F32".to_owned()),
            element: 3,
            stored: stored.to_owned(),
            expected: Some("0x3f800000".to_owned()),
            found: "0xbfd8c000".to_owned(),
            wrong: 2,
            of: 9,
        })
    }

    fn titles(cases: Vec<CaseRecord>) -> Vec<(String, usize, usize)> {
        let mut record = sample::record();
        record.cases = cases;
        let report = Report::of(record);
        let told = |cause: Cause<'_>| (cause.title, cause.requirements.len(), cause.cases.len());
        causes(&report).into_iter().map(told).collect()
    }

    #[test]
    fn many_failures_read_as_the_few_faults_that_they_are() {
        let wide = |tensor: &str, stored: &str| {
            check("bytes", "widened", "others").with(values(
                Some("BF16 read as F16"),
                tensor,
                stored,
            ))
        };
        let said =
            |what: &str| format!("Refused/Header/shape_mismatch: model.layers.0.q is {what}");
        let found = titles(vec![
            case(
                "LOAD-001::a",
                "embed 2 inputs with m",
                check("embedding", "within 1e-5", "1.5e0 off"),
            ),
            case(
                "LOAD-002::b",
                "embed 3 inputs with m",
                check("embedding", "within 1e-5", "7e-1 off"),
            ),
            case(
                "LOAD-003::c",
                "embed 9 inputs with m",
                check("embedding", "within 1e-5", "9e-1 off"),
            ),
            case("ERR-001::a", "load x to cpu", check("answer", "loaded", &said("[2, 3]"))),
            case("ERR-002::b", "load y to cpu", check("answer", "refused/open/gap", &said("[7]"))),
            case(
                "ERR-001::c",
                "load z to cpu",
                check("answer", "refused/open or header/gap", "loaded"),
            ),
            case(
                "ERR-004::d",
                "load z to cpu",
                check("answer", "refused/open/gap or overlap", "loaded"),
            ),
            case("ERR-004::e", "load z to cpu", check("answer", "refused/open/overlap", "loaded")),
            case("CHK-002::a", "fetch every byte of m", wide("w0", "0xbec6")),
            case("CHK-002::b", "load n", wide("w1", "0xbec7")),
        ]);
        let first = |index: usize| found[index].0.as_str();
        assert_eq!(found.len(), 5, "{found:?}");
        assert_eq!(first(0), "BF16 read as F16: stored 0xbec6, found 0xbfd8c000");
        assert_eq!((found[0].1, found[0].2), (1, 2));
        assert!(first(1).contains("shape_mismatch") && found[1].1 == 2, "{found:?}");
        assert!(first(2).contains("gap, found loaded") && found[2].1 == 2, "{found:?}");
        assert!(first(3).contains("overlap, found loaded") && found[3].2 == 1, "{found:?}");
        assert!(first(4).starts_with("embed: embedding") && found[4].1 == 3, "{found:?}");
    }

    #[test]
    fn values_that_several_rules_explain_join_the_cause_of_the_most_cases() {
        let wrong = |first: &str, or: &[&str]| {
            let mut values = values(Some(first), "w", "0xbf80");
            if let Some(values) = &mut values {
                values.or = or.iter().map(|&name| name.to_owned()).collect();
            }
            check("bytes", "widened", "others").with(values)
        };
        let cases = vec![
            case("LOAD-001::a", "fetch", wrong("one bit changed", &["sign lost", "sign flipped"])),
            case("LOAD-002::a", "fetch", wrong("sign lost", &[])),
            case("LOAD-003::a", "fetch", wrong("zeros found", &["sign lost"])),
            case("LOAD-004::a", "fetch", wrong("transposed", &[])),
        ];
        let found = titles(cases.clone());
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], ("BF16, sign lost: stored 0xbf80, found 0xbfd8c000".to_owned(), 3, 3));
        // Alone, the most telling one is told.
        let found = titles(cases[..1].to_vec());
        assert!(found[0].0.starts_with("BF16, one bit changed"), "{found:?}");
    }

    #[test]
    fn element_types_codes_and_verdicts_keep_causes_apart() {
        let wrong = |values| check("bytes", "widened", "others").with(values);
        let mut other = values(None, "w", "0x1");
        if let Some(values) = &mut other {
            values.dtype = "F16".to_owned();
        }
        let mut lost = sample::because("ERR-002::t", Verdict::Timeout, "no answer in 30000 ms");
        lost.steps = case("ERR-002::t", "load x", check("a", "b", "c")).steps;
        lost.steps[0].checks.clear();
        let mut crash = lost.clone();
        (crash.id, crash.verdict) = ("ERR-001::t".to_owned(), Verdict::Crash);
        let found = titles(vec![
            case("LOAD-001::a", "fetch", wrong(values(None, "w", "0x1"))),
            case("LOAD-002::a", "fetch", wrong(other)),
            case("LOAD-003::a", "fetch", wrong(values(Some("transposed"), "w", "0x1"))),
            case("LOAD-003::b", "fetch", wrong(values(Some("sign lost"), "w", "0x1"))),
            lost,
            crash,
        ]);
        assert_eq!(found.len(), 6, "{found:?}");
        assert!(
            found.iter().any(|one| one.0.starts_with("timeout in load: no answer")),
            "{found:?}"
        );
    }
}
