//! What a program can do from its cell, tried with a shell in the place of a loader: in namespaces where
//! this machine has them, and without.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use weighbridge::contract::request::{Request, Stat};
use weighbridge::harness::cell::{Found, Level, Told, Views, Wanted, find, loader_of};
use weighbridge::harness::client::{Bounds, Broken, Client, Outcome, Pipe, Spawn};
use weighbridge::harness::family;

/// A judge's folders, with a cell around them.
struct Judge {
    place: tempfile::TempDir,
    found: Found,
}

impl Judge {
    /// `None` where this machine does not allow it: that is said on stderr.
    fn new(wanted: Wanted) -> Option<Judge> {
        Judge::within(&std::env::temp_dir(), wanted)
    }

    /// With its folders in this one.
    fn within(parent: &Path, wanted: Wanted) -> Option<Judge> {
        let exe = Path::new(env!("CARGO_BIN_EXE_weighbridge"));
        let found = find(wanted, exe, false, &[Path::new("/bin/sh")]);
        let enough = match wanted {
            Wanted::Namespaces => Level::Namespaces,
            _ => Level::Process,
        };
        if found.level() < enough {
            eprintln!("no {enough} on this machine: {}", found.missing);
            return None;
        }
        let place = tempfile::tempdir_in(parent).unwrap();
        for folder in ["cases", "work", "logs"] {
            fs::create_dir(place.path().join(folder)).unwrap();
        }
        fs::write(place.path().join("cases/model"), "weights").unwrap();
        fs::write(place.path().join("logs/secret"), "the seed").unwrap();
        if let Some(user) = found.cell.as_ref().and_then(|cell| cell.order.user) {
            std::os::unix::fs::chown(place.path().join("work"), Some(user), Some(user)).unwrap();
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
            fs::set_permissions(place.path(), open).unwrap();
        }
        Some(Judge { place, found })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn told(&self) -> PathBuf {
        self.path("logs/told")
    }

    /// Runs a script in the cell, with the work folder as its working folder.
    fn run(&self, script: &str) -> Output {
        let spawn = self.spawn(script);
        spawn.command().unwrap().stdin(Stdio::null()).output().unwrap()
    }

    /// How it is started.
    fn spawn(&self, script: &str) -> Spawn {
        let mut spawn = Spawn::new("/bin/sh", self.path("work"));
        spawn.args = vec!["-c".into(), script.into()];
        let mut cell = self.found.cell.clone().unwrap();
        cell.order.told = Some(self.told());
        cell.order.views = Views {
            hidden: vec![self.place.path().to_owned()],
            blank: vec![],
            readable: vec![self.path("cases")],
            writable: vec![self.path("work")],
        };
        spawn.cell = Some(cell);
        let _earlier = fs::remove_file(self.told());
        spawn
    }

    fn says(&self, script: &str) -> String {
        let output = self.run(script);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        format!("{}{}", text(&output.stdout), text(&output.stderr))
    }
}

#[test]
fn in_namespaces_the_judge_is_not_there() {
    let Some(judge) = Judge::new(Wanted::Namespaces) else { return };
    let own = std::process::id();
    assert_eq!(judge.says(&format!("test -d /proc/{own} && echo seen; true")), "");
    assert_eq!(judge.says("echo $PPID"), "1");
    assert_eq!(judge.says("ls .."), "cases\nwork", "the judge's folder shows no logs");
    assert_eq!(judge.says("cat ../cases/model"), "weights");
}

#[test]
fn in_namespaces_only_the_own_folder_can_be_changed() {
    let Some(judge) = Judge::new(Wanted::Namespaces) else { return };
    judge.says("echo x > ../cases/model; rm ../cases/model; echo y > ../cases/new");
    assert_eq!(fs::read_to_string(judge.path("cases/model")).unwrap(), "weights");
    assert!(!judge.path("cases/new").exists());
    assert_eq!(judge.says("echo answer > file && cat file"), "answer");
    assert_eq!(fs::read_to_string(judge.path("work/file")).unwrap(), "answer\n");
    let mark = format!("/tmp/weighbridge-cell-{}", std::process::id());
    judge.says(&format!("echo x > {mark}"));
    assert!(!Path::new(&mark).exists(), "/tmp is the loader's own");
    let here = env!("CARGO_MANIFEST_DIR");
    assert!(judge.says(&format!("touch {here}/from-a-cell")).contains("Read-only"));
    assert!(judge.says("mount -t tmpfs none /mnt; umount /proc").contains("ermi"));
}

#[test]
fn in_namespaces_there_is_no_network_and_no_foreign_device() {
    let Some(judge) = Judge::new(Wanted::Namespaces) else { return };
    assert_eq!(judge.says("ls /sys/class/net 2>/dev/null | wc -l; grep -c : /proc/net/dev"), {
        let all = fs::read_dir("/sys/class/net").map_or(0, Iterator::count);
        // The folder /sys is the machine's; what counts is the interfaces of the process.
        format!("{all}\n1")
    });
    let devices = judge.says("ls /dev");
    assert!(devices.contains("null") && !devices.contains("mem"), "{devices}");
    assert!(!devices.lines().any(|name| name.starts_with("sd") || name.starts_with("vd")));
}

#[test]
fn nobody_outlives_the_loader() {
    for wanted in [Wanted::Namespaces, Wanted::Process] {
        let Some(judge) = Judge::new(wanted) else { continue };
        let ended = judge.run("setsid sleep 321 >/dev/null 2>&1 & sleep 0.2; exit 7");
        assert_eq!(ended.status.code(), Some(7), "{wanted:?}: {ended:?}");
        let told = Told::read(&judge.told()).unwrap();
        assert_eq!((told.processes, told.names), (1, vec!["sleep".to_owned()]), "{wanted:?}");
        assert!(family::started_for(&judge.path("work")).is_empty(), "{wanted:?}");
    }
}

#[test]
fn an_end_by_a_signal_stays_one() {
    for wanted in [Wanted::Namespaces, Wanted::Process] {
        let Some(judge) = Judge::new(wanted) else { continue };
        for signal in [6, 9, 11, 15] {
            let ended = judge.run(&format!("kill -{signal} $$"));
            assert_eq!(ended.status.signal(), Some(signal), "{wanted:?}: {ended:?}");
        }
        assert_eq!(judge.run("exit 0").status.code(), Some(0));
    }
}

#[test]
fn no_capability_and_no_new_privilege() {
    for wanted in [Wanted::Namespaces, Wanted::Process] {
        let Some(judge) = Judge::new(wanted) else { continue };
        let powers = judge.says("grep -E 'Cap(Prm|Eff|Bnd)|NoNewPrivs' /proc/self/status");
        let values: Vec<&str> = powers.split_whitespace().skip(1).step_by(2).collect();
        // Who is not root keeps the bounding set, which gives nothing without a new privilege.
        let bounding = &values[2];
        assert!(values[0].bytes().all(|digit| digit == b'0'), "{wanted:?}: {powers}");
        assert!(values[1].bytes().all(|digit| digit == b'0'), "{wanted:?}: {powers}");
        assert!(bounding.bytes().all(|digit| digit == b'0') || wanted == Wanted::Process);
        assert_eq!(values[3], "1", "{wanted:?}: {powers}");
    }
}

#[test]
fn shared_memory_that_is_left_is_counted() {
    let Some(judge) = Judge::new(Wanted::Namespaces) else { return };
    judge.run("head -c 5000 /dev/zero > /dev/shm/left");
    let told = Told::read(&judge.told()).unwrap();
    assert_eq!((told.shared_memory_files, told.shared_memory_bytes), (1, 5000));
    assert!(!Path::new("/dev/shm/left").exists());
}

#[test]
fn a_judge_in_shared_memory_is_as_hidden_as_elsewhere() {
    let Some(judge) = Judge::within(Path::new("/dev/shm"), Wanted::Namespaces) else { return };
    let script =
        "ls ..; cat ../cases/model; echo x > ../cases/model; echo answer > file; echo y > ../new";
    let said = judge.says(script);
    assert!(said.starts_with("cases\nwork\nweights"), "{said}");
    assert_eq!(fs::read_to_string(judge.path("cases/model")).unwrap(), "weights");
    assert_eq!(fs::read_to_string(judge.path("work/file")).unwrap(), "answer\n");
    // What it left beside its folder is counted, the fixtures and its answers are not.
    let told = Told::read(&judge.told()).unwrap();
    assert_eq!((told.shared_memory_files, told.shared_memory_bytes), (1, 2));
    assert!(!judge.path("new").exists());
}

#[test]
fn a_second_process_joins_the_cell_of_the_first_one() {
    let Some(judge) = Judge::new(Wanted::Namespaces) else { return };
    let script = "echo shared > /dev/shm/segment; echo also > /tmp/segment; touch ready; read end";
    let mut first = judge.spawn(script).command().unwrap().stdin(Stdio::piped()).spawn().unwrap();
    let began = std::time::Instant::now();
    while !judge.path("work/ready").exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "the first one does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    let beside = |pid, script: &str| {
        let mut spawn = judge.spawn(script);
        let joined = spawn.cell.as_mut().unwrap().join(pid);
        assert_eq!(joined.is_ok(), Path::new(&format!("/proc/{pid}")).exists());
        let output = spawn.command().unwrap().stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let loader = loader_of(first.id(), Level::Namespaces).unwrap();
    let (_, said, _) = beside(loader, "cat /dev/shm/segment /tmp/segment; basename $PWD");
    assert_eq!(said, "shared\nalso\nwork");
    // What holds for the first one holds for it: the judge is not there, fixtures stay, and it has no powers.
    let own = std::process::id();
    let tries =
        "echo x > ../cases/model; ls ..; grep CapEff /proc/self/status | tr -d '\t'; exit 7";
    let (code, said, _) = beside(loader, &format!("test -d /proc/{own} && echo seen; {tries}"));
    assert_eq!((code, said.as_str()), (Some(7), "cases\nwork\nCapEff:0000000000000000"));
    assert_eq!(fs::read_to_string(judge.path("cases/model")).unwrap(), "weights");
    drop(first.stdin.take());
    first.wait().unwrap();
    let (code, _, why) = beside(loader, "exit 0");
    assert!(code == Some(125) && why.contains("namespace"), "{code:?}: {why}");
}

#[test]
fn a_judge_that_its_loader_stops_goes_on() {
    let Some(mut judge) = Judge::new(Wanted::Process) else { return };
    let order = &mut judge.found.cell.as_mut().unwrap().order;
    // As where the judge is not root: the loader has its user.
    (order.user, order.watched) = (None, true);
    let own = std::process::id();
    // Should the supervisor fail, this test must not stop for ever.
    let mut rescue = std::process::Command::new("sh");
    let mut rescue = rescue.args(["-c", &format!("sleep 30; kill -CONT {own}")]).spawn().unwrap();
    let began = std::time::Instant::now();
    let ended = judge.run(&format!("kill -STOP {own}; sleep 60"));
    assert!(began.elapsed() < Duration::from_secs(25), "the supervisor continued it");
    assert_eq!(ended.status.signal(), Some(9), "{ended:?}");
    assert!(Told::read(&judge.told()).unwrap().stopped_judge);
    let ended = judge.run("exit 0");
    assert!(ended.status.success() && !Told::read(&judge.told()).unwrap().stopped_judge);
    // A client says what was done to the judge, and not that its loader was killed.
    let asked = |script: &str| {
        let mut client = Pipe::start(&judge.spawn(script)).unwrap();
        client.ask(Request::Stat(Stat {}), &Bounds::within(Duration::from_secs(25))).outcome
    };
    let stopped = asked(&format!("read line; kill -STOP {own}; sleep 60"));
    assert_eq!(stopped, Outcome::Broken(Broken::StoppedJudge));
    assert_eq!(asked("read line; kill -9 $$"), {
        Outcome::Broken(Broken::Signalled { signal: 9, name: "SIGKILL".to_owned() })
    });
    rescue.kill().unwrap();
    rescue.wait().unwrap();
}

#[test]
fn without_namespaces_root_gives_the_loader_another_user() {
    let Some(judge) = Judge::new(Wanted::Process) else { return };
    let user = judge.says("id -u");
    match judge.found.cell.as_ref().and_then(|cell| cell.order.user) {
        Some(other) => {
            assert_eq!(user, other.to_string());
            assert!(judge.says("cat ../logs/secret; kill -0 $PPID").contains("ermi"));
        }
        None => assert_eq!(user, nix::unistd::getuid().to_string()),
    }
}
