//! A setting and a case for the tests of this folder.

use std::path::Path;
use std::time::Duration;

use crate::contract::{Device, Loader};
use crate::harness::case::Case;
use crate::harness::cell::{Found as Isolation, Views};
use crate::harness::manifest::Manifest;
use crate::harness::run::case_run::card::CardCheck;
use crate::harness::run::case_run::room::Ledger;
use crate::harness::run::case_run::setting::{Reach, Setting};
use crate::harness::run::case_run::shared_models::SharedModels;

/// A run of one worker on a loader in this process.
pub(super) fn setting(
    scratch: &Path,
    device: Device,
    make: fn() -> Box<dyn Loader + Send>,
) -> Setting {
    let exe = std::env::current_exe().unwrap();
    Setting {
        manifest: Manifest::own(&exe, "trial").unwrap(),
        profile: "host".to_owned(),
        asked: "--profile host".to_owned(),
        device,
        seed: 1,
        salt: None,
        scratch: scratch.to_owned(),
        shared_models: SharedModels::default(),
        ledger: Ledger::default(),
        checkpoint: None,
        gguf_runtime: None,
        jobs: 1,
        patience: Duration::from_secs(60),
        waiting: None,
        transcript: None,
        reach: Reach::InProcess(make),
        keeps_process: false,
        card: CardCheck::Skip,
        isolation: Isolation::default(),
        secret: Views::default(),
    }
}

/// A case by its text.
pub(super) fn case(files: &str, models: &str, steps: &str) -> Case {
    let text = format!(
        "requirement: OWN-1\nname: trial\ntries: Something.\nfiles: {files}\nmodels: {models}\nsteps: {steps}\n"
    );
    serde_yaml::from_str(&text).unwrap()
}
