//! The file system of a cell: everything read-only, the judge's folders hidden, private folders for
//! temporary files.
//!
//! Each step is a mount in a mount namespace of this process, so nothing of it is seen outside, and all of
//! it goes with the last process of the cell.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;

use super::devices;
use super::order::Views;

/// Folders for temporary files. What a loader writes there is its own.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// The folder of shared memory.
pub const SHARED_MEMORY: &str = "/dev/shm";

const NOTHING: Option<&str> = None;

/// Builds the view. The mount namespace must be this process's own.
///
/// # Errors
/// The step that failed, and what the kernel says.
pub fn build(views: &Views) -> io::Result<()> {
    mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING)
        .map_err(named("make mounts private", Path::new("/")))?;
    // Opened first, because mounts cover the paths.
    let readable = opened(&views.readable)?;
    let writable = opened(&views.writable)?;
    let devices = opened(&devices::of(Path::new("/dev")))?;
    let mut own: Vec<PathBuf> = Vec::new();
    for folder in TEMPORARY.map(Path::new) {
        if is_real_folder(folder) && over(folder).is_ok() {
            own.push(folder.to_owned());
        }
    }
    memory("/dev", "mode=0755,size=1m")?;
    for (path, source) in &devices {
        bind(source, path)?;
    }
    for (name, target) in devices::LINKS {
        std::os::unix::fs::symlink(target, Path::new("/dev").join(name))?;
    }
    fs::create_dir(SHARED_MEMORY)?;
    memory(SHARED_MEMORY, "mode=1777")?;
    own.push(SHARED_MEMORY.into());
    // Folders in the machine's shared memory are out of sight already.
    for folder in views.hidden.iter().filter(|folder| !is_missing(folder)) {
        memory(folder, "mode=0755,size=1m")?;
    }
    for (path, source) in readable.iter().chain(&writable) {
        bind(source, path)?;
    }
    for file in views.blank.iter().filter(|file| file.exists()) {
        mount(Some("/dev/null"), file, NOTHING, MsFlags::MS_BIND, NOTHING)
            .map_err(named("hide", file))?;
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, NOTHING)
        .map_err(named("mount proc on", Path::new("/proc")))?;
    // Nobody in the cell may make namespaces of its own. Where the kernel does not know this limit, such
    // namespaces show no more than the cell does.
    let _older_kernel = fs::write("/proc/sys/user/max_user_namespaces", "0");
    read_only(Path::new("/"), true, libc::AT_RECURSIVE.cast_unsigned())?;
    own.push("/proc".into());
    for folder in own.iter().chain(&views.writable) {
        read_only(folder, false, 0)?;
    }
    Ok(())
}

fn opened(paths: &[PathBuf]) -> io::Result<Vec<(PathBuf, OwnedFd)>> {
    let open = |path: &PathBuf| {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        let opened = open(path, flags, Mode::empty()).map_err(named("open", path))?;
        Ok((path.clone(), opened))
    };
    paths.iter().filter(|path| path.exists()).map(open).collect()
}

/// Puts a writable layer over a folder: it shows what the folder holds, and what is written stays in
/// memory.
fn over(folder: &Path) -> io::Result<()> {
    let lower = open(folder, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    memory(folder, "mode=0755")?;
    let layered = (|| {
        let (upper, work) = (folder.join("upper"), folder.join("work"));
        fs::create_dir(&upper)?;
        fs::create_dir(&work)?;
        fs::set_permissions(&upper, std::os::unix::fs::PermissionsExt::from_mode(0o1777))?;
        let options = format!(
            "lowerdir={},upperdir={},workdir={},userxattr",
            by_number(&lower),
            upper.display(),
            work.display()
        );
        mount(Some("overlay"), folder, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
            .map_err(io::Error::from)
    })();
    layered.inspect_err(|_| {
        // Without layers, the folder can be read only.
        let _covered = umount2(folder, MntFlags::MNT_DETACH);
    })
}

/// Mounts an empty file system in memory.
fn memory(folder: impl AsRef<Path>, options: &str) -> io::Result<()> {
    let folder = folder.as_ref();
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), folder, Some("tmpfs"), flags, Some(options))
        .map_err(named("mount an empty folder on", folder))
}

/// Shows what was opened at a path, which is made if it is not there.
fn bind(source: &OwnedFd, path: &Path) -> io::Result<()> {
    let from = by_number(source);
    if !path.exists() {
        if fs::metadata(&from)?.is_dir() {
            fs::create_dir_all(path)?;
        } else {
            fs::create_dir_all(path.parent().unwrap_or(path))?;
            OpenOptions::new().create(true).append(true).open(path).map(|_: File| ())?;
        }
    }
    mount(Some(from.as_str()), path, NOTHING, MsFlags::MS_BIND | MsFlags::MS_REC, NOTHING)
        .map_err(named("show", path))
}

fn by_number(opened: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", opened.as_raw_fd())
}

fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// A link such as `/var/tmp` to `/tmp` needs no mount of its own.
fn is_real_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|data| data.is_dir())
}

fn read_only(path: &Path, set: bool, flags: u32) -> io::Result<()> {
    let text = CString::new(path.as_os_str().as_bytes())?;
    let bit = libc::MOUNT_ATTR_RDONLY;
    let (attr_set, attr_clr) = if set { (bit, 0) } else { (0, bit) };
    let attributes = libc::mount_attr { attr_set, attr_clr, propagation: 0, userns_fd: 0 };
    // SAFETY: the path and the attributes live until the call returns, and the size is theirs.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            text.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    let what = if set { "make read-only" } else { "make writable" };
    Errno::result(result).map(|_| ()).map_err(named(what, path))
}

fn named<'a>(step: &'a str, path: &'a Path) -> impl Fn(Errno) -> io::Error + 'a {
    move |error| io::Error::other(format!("{step} {}: {}", path.display(), error.desc()))
}
