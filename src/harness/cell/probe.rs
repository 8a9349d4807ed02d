//! Finds out how strong a cell this machine allows, before the run.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::geteuid;

use super::{COMMAND, Cell, Level, Order, Views};

/// The user and group without rights, as most systems number it.
const NOBODY: u32 = 65_534;

/// What a run asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// The strongest that there is.
    #[default]
    Best,
    /// Namespaces, or no run.
    Namespaces,
    /// No namespaces.
    Process,
    /// No cell.
    Nothing,
}

/// What a machine allows.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The cell; `None` where nothing was wanted.
    pub cell: Option<Cell>,
    /// Why it is no stronger; empty where it has namespaces.
    pub missing: String,
}

impl Found {
    /// How strong the cell is.
    pub fn level(&self) -> Level {
        self.cell.as_ref().map_or(Level::None, |cell| cell.order.level)
    }
}

/// Finds the strongest cell that is wanted and that this machine allows. `exe` is this program. `network`
/// says whether the loader keeps the machine's network. `needed` are its program and its folder: where the
/// judge is root and has no namespaces, the loader becomes another user only if that user can read them.
pub fn find(wanted: Wanted, exe: &Path, network: bool, needed: &[&Path]) -> Found {
    let order = |level, user_namespace| Order {
        level,
        user_namespace,
        network,
        user: None,
        views: Views::default(),
        aftermath_ms: 0,
        beside: None,
        watched: false,
        told: None,
    };
    let cell = |order| Cell { exe: exe.to_owned(), order };
    let mut missing = Vec::new();
    if matches!(wanted, Wanted::Best | Wanted::Namespaces) {
        let root = geteuid().is_root();
        for user_namespace in [Some(true), root.then_some(false)].into_iter().flatten() {
            let found = cell(order(Level::Namespaces, user_namespace));
            match works(&found) {
                Ok(()) => return Found { cell: Some(found), missing: String::new() },
                Err(error) => missing.push(error.to_string()),
            }
        }
    }
    if matches!(wanted, Wanted::Nothing) {
        return Found { cell: None, missing: "not asked for".to_owned() };
    }
    if missing.is_empty() {
        missing.push("namespaces were not asked for".to_owned());
    }
    let mut found = cell(order(Level::Process, false));
    if geteuid().is_root() && needed.iter().all(|path| others_can_read(path)) {
        found.order.user = Some(NOBODY);
    } else {
        // A loader of the judge's own user can signal it.
        found.order.watched = true;
    }
    match works(&found) {
        Ok(()) => Found { cell: Some(found), missing: missing.join("; ") },
        Err(error) => {
            missing.push(error.to_string());
            Found { cell: None, missing: missing.join("; ") }
        }
    }
}

/// Starts nothing but the end of a process in the cell.
fn works(cell: &Cell) -> io::Result<()> {
    let mut tried = cell.clone();
    // This program may lie where another user cannot read it.
    tried.order.user = None;
    let arguments = tried.arguments(PathBuf::from("/proc/self/exe"), &[COMMAND.into()])?;
    let output = Command::new(&cell.exe)
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().unwrap_or("it ended without a word");
    let prefix = format!("weighbridge {COMMAND}: ");
    Err(io::Error::other(said.strip_prefix(&prefix).unwrap_or(said).to_owned()))
}

/// Whether users without rights can read a file and reach it.
fn others_can_read(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let allows = |path: &Path, bits| {
        path.metadata().is_ok_and(|data| data.permissions().mode() & bits == bits)
    };
    let Ok(file) = file.canonicalize() else { return false };
    allows(&file, 0o5) && file.ancestors().skip(1).all(|folder| allows(folder, 0o1))
}
