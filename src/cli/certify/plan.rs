//! Plans and parts of `certify`: freezing a plan, running one part of it, and running cases of an earlier
//! report again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::again::Again;
use super::scope::Scope;
use crate::cli::fault::{Fault, print};
use crate::cli::weighing::{Embedded, Weighing, with_ending};
use crate::cli::{CommandError, exit, seed};
use crate::harness::record::merge::Difference;
use crate::harness::record::plan::FrozenPlan;
use crate::harness::record::{Record, Verdict};
use crate::harness::run::suite_run::freeze::{freeze, restrict};
use crate::harness::run::suite_run::shard::Shard;
use crate::harness::run::{Run, Selection};

/// Which cases of which plan.
#[derive(Debug, Args)]
pub struct Parting {
    /// Run nothing: freeze the plan of this command line (cases, seed, digests of suite and loader) and
    /// write it to PREFIX.plan.json.
    #[arg(long, conflicts_with_all = ["plan", "shard", "fail_fast"])]
    plan_only: bool,
    /// Run a frozen plan. It is refused if this program, its suite, the loader, the profile or the kind of
    /// device differs.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["section", "case", "seed", "costs", "failed_from", "untested_from"])]
    plan: Option<PathBuf>,
    /// Run one part of the plan, such as `2/4`; without `--plan`, of the plan of this command line, which
    /// then needs `--seed`. `weighbridge merge` makes the certificate from all parts.
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
    /// Balance the parts by the times of this report. A case without a time goes where the hash of its id
    /// says.
    #[arg(long, value_name = "REPORT")]
    costs: Option<PathBuf>,
    /// Only cases that failed in this report (or ended in an error, crash or timeout), with its seed.
    #[arg(long, value_name = "REPORT")]
    failed_from: Option<PathBuf>,
    /// Only cases that were untested in this report, with its seed.
    #[arg(long, value_name = "REPORT")]
    untested_from: Option<PathBuf>,
    /// Stop after the first refutation: the rest is untested.
    #[arg(long)]
    fail_fast: bool,
}

/// What a run is to try.
pub(super) struct Wanted {
    /// The cases.
    pub(super) selection: Selection,
    /// The seed, where it is given.
    pub(super) seed: Option<u64>,
    plan: Option<FrozenPlan>,
    again: Option<Again>,
    costs: BTreeMap<String, u64>,
}

impl Parting {
    /// Reads the files that the options name.
    ///
    /// # Errors
    /// A file that cannot be read, options that do not go together, or nothing to try.
    pub(super) fn wanted(
        &self,
        weighing: &Weighing,
        embedded: &Embedded,
        scope: &Scope<'_>,
    ) -> Result<Wanted, CommandError> {
        if let Some(path) = &self.plan {
            return self.frozen(path, embedded, scope);
        }
        let mut selection = weighing.selection(embedded)?;
        let (failed, untested) = (self.failed_from.as_deref(), self.untested_from.as_deref());
        let again = Again::read(failed, untested, scope, embedded)?;
        let mut seed = weighing.seed;
        if let Some(again) = &again {
            again.tell_of_strangers(embedded.cases.cases());
            selection.among = Some(again.ids.clone());
            selection.typed.extend(again.typed.iter().cloned());
            seed = match seed {
                Some(seed) => Some(seed),
                None => again.seed()?,
            };
        }
        if self.shard.is_some() && seed.is_none() {
            return Err(CommandError::usage(
                "--shard without --plan: expected --seed, because all parts need one seed, found none\n  \
                 remedy: give every part the same --seed, or freeze a plan with --plan-only and give it with \
                 --plan",
            ));
        }
        if self.costs.is_some() && self.shard.is_none() && !self.plan_only {
            return Err(CommandError::usage(
                "--costs: expected a plan to balance, found neither --shard nor --plan-only\n  remedy: add \
                 one of them",
            ));
        }
        let costs = self.costs.as_deref().map(costs).transpose()?.unwrap_or_default();
        Ok(Wanted { selection, seed, plan: None, again, costs })
    }

    fn frozen(
        &self,
        path: &Path,
        embedded: &Embedded,
        scope: &Scope<'_>,
    ) -> Result<Wanted, CommandError> {
        let plan = FrozenPlan::read(path).map_err(CommandError::usage)?;
        let profile = &plan.subject.profile;
        if profile != scope.name() {
            return Err(CommandError::usage(format!(
                "--plan: {} is a plan of {profile}, and this run is of {}\n  remedy: {}",
                path.display(),
                scope.name(),
                Scope::named(profile, embedded)?.remedy()
            )));
        }
        let seed = seed::parse(&plan.seed).map_err(CommandError::usage)?;
        let selection = Selection {
            among: Some(plan.cases.iter().map(|case| case.id.clone()).collect()),
            ..Selection::default()
        };
        let (seed, plan) = (Some(seed), Some(plan));
        Ok(Wanted { selection, seed, plan, again: None, costs: BTreeMap::new() })
    }

    /// Freezes the run's plan, restricts the run to its part, or writes the plan and ends: then the exit code
    /// is returned.
    ///
    /// # Errors
    /// A plan that does not fit this run, a part without a case, or a file that cannot be read or written.
    pub(super) fn apply(
        &self,
        wanted: &Wanted,
        run: &mut Run<'_>,
        out: Option<&Path>,
        as_json: bool,
    ) -> Result<Option<u8>, CommandError> {
        run.plan.fail_fast = self.fail_fast;
        if let Some(again) = &wanted.again {
            again.same_loader(&run.record.subject.loader)?;
        }
        if !self.plan_only && self.shard.is_none() && wanted.plan.is_none() {
            return Ok(None);
        }
        let here = freeze(run, &wanted.costs).map_err(CommandError::harness)?;
        if self.plan_only {
            let prefix = out.map_or_else(|| by_default(&here), Path::to_path_buf);
            return written(&here, &prefix, as_json).map(Some);
        }
        let plan = match &wanted.plan {
            None => &here,
            Some(plan) => {
                fits(plan, &here)?;
                plan
            }
        };
        let shard = self.shard.unwrap_or(Shard::WHOLE);
        if restrict(run, plan, shard) > 0 {
            return Ok(None);
        }
        let besides = plan.cases.iter().filter(|case| !case.canary).count();
        Err(CommandError::new(
            exit::NOTHING_SELECTED,
            format!(
                "nothing selected: part {shard} has no case of its own; the plan has {besides} besides its \
                 canaries\n  remedy: divide it into fewer parts, or balance it with --costs"
            ),
        ))
    }
}

/// The time of each case that was tried, in microseconds.
fn costs(path: &Path) -> Result<BTreeMap<String, u64>, CommandError> {
    let record = Record::read(path).map_err(Fault::from)?;
    let tried = record.cases.into_iter().filter(|case| case.verdict != Verdict::Untested);
    Ok(tried.filter(|case| case.elapsed_us > 0).map(|case| (case.id, case.elapsed_us)).collect())
}

/// Whether a plan may run here.
fn fits(plan: &FrozenPlan, here: &FrozenPlan) -> Result<(), CommandError> {
    let different = plan.differences(here);
    if !different.is_empty() {
        let one =
            |it: &Difference| format!("{}: expected {}, found {}", it.field, it.left, it.right);
        let list: Vec<String> = different.iter().map(one).collect();
        return Err(CommandError::usage(format!(
            "the plan was made for something else\n  {}\n  remedy: run it with the same program, loader and \
             kind of device, or make another with --plan-only",
            list.join("\n  ")
        )));
    }
    let ids = |plan: &FrozenPlan| -> Vec<String> {
        plan.cases.iter().map(|case| case.id.clone()).collect()
    };
    if ids(plan) != ids(here) {
        return Err(CommandError::usage(format!(
            "the plan's cases are not the profile's: expected {}, found {} of them in their order\n  remedy: \
             make the plan again with --plan-only",
            plan.cases.len(),
            here.cases.len()
        )));
    }
    Ok(())
}

/// Where a plan goes if no place is named.
fn by_default(plan: &FrozenPlan) -> PathBuf {
    PathBuf::from(format!("target/weighbridge/{}-{}", plan.subject.profile, plan.device))
}

fn written(plan: &FrozenPlan, prefix: &Path, as_json: bool) -> Result<u8, CommandError> {
    let path = with_ending(prefix, "plan.json");
    plan.write(&path).map_err(Fault::from)?;
    let text = if as_json {
        plan.to_json().map_err(Fault::from)?
    } else {
        let (all, known) =
            (plan.cases.len(), plan.cases.iter().filter(|case| case.cost_us.is_some()));
        let canaries = plan.cases.iter().filter(|case| case.canary).count();
        format!(
            "plan {}: {all} cases, {canaries} of them canaries, {} with a known cost, seed {}\nwrote {}\n",
            plan.digest,
            known.count(),
            plan.seed,
            path.display()
        )
    };
    print(&mut std::io::stdout(), &text)?;
    Ok(exit::CORROBORATED)
}
