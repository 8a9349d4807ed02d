//! When a loader process goes on after a case that failed.

use super::*;
use crate::contract::reply::{Done, Holdings, Loaded};
use crate::contract::request::{Hello, Load, Unload};
use crate::contract::{Capability, Class, Code, Device, Failure, Loader, PROTOCOL, Phase};
use crate::harness::run::trial;

/// Refuses every file, and says that it holds so many models; `None` refuses to say.
struct Refuser(Option<u64>);

fn refused(what: &str) -> Failure {
    Failure::new(Class::Refused, Phase::Open, Code::NotFound, what)
}

impl Loader for Refuser {
    fn hello(&mut self, request: Hello) -> Result<Introduction, Failure> {
        Ok(Introduction {
            protocol: PROTOCOL,
            nonce: request.nonce,
            name: "refuser".to_owned(),
            version: "1".to_owned(),
            capabilities: capability::declare(&Capability::ALL, |_| "served"),
        })
    }

    fn load(&mut self, _request: Load) -> Result<Loaded, Failure> {
        Err(refused("no file"))
    }

    fn stat(&mut self, _request: Stat) -> Result<Holdings, Failure> {
        let models = self.0.ok_or_else(|| refused("no answer"))?;
        Ok(Holdings { models, host_bytes: 0, device_bytes: 0 })
    }

    fn unload(&mut self, _request: Unload) -> Result<Done, Failure> {
        Ok(Done {})
    }
}

/// Makes a loader.
type Make = fn() -> Box<dyn Loader + Send>;

/// Loaders that hold nothing, that hold a model, and that do not say.
const LOADERS: [(Make, bool); 3] = [
    (|| Box::new(Refuser(Some(0))), true),
    (|| Box::new(Refuser(Some(1))), false),
    (|| Box::new(Refuser(None)), false),
];

#[test]
fn a_session_is_empty_if_it_says_that_it_holds_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    for (make, empty) in LOADERS {
        let setting = trial::setting(scratch.path(), Device::Cpu, make);
        let Ok(mut session) = Session::start(&setting, Needs::default()) else {
            panic!("no session")
        };
        assert_eq!(session.is_empty(), empty);
    }
}

#[test]
fn only_an_audit_keeps_a_process_and_only_an_empty_one() {
    let scratch = tempfile::tempdir().unwrap();
    let case = trial::case(
        "{main: {tensors: [{name: w, dtype: F32, shape: [2]}]}}",
        "{}",
        "[{load: {expect: {loaded: []}}}]",
    );
    for keeps in [false, true] {
        for (make, empty) in LOADERS {
            let mut setting = trial::setting(scratch.path(), Device::Cpu, make);
            setting.keeps_process = keeps;
            let (context, tally) = (RunContext::new(setting), Tally::default());
            let mut worker = Worker::new(&context, &tally);
            for _ in 0..3 {
                let record = worker.try_case(&case);
                assert_eq!(record.verdict, Verdict::Fail, "{:?}", record.reason);
            }
            let started = if keeps && empty { 1 } else { 3 };
            assert_eq!(tally.processes.load(Ordering::Relaxed), started, "{keeps} {empty}");
        }
    }
}
