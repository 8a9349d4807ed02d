//! The start of a process of the loader: as a case lets it see the machine, and until it has said hello.

use std::path::Path;

use super::setting::Setting;
use super::view;
use crate::contract::reply::Introduction;
use crate::harness::case::Environment;
use crate::harness::client::{self, Broken, Client, GOODBYE, Spawn};

/// A loader process that could not be used.
pub struct Unusable {
    /// Why.
    pub broken: Broken,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Setting {
    /// How to start the loader for a case that lets it see these cards.
    ///
    /// # Errors
    /// If a folder cannot be made, or the cards cannot be named.
    pub fn spawn_in(&self, environment: Environment) -> Result<Spawn, String> {
        let mut spawn = self.spawn(&self.manifest).map_err(|error| error.to_string())?;
        spawn.gpus = view::gpus(environment)?;
        Ok(spawn)
    }

    /// Sends `hello` to a process with this folder. One that does not answer it as it should ends.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn greet(
        &self,
        mut client: Box<dyn Client>,
        scratch: &Path,
    ) -> Result<(Box<dyn Client>, Introduction), Unusable> {
        match client::greet(client.as_mut(), scratch, &self.greeting()) {
            Ok(introduction) => Ok((client, introduction)),
            Err(broken) => {
                let stderr = client.stderr_tail();
                let _ending = client.end(GOODBYE);
                Err(Unusable { broken, stderr })
            }
        }
    }
}
