//! The suite's test of itself: it runs against mutants, which are loaders with one fault each, and
//! must refute every one.
//!
//! A mutant is killed by a case that refutes it. The kill counts only if the reference loader
//! passes the same case; of a case that has no object there, if another honest loader does. The
//! audit fails if no case kills a mutant, or if a case names a mutant that it does not kill.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::record::{NOT_TRIED, Record, Verdict};

/// The suite's results for one mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Name of the mutant.
    pub mutant: String,
    /// The mutant's fault, in one sentence.
    pub lie: String,
    /// Cases that refuted it and that the reference loader passes, with their verdicts.
    pub killed_by: BTreeMap<String, Verdict>,
    /// Cases that name the mutant and were tried, but did not kill it.
    pub missed_by: BTreeSet<String>,
    /// Why the mutant was not run; `None` if it was run.
    pub not_run: Option<String>,
}

impl Row {
    /// The result in one line: not run, survived, or killed by which cases.
    pub fn fate(&self) -> String {
        let killers: Vec<&str> = self.killed_by.keys().map(String::as_str).collect();
        match (&self.not_run, killers.split_first()) {
            (Some(why), _) => format!("not run: {why}"),
            (None, None) => "SURVIVED".to_owned(),
            (None, Some((first, rest))) => {
                let requirements: BTreeSet<&str> =
                    killers.iter().filter_map(|id| id.split("::").next()).collect();
                let rest = match rest.len() {
                    0 => String::new(),
                    1 => " and 1 more case".to_owned(),
                    more => format!(" and {more} more cases"),
                };
                let requirements: Vec<&str> = requirements.into_iter().collect();
                format!("killed by {first}{rest} [{}]", requirements.join(" "))
            }
        }
    }
}

/// The kill matrix: the results of every mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matrix {
    /// Cases that the reference loader passes.
    pub baseline: BTreeSet<String>,
    /// Cases that were tried with the reference loader and that it does not pass. Kills by them do
    /// not count, and the audit fails.
    pub baseline_broken: BTreeMap<String, Verdict>,
    /// One row for each mutant.
    pub rows: Vec<Row>,
}

impl Matrix {
    /// A matrix without mutants, from the reference loader's record.
    pub fn new(honest: &Record) -> Self {
        let mut matrix = Matrix {
            baseline: BTreeSet::new(),
            baseline_broken: BTreeMap::new(),
            rows: Vec::new(),
        };
        for case in &honest.cases {
            match case.verdict {
                Verdict::Pass => {
                    matrix.baseline.insert(case.id.clone());
                }
                verdict if verdict.refutes() || verdict == Verdict::Error => {
                    matrix.baseline_broken.insert(case.id.clone(), verdict);
                }
                _ => {}
            }
        }
        matrix
    }

    /// Cases that have no object at the reference loader.
    pub fn without_object(honest: &Record) -> BTreeSet<String> {
        let beside = honest.cases.iter().filter(|case| case.has_no_object());
        beside.map(|case| case.id.clone()).collect()
    }

    /// Adds the result of the run of a mutant, given by its name and its lie. A late answer refutes only a
    /// mutant that is `silent`, whose lie is to give none. A case that names the mutant and was not
    /// tried, because the run had given up on it, has missed it.
    pub fn add(
        &mut self,
        (mutant, lie): (&str, &str),
        silent: bool,
        cases: &[Case],
        record: &Record,
    ) {
        let refutes =
            |verdict: Verdict| verdict.refutes() && (silent || verdict != Verdict::Timeout);
        let killed_by: BTreeMap<String, Verdict> = record
            .cases
            .iter()
            .filter(|case| refutes(case.verdict) && self.baseline.contains(&case.id))
            .map(|case| (case.id.clone(), case.verdict))
            .collect();
        let tried: BTreeSet<&str> = record
            .cases
            .iter()
            .filter(|case| {
                let given_up =
                    || case.reason.as_ref().is_some_and(|why| why.starts_with(NOT_TRIED));
                match case.verdict {
                    Verdict::Pass => true,
                    // A mutant that hangs is given up after three times, as it should be.
                    Verdict::Untested => !silent && given_up(),
                    verdict => verdict.refutes(),
                }
            })
            .map(|case| case.id.as_str())
            .collect();
        let missed_by = cases
            .iter()
            .filter(|case| case.kills.contains(mutant))
            .map(Case::id)
            .filter(|id| tried.contains(id.as_str()) && !killed_by.contains_key(id))
            .collect();
        self.rows.push(Row {
            mutant: mutant.to_owned(),
            lie: lie.to_owned(),
            killed_by,
            missed_by,
            not_run: None,
        });
    }

    /// Adds a mutant that cannot be run on this machine.
    pub fn leave_out(&mut self, mutant: &str, lie: &str, why: &str) {
        self.rows.push(Row {
            mutant: mutant.to_owned(),
            lie: lie.to_owned(),
            killed_by: BTreeMap::new(),
            missed_by: BTreeSet::new(),
            not_run: Some(why.to_owned()),
        });
    }

    /// Adds the matrix of another run of the same suite. If the reference loader does not pass a
    /// case in one of the runs, kills by that case count in none. A mutant that ran in both keeps
    /// the kills and the misses of both.
    pub fn join(&mut self, other: Matrix) {
        self.baseline.extend(other.baseline);
        self.baseline_broken.extend(other.baseline_broken);
        for row in other.rows {
            match self.rows.iter_mut().find(|known| known.mutant == row.mutant) {
                None => self.rows.push(row),
                Some(known) if known.not_run.is_some() => *known = row,
                Some(_) if row.not_run.is_some() => {}
                Some(known) => {
                    known.killed_by.extend(row.killed_by);
                    known.missed_by.extend(row.missed_by);
                }
            }
        }
        self.baseline.retain(|case| !self.baseline_broken.contains_key(case));
        for row in &mut self.rows {
            row.killed_by.retain(|case, _| !self.baseline_broken.contains_key(case));
        }
    }

    /// Mutants that ran and that no case killed.
    pub fn survivors(&self) -> Vec<&str> {
        self.rows
            .iter()
            .filter(|row| row.not_run.is_none() && row.killed_by.is_empty())
            .map(|row| row.mutant.as_str())
            .collect()
    }

    /// Baseline cases that killed no mutant and give no reason for it. A case is not counted if
    /// none of the mutants that it names could be run on this machine.
    pub fn idle_cases(&self, cases: &[Case]) -> Vec<String> {
        cases
            .iter()
            .filter(|case| case.kills_none_because.is_none() && !self.all_elsewhere(case))
            .map(Case::id)
            .filter(|id| {
                self.baseline.contains(id)
                    && !self.rows.iter().any(|row| row.killed_by.contains_key(id))
            })
            .collect()
    }

    fn all_elsewhere(&self, case: &Case) -> bool {
        let left_out = |name: &String| {
            self.rows.iter().any(|row| row.mutant == *name && row.not_run.is_some())
        };
        !case.kills.is_empty() && case.kills.iter().all(left_out)
    }

    /// Whether the audit passes: the reference loader passes every case that was tried, no mutant
    /// survives, and no case names a mutant that it does not kill.
    pub fn holds(&self) -> bool {
        self.baseline_broken.is_empty()
            && !self.baseline.is_empty()
            && self.survivors().is_empty()
            && self.rows.iter().all(|row| row.missed_by.is_empty())
    }

    /// How many mutants ran, how many were killed, and which survived.
    pub fn summary(&self) -> String {
        let ran = self.rows.iter().filter(|row| row.not_run.is_none()).count();
        let survivors = self.survivors();
        let named = if survivors.is_empty() {
            String::new()
        } else {
            format!(": {}", survivors.join(", "))
        };
        format!(
            "{ran} of {} mutants run, {} killed, {} survived{named}",
            self.rows.len(),
            ran - survivors.len(),
            survivors.len()
        )
    }

    /// The matrix as text: a line for each mutant, with the cases that missed it, then the cases
    /// that the reference loader does not pass.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let width = self.rows.iter().map(|row| row.mutant.len()).max().unwrap_or(0);
        for row in &self.rows {
            text.push_str(&format!("{:width$}  {}\n", row.mutant, row.fate()));
            for case in &row.missed_by {
                let line = format!("{:width$}  MISSED by {case}, which says it kills it\n", "");
                text.push_str(&line);
            }
        }
        for (case, verdict) in &self.baseline_broken {
            let verdict = verdict.name();
            text.push_str(&format!("the honest loader does not pass {case}: {verdict}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(mutant: &str, killers: &[&str], missed: &[&str], not_run: Option<&str>) -> Row {
        Row {
            mutant: mutant.to_owned(),
            lie: "lies".to_owned(),
            killed_by: killers.iter().map(|case| ((*case).to_owned(), Verdict::Fail)).collect(),
            missed_by: missed.iter().map(|case| (*case).to_owned()).collect(),
            not_run: not_run.map(str::to_owned),
        }
    }

    fn matrix(passes: &[&str], fails: &[&str], rows: Vec<Row>) -> Matrix {
        Matrix {
            baseline: passes.iter().map(|case| (*case).to_owned()).collect(),
            baseline_broken: fails.iter().map(|case| ((*case).to_owned(), Verdict::Fail)).collect(),
            rows,
        }
    }

    #[test]
    fn a_late_answer_refutes_only_who_gives_none_and_what_was_given_up_is_missed() {
        use crate::harness::record::sample::{because, clean};
        let case = |name: &str| -> Case {
            let text = format!(
                "{{requirement: R, name: {name}, tries: t, files: {{main: {{tensors: []}}}}, steps: [], \
                 kills: [m]}}"
            );
            serde_yaml::from_str(&text).unwrap()
        };
        let cases = ["refuted", "late", "left", "other"].map(case);
        let given_up = "not tried: the loader did not answer in time 3 times";
        let record = Record {
            cases: vec![
                because("R::refuted", Verdict::Fail, "a check"),
                because("R::late", Verdict::Timeout, "no answer"),
                because("R::left", Verdict::Untested, given_up),
                because("R::other", Verdict::Untested, "this machine has no such thing"),
            ],
            ..clean()
        };
        let passes = ["R::refuted", "R::late", "R::left", "R::other"];
        let told = |silent: bool| {
            let mut matrix = matrix(&passes, &[], Vec::new());
            matrix.add(("m", "lies"), silent, &cases, &record);
            let row = matrix.rows.remove(0);
            (row.killed_by.into_keys().collect::<Vec<_>>(), row.missed_by)
        };
        let (killed, missed) = told(false);
        assert_eq!(killed, ["R::refuted"]);
        assert_eq!(missed.into_iter().collect::<Vec<_>>(), ["R::late", "R::left"]);
        let (killed, missed) = told(true);
        assert_eq!(killed, ["R::late", "R::refuted"]);
        assert!(missed.is_empty());
    }

    #[test]
    fn joined_runs_say_all_that_each_said() {
        let elsewhere = Some("its lie is about GPU memory");
        let mut host =
            matrix(&["A"], &[], vec![row("a", &["A"], &[], None), row("g", &[], &[], elsewhere)]);
        let card = matrix(&["G"], &[], vec![row("g", &["G"], &["H"], None)]);
        host.join(card.clone());
        assert_eq!(host.rows, [row("a", &["A"], &[], None), row("g", &["G"], &["H"], None)]);
        assert!(!host.holds(), "a claim that is missed in one run is missed");
        let mut other_way = card;
        other_way.join(matrix(&["A"], &[], vec![row("g", &[], &[], elsewhere)]));
        assert_eq!(other_way.rows, [row("g", &["G"], &["H"], None)]);
    }

    #[test]
    fn a_mutant_of_two_runs_keeps_the_kills_and_the_misses_of_both() {
        let mut joined = matrix(&["A", "B"], &[], vec![row("a", &["A"], &["C"], None)]);
        joined.join(matrix(&["B"], &[], vec![row("a", &["B"], &["D"], None)]));
        assert_eq!(joined.rows, [row("a", &["A", "B"], &["C", "D"], None)]);
    }

    #[test]
    fn a_kill_by_a_case_that_fails_the_honest_loader_in_any_run_is_none() {
        let mut joined = matrix(&["A"], &[], vec![row("a", &["A"], &[], None)]);
        joined.join(matrix(&[], &["A"], Vec::new()));
        assert_eq!(joined.survivors(), ["a"]);
        assert!(joined.baseline.is_empty() && !joined.holds());
    }
}
