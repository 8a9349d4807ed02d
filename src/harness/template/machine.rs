//! What a template may take: steps, depth and text. A template is a program of strangers.

use std::cell::Cell;

use super::fault::{Fault, Result};

/// All steps and bytes together.
const FUEL: usize = 128 << 20;
/// Most bytes and values that all steps may look at together.
const LOOKS: usize = 512 << 20;
/// What a step costs beside the bytes that it makes.
const STEP: usize = 16;
/// Most calls within each other. Python's own limit is near a thousand frames.
const DEPTH: usize = 60;
/// Deepest evaluation: expressions, blocks and calls within each other. It keeps the stack from running out.
const INNER: usize = 400;
/// Longest text that a template may make.
const OUTPUT: usize = 8 << 20;

/// The budget of one rendering.
#[derive(Debug)]
pub struct Machine {
    fuel: Cell<usize>,
    looks: Cell<usize>,
    depth: Cell<usize>,
    inner: Cell<usize>,
    timed: Cell<bool>,
}

impl Machine {
    /// A full budget.
    pub fn new() -> Machine {
        Machine {
            fuel: Cell::new(FUEL),
            looks: Cell::new(LOOKS),
            depth: Cell::new(0),
            inner: Cell::new(0),
            timed: Cell::new(false),
        }
    }

    /// Pays for a step.
    pub fn step(&self) -> Result<()> {
        self.spend(STEP)
    }

    /// Pays for values or bytes that a step is about to make.
    pub fn spend(&self, amount: usize) -> Result<()> {
        let left = self.fuel.get().checked_sub(amount).ok_or(Fault::Limit("work"))?;
        self.fuel.set(left);
        Ok(())
    }

    /// Pays for something so many times.
    pub fn spend_times(&self, amount: usize, times: usize) -> Result<()> {
        self.spend(amount.saturating_mul(times))
    }

    /// Pays for a look at so many bytes or values.
    pub fn look(&self, amount: usize) -> Result<()> {
        let left = self.looks.get().checked_sub(amount).ok_or(Fault::Limit("work"))?;
        self.looks.set(left);
        Ok(())
    }

    /// Evaluates something one level deeper.
    pub fn inner<T>(&self, evaluate: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.inner.get() >= INNER {
            return Err(Fault::Limit("depth"));
        }
        self.inner.set(self.inner.get() + 1);
        let result = evaluate();
        self.inner.set(self.inner.get() - 1);
        result
    }

    /// Refuses a text that is too long.
    pub fn holds(&self, text: &str) -> Result<()> {
        if text.len() > OUTPUT { Err(Fault::Limit("text")) } else { Ok(()) }
    }

    /// Runs something one level deeper.
    pub fn deeper<T>(&self, run: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.depth.get() >= DEPTH {
            return Err(Fault::Limit("depth"));
        }
        self.depth.set(self.depth.get() + 1);
        let result = run();
        self.depth.set(self.depth.get() - 1);
        result
    }

    /// Notes that the text tells a time of the day.
    pub fn tells_the_time(&self) {
        self.timed.set(true);
    }

    /// Whether the text tells a time of the day.
    pub fn timed(&self) -> bool {
        self.timed.get()
    }
}
