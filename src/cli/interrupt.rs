//! SIGINT, SIGTERM and SIGHUP: the first one lets a command put its work in order, a second one ends
//! the process at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering::SeqCst};
use std::time::Duration;

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::exit;

/// The signals that end a command.
pub const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// The first signal; 0 before it.
static FIRST: AtomicI32 = AtomicI32::new(0);
/// Whether a further signal ends the process.
static ARMED: AtomicBool = AtomicBool::new(false);

/// How often the watching thread looks for a signal.
const LOOK: Duration = Duration::from_millis(10);
/// A signal so soon after the first one is the same one: `timeout`, for example, sends one to the
/// process and one to its group.
const SAME: Duration = Duration::from_millis(300);

const WATCHING: u8 = 0;
const ACTING: u8 = 1;
const CLOSED: u8 = 2;

/// Watches for a signal. There is one in a process.
pub struct Watch {
    stage: Arc<AtomicU8>,
}

/// Starts to watch. After a signal, `act` gets its name, and the process exits with the code that it
/// returns; other threads are not waited for.
///
/// # Errors
/// If the signals cannot be caught, or the thread not started.
pub fn watch(act: impl FnOnce(&'static str) -> u8 + Send + 'static) -> std::io::Result<Watch> {
    for signal in SIGNALS {
        catch(signal)?;
    }
    let stage = Arc::new(AtomicU8::new(WATCHING));
    let of_thread = Arc::clone(&stage);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        loop {
            if of_thread.load(SeqCst) == CLOSED {
                return;
            }
            if let Some(signal) = ordered() {
                if of_thread.compare_exchange(WATCHING, ACTING, SeqCst, SeqCst).is_ok() {
                    arm();
                    let code = catch_unwind(AssertUnwindSafe(|| act(signal)));
                    end(code.unwrap_or(exit::HARNESS_ERROR));
                }
                return;
            }
            std::thread::sleep(LOOK);
        }
    })?;
    Ok(Watch { stage })
}

/// Prepares this process for a loader of its own user, outside of namespaces. From now on the keys of a
/// terminal do not stop it: the supervisor takes a judge that is stopped for one that its loader has stopped.
///
/// # Errors
/// If the signals cannot be ignored.
pub fn do_not_stop() -> std::io::Result<()> {
    for signal in [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU] {
        let ignored = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        // SAFETY: ignoring a signal installs no handler that could run.
        unsafe { sigaction(signal, &ignored) }?;
    }
    Ok(())
}

/// The signal that ends this process, once there was one.
pub fn ordered() -> Option<&'static str> {
    match FIRST.load(SeqCst) {
        0 => None,
        number => Some(Signal::try_from(number).map_or("a signal", Signal::as_str)),
    }
}

impl Watch {
    /// Ends the watch, because the work is done. If a signal came before, this does not return: the
    /// process ends as the signal wants it.
    pub fn close(&self) {
        if self.stage.load(SeqCst) == CLOSED {
            return;
        }
        // After a signal no further case began, so the work is not done: the thread is about to act.
        let done = ordered().is_none()
            && self.stage.compare_exchange(WATCHING, CLOSED, SeqCst, SeqCst).is_ok();
        if !done {
            loop {
                std::thread::park();
            }
        }
        // What follows is short. One signal does not end it, a second one does.
        ARMED.store(true, SeqCst);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.close();
    }
}

fn arm() {
    std::thread::spawn(|| {
        std::thread::sleep(SAME);
        ARMED.store(true, SeqCst);
    });
}

fn catch(signal: Signal) -> std::io::Result<()> {
    let action =
        SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler touches atomics only and calls `_exit`; both are allowed in a handler.
    let before = unsafe { sigaction(signal, &action) }?;
    // `nohup` wants the end of the terminal to be ignored.
    if signal == Signal::SIGHUP && matches!(before.handler(), SigHandler::SigIgn) {
        // SAFETY: this is the action that was there.
        unsafe { sigaction(signal, &before) }?;
    }
    Ok(())
}

extern "C" fn on_signal(signal: libc::c_int) {
    let first = FIRST.compare_exchange(0, signal, SeqCst, SeqCst).is_ok();
    if !first && ARMED.load(SeqCst) {
        // SAFETY: `_exit` may be called in a handler, and takes any number.
        unsafe { libc::_exit(128 + signal) }
    }
}

/// Ends the process without waiting for its threads: they may be in the driver or in long work, and
/// what runs at a normal exit would take the driver from under them.
fn end(code: u8) -> ! {
    // SAFETY: `_exit` takes any number. What was to be written is written.
    unsafe { libc::_exit(i32::from(code)) }
}
