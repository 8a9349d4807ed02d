//! A layer between the judge and the honest loader, for mutants that change whole answers.

use crate::contract::reply::{Done, Holdings, Introduction, Loaded, Reply};
use crate::contract::request::{Hello, Load, Request, Stat, Unload};
use crate::contract::{Failure, Loader};
use crate::loader::{LoadDecisions, ReferenceLoader};

/// A reply or a failure.
pub type Answer = Result<Reply, Failure>;

/// Handles every request; it may forward the request to `loader` and change the reply.
pub trait Between: Send {
    /// Answers one request.
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer;
}

struct Placed<B>(B, ReferenceLoader);

/// Wraps the reference loader in `lie`.
pub fn between(lie: impl Between + 'static) -> Box<dyn Loader + Send> {
    Box::new(Placed(lie, ReferenceLoader::new()))
}

/// The same, the loader's decisions made by `decisions`.
pub fn between_with(
    lie: impl Between + 'static,
    decisions: impl LoadDecisions + 'static,
) -> Box<dyn Loader + Send> {
    Box::new(Placed(lie, ReferenceLoader::with_decisions(Box::new(decisions))))
}

impl<B: Between> Loader for Placed<B> {
    fn answer(&mut self, request: Request) -> Answer {
        self.0.answer(&mut self.1, request)
    }

    // Every request arrives through `answer`. The methods below only satisfy the trait.
    fn hello(&mut self, request: Hello) -> Result<Introduction, Failure> {
        self.1.hello(request)
    }

    fn load(&mut self, request: Load) -> Result<Loaded, Failure> {
        self.1.load(request)
    }

    fn stat(&mut self, request: Stat) -> Result<Holdings, Failure> {
        self.1.stat(request)
    }

    fn unload(&mut self, request: Unload) -> Result<Done, Failure> {
        self.1.unload(request)
    }
}

/// Returns the model handle of a request; `None` if the verb has no handle.
pub fn handle(request: &mut Request) -> Option<&mut u64> {
    Some(match request {
        Request::Read(request) => &mut request.handle,
        Request::Export(request) => &mut request.handle,
        Request::Unload(request) => &mut request.handle,
        Request::Multiply(request) => &mut request.handle,
        Request::Forward(request) => &mut request.handle,
        Request::Validate(request) => &mut request.handle,
        Request::Generate(request) => &mut request.handle,
        Request::Hello(_)
        | Request::Device(_)
        | Request::Load(_)
        | Request::Stat(_)
        | Request::Synchronize(_)
        | Request::Stream(_)
        | Request::Bye(_) => return None,
    })
}

#[cfg(test)]
mod tests;
