//! What a case has left loaded: unloaded at its end, and counted behind a refusal.

use super::{CaseEnd, CaseRun};
use crate::contract::reply::Reply;
use crate::contract::request::{Request, Stat, Unload};
use crate::harness::record::{Basis, Check};

impl CaseRun<'_> {
    /// Unloads what the case has left loaded, so that it does not affect the next one.
    ///
    /// # Errors
    /// [`CaseEnd::Broken`] if no valid answer came.
    pub fn unload_rest(&mut self) -> Result<(), CaseEnd> {
        let mut handles = std::mem::take(&mut self.replaced);
        handles.extend(self.loaded.values().map(|model| model.handle));
        self.loaded.clear();
        for handle in handles {
            // A refusal here is ignored: other cases test unloading, and this case is already
            // decided.
            let _refused = self.ask(Request::Unload(Unload { handle }), 0)?;
        }
        Ok(())
    }

    /// Asks what is held, and checks that it is exactly the models of this case.
    ///
    /// # Errors
    /// [`CaseEnd::Failed`] where more or fewer are held.
    pub fn check_nothing_left(&mut self) -> Result<(), CaseEnd> {
        let held = match self.ask(Request::Stat(Stat {}), 0)? {
            Ok(Reply::Stat(held)) => held.models,
            Ok(other) => return Err(CaseEnd::Fault(format!("a {} reply to stat", other.verb()))),
            Err(failure) => return Err(self.unexpected("still answering", &failure)),
        };
        let expected = (self.loaded.len() + self.replaced.len()) as u64;
        self.check(Check::equal("models held afterwards", expected, held, Basis::Declared))
    }
}
