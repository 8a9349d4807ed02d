//! What a run weighs: the requirements of a profile, one class, or everything that the loader declares.

use std::collections::BTreeSet;

use crate::cli::weighing::{Embedded, Weighing};
use crate::cli::{CommandError, exit, lookup};
use crate::contract::{Capability, Device};
use crate::harness::record::class::{Claims, DECLARED};
use crate::harness::run::Run;
use crate::harness::run::suite_run::meet;
use crate::harness::spec::{Class, Place, Profile, Rule, Spec};

/// What a run weighs.
#[derive(Clone, Copy)]
pub(super) enum Scope<'e> {
    /// The requirements of a profile.
    Profile(&'e Profile),
    /// One class.
    Class(&'e Class),
    /// Everything that the loader declares.
    Declared,
}

impl<'e> Scope<'e> {
    /// What the options ask for. Without any, the bundled loader is weighed whole, and another one by what
    /// it declares.
    ///
    /// # Errors
    /// An unknown class or profile.
    pub(super) fn of(
        weighing: &Weighing,
        class: Option<&str>,
        embedded: &'e Embedded,
    ) -> Result<Self, CommandError> {
        match (class, &weighing.profile, &weighing.loader) {
            (Some(name), _, _) => Ok(Scope::Class(lookup::class(name, &embedded.spec)?)),
            (None, None, Some(_)) => Ok(Scope::Declared),
            (None, _, _) => Ok(Scope::Profile(embedded.profile(weighing.profile())?)),
        }
    }

    /// What a record's subject names.
    ///
    /// # Errors
    /// Nothing has that name.
    pub(super) fn named(name: &str, embedded: &'e Embedded) -> Result<Self, CommandError> {
        match embedded.spec.class(name) {
            Some(class) => Ok(Scope::Class(class)),
            None if name == DECLARED => Ok(Scope::Declared),
            None => Ok(Scope::Profile(embedded.profile(name)?)),
        }
    }

    /// Its name in a record's subject.
    pub(super) fn name(&self) -> &'e str {
        match self {
            Scope::Profile(profile) => &profile.name,
            Scope::Class(class) => &class.name,
            Scope::Declared => DECLARED,
        }
    }

    /// The option that asks for it; empty for what the loader declares.
    pub(super) fn option(&self) -> String {
        match self {
            Scope::Profile(profile) => format!("--profile {}", profile.name),
            Scope::Class(class) => format!("--class {}", class.name),
            Scope::Declared => String::new(),
        }
    }

    /// What to do so that a run weighs this.
    pub(super) fn remedy(&self) -> String {
        match self {
            Scope::Declared => "leave out --profile and --class".to_owned(),
            _ => format!("add {}", self.option()),
        }
    }

    /// The arguments with a device: the one that is named, or the one that this scope is about. Where a
    /// scope is about any, the loader decides: a GPU if it declares one.
    ///
    /// # Errors
    /// The class is not weighed on the device, or the loader cannot be asked.
    pub(super) fn on_device(
        &self,
        weighing: Weighing,
        spec: &Spec,
    ) -> Result<Weighing, CommandError> {
        let places = match self {
            Scope::Profile(_) => return Ok(weighing),
            Scope::Class(class) => (class.host.is_some(), class.gpu.is_some()),
            Scope::Declared => (true, true),
        };
        let device = match (weighing.device, places) {
            (Some(device), (host, gpu)) => {
                if (device.is_gpu() && !gpu) || (!device.is_gpu() && !host) {
                    let (name, place) =
                        (self.name(), if gpu { "on a GPU" } else { "in host memory" });
                    return Err(CommandError::usage(format!(
                        "--class {name} with --device {device}: expected a device of the class, which is \
                         weighed {place} alone, found {device}\n  remedy: leave out --device"
                    )));
                }
                device
            }
            (None, (true, false)) => Device::Cpu,
            (None, (false, _)) => Device::Cuda(0),
            (None, (true, true)) if declares_a_gpu(&weighing, self, spec)? => Device::Cuda(0),
            (None, (true, true)) => Device::Cpu,
        };
        Ok(Weighing { device: Some(device), ..weighing })
    }

    /// The profile that the run is planned with: for a class or for what the loader declares, all
    /// requirements, from which [`Scope::narrow`] takes those that it has.
    pub(super) fn profile(&self, device: Option<Device>, spec: &Spec) -> Profile {
        match self {
            Scope::Profile(profile) => (*profile).clone(),
            Scope::Class(_) | Scope::Declared => Profile {
                name: self.name().to_owned(),
                summary: String::new(),
                gpu_certificate: device.is_some_and(Device::is_gpu),
                rule: Rule::Everything,
                requirements: spec.requirements().iter().map(|row| row.id.clone()).collect(),
                at: Place::default(),
            },
        }
    }

    /// Leaves only the cases that the class has for this loader, or those that rely on what it declares.
    ///
    /// # Errors
    /// The loader does not declare the core of the class.
    pub(super) fn narrow(&self, run: &mut Run<'_>) -> Result<(), CommandError> {
        let setting = &run.context.setting;
        let gpu = setting.device.is_gpu();
        let (Some(table), Some(part)) = (&run.record.classes, run.record.parts.first()) else {
            return Ok(());
        };
        let yes = part.capabilities.iter().filter(|(_, word)| *word == "yes");
        let claims = Claims { declared: yes.map(|(name, _)| name.as_str()).collect(), gpu };
        let wanted: BTreeSet<String> = match self {
            Scope::Profile(_) => return Ok(()),
            Scope::Class(class) => {
                let Some(row) = table.class(&class.name) else { return Ok(()) };
                let lacks = claims.lacks(row, gpu).unwrap_or_default();
                if !lacks.is_empty() {
                    return Err(not_claimed(&class.name, &lacks));
                }
                claims.scope(table, row).all().into_iter().map(str::to_owned).collect()
            }
            Scope::Declared => {
                let written = &setting.manifest.written;
                let named = [
                    (written.toolchain.is_some(), "toolchain"),
                    (written.cli.is_some(), "program"),
                ];
                let named: Vec<&str> =
                    named.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
                claims.declared(table, &named).into_iter().map(str::to_owned).collect()
            }
        };
        run.plan.scheduled.retain(|case| wanted.contains(&case.id()));
        for rows in [&mut run.plan.requirements, &mut run.record.requirements] {
            for row in rows {
                row.cases.retain(|id| wanted.contains(id));
                row.in_profile &= !row.cases.is_empty();
            }
        }
        Ok(())
    }
}

/// Whether the loader says that it loads onto a GPU.
fn declares_a_gpu(
    weighing: &Weighing,
    scope: &Scope<'_>,
    spec: &Spec,
) -> Result<bool, CommandError> {
    let asking = Weighing { device: Some(Device::Cpu), ..weighing.clone() };
    let (setting, _scratch) = asking.setting(&scope.profile(asking.device, spec))?;
    let introduction = meet(&setting).map_err(|broken| {
        CommandError::harness(format!("the loader cannot be tested: {broken}"))
    })?;
    let support = introduction.capabilities.get(&Capability::DeviceCuda);
    Ok(support.is_some_and(|support| support.supported))
}

fn not_claimed(class: &str, lacks: &[String]) -> CommandError {
    CommandError::new(
        exit::NOTHING_SELECTED,
        format!(
            "nothing selected: class {class} is not claimed: expected a loader that declares {}\n  remedy: \
             declare it in the hello, or name another class; `weighbridge list --classes` shows what each \
             needs",
            lacks.join(", ")
        ),
    )
}
