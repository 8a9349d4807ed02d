//! What a release is made with: the archive and what is in it, the wheel's recipe held to the crate, the
//! workflow held to the scripts, and the commit in an archive of the sources.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The oldest C library that the program of a release runs with.
const GLIBC: &str = "2.17";

#[test]
fn the_archive_has_program_licences_and_completions() {
    let folder = tempfile::tempdir().expect("a folder");
    // A program of a few bytes: the one of this build has a hundred megabytes.
    let program = folder.path().join("program");
    let mut open = fs::OpenOptions::new();
    let mut file = open.write(true).create_new(true).mode(0o700).open(&program).expect("a file");
    writeln!(file, "#!/bin/sh\nexec '{}' \"$@\"", env!("CARGO_BIN_EXE_weighbridge")).expect("text");
    drop(file);
    let out = folder.path().to_str().expect("UTF-8");
    run("deploy/archive.sh", &[program.to_str().expect("UTF-8"), "w-v1", out]);
    run("tar", &["--directory", out, "--extract", "--file", &format!("{out}/w-v1.tar.gz")]);
    let wanted = [
        ("CHANGELOG.md", "# "),
        ("LICENSE-APACHE", "Apache License"),
        ("LICENSE-MIT", "MIT License"),
        ("README.md", "# Weighbridge"),
        ("completions/_weighbridge", "#compdef weighbridge"),
        ("completions/weighbridge.bash", "complete -F _weighbridge"),
        ("completions/weighbridge.fish", "complete -c weighbridge"),
        ("weighbridge", "exec "),
    ];
    let listed = run("tar", &["--list", "--verbose", "--file", &format!("{out}/w-v1.tar.gz")]);
    let files: Vec<&str> = listed.lines().filter(|line| !line.ends_with('/')).collect();
    assert_eq!(files.len(), wanted.len(), "{listed}");
    for ((file, start), line) in wanted.into_iter().zip(files) {
        assert!(line.ends_with(&format!(" w-v1/{file}")), "{line}: expected {file}");
        assert!(line.contains(" 0/0 ") && line.contains(" 1970-01-01 "), "{line}");
        let mode = if file == "weighbridge" { "-rwx" } else { "-rw-r--r--" };
        assert!(line.starts_with(mode), "{line}");
        assert!(read(folder.path().join("w-v1").join(file)).contains(start), "{file}: no {start}");
    }
}

#[test]
fn the_wheel_is_made_from_this_crate() {
    let folder = Path::new("deploy/wheel");
    let recipe = read(folder.join("pyproject.toml"));
    let dynamic = recipe.lines().find(|line| line.starts_with("dynamic = ")).expect("dynamic");
    assert!(dynamic.contains("\"version\""), "the version is that of the crate: {dynamic}");
    assert!(!recipe.contains("\nversion = "), "a second version, which can differ");
    assert_eq!(value(&recipe, "name"), env!("CARGO_PKG_NAME"));
    assert_eq!(value(&recipe, "license"), env!("CARGO_PKG_LICENSE"));
    let crate_file = folder.join(value(&recipe, "manifest-path")).canonicalize().expect("a file");
    assert_eq!(crate_file, Path::new("Cargo.toml").canonicalize().expect("a file"));
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(recipe.contains(&format!("\"{name}\"")), "{name} is not in the wheel");
        assert_eq!(read(folder.join(name)), read(name));
    }
    assert!(folder.join(value(&recipe, "readme")).is_file());

    // The package beside the program is the whole package for loaders in Python.
    let package = Path::new("adapters/python/weighbridge_adapter");
    let adapter = read("adapters/python/pyproject.toml");
    assert_eq!(value(&recipe, "requires-python"), value(&adapter, "requires-python"));
    assert_eq!(
        folder.join("weighbridge_adapter").canonicalize().expect("a link"),
        package.canonicalize().expect("a folder")
    );
    let (mut taken, mut there) = (BTreeSet::new(), BTreeSet::new());
    for entry in fs::read_dir(package).expect("a folder").flatten() {
        let name = entry.file_name().into_string().expect("UTF-8");
        let pattern = if name.ends_with(".py") { "*.py" } else { &name };
        let listed = format!("{{ path = \"weighbridge_adapter/{pattern}\", format = \"wheel\" }}");
        if recipe.contains(&listed) {
            taken.insert(name.clone());
        }
        if name != "__pycache__" {
            there.insert(name);
        }
    }
    assert_eq!(taken, there);
    assert!(there.len() >= 5, "{there:?}");
}

#[test]
fn one_oldest_c_library_is_told_everywhere() {
    let underscored = GLIBC.replace('.', "_");
    let mut told = 0;
    for file in [
        "deploy/wheel/pyproject.toml",
        "deploy/wheel/README.md",
        "deploy/release.sh",
        "docs/install.md",
    ] {
        let text = read(file);
        for (before, oldest) in
            [("glibc ", GLIBC), ("manylinux_", &underscored), ("GLIBC_2", &GLIBC[1..])]
        {
            for after in text.split(before).skip(1) {
                // The pattern that finds every version.
                if after.starts_with("\\.[") || !after.starts_with(['.', '2']) {
                    continue;
                }
                assert!(after.starts_with(oldest), "{file}: {before}{:.8}", after);
                told += 1;
            }
        }
    }
    assert!(told >= 8, "only {told} places");
}

#[test]
fn the_workflow_releases_what_the_script_makes() {
    let workflow: Value =
        serde_yaml::from_str(&read(".github/workflows/release.yml")).expect("YAML");
    let steps = |job: &str| workflow["jobs"][job]["steps"].as_array().expect("steps").clone();
    let build = steps("build");
    let runs: Vec<&str> = build.iter().filter_map(|step| step["run"].as_str()).collect();
    let at = |words: &str| {
        let place = runs.iter().position(|run| run.contains(words));
        place.unwrap_or_else(|| panic!("no step runs {words}: {runs:#?}"))
    };
    let script = at("deploy/release.sh dist");
    for earlier in
        ["\"v$version\"", "cargo package --locked", "--requirement deploy/wheel/requirements.txt"]
    {
        assert!(at(earlier) < script, "{earlier}");
    }
    let upload = build.iter().find(|step| step["with"]["path"] == "dist/").expect("an upload");
    assert_eq!(upload["with"]["if-no-files-found"], "error");
    let draft = steps("draft");
    let checks = draft.iter().any(|step| step["run"] == "sha256sum --check SHA256SUMS");
    assert!(checks, "the draft does not check the sums");

    // Each tool of the wheel has one version, so that a release can be made again.
    let tools = read("deploy/wheel/requirements.txt");
    let pinned: Vec<&str> = tools.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(pinned.iter().all(|line| line.contains("==")), "{pinned:?}");
    for tool in ["maturin==", "ziglang=="] {
        assert!(pinned.iter().any(|line| line.starts_with(tool)), "no {tool}");
    }
}

#[test]
fn an_archive_of_the_sources_has_its_commit() {
    if !Path::new(".git").exists() {
        return; // Only a checkout can make such an archive.
    }
    let head = run("git", &["rev-parse", "HEAD"]);
    let archive = ["archive", "--worktree-attributes", "HEAD", "build.rs"];
    let made = Command::new("git").args(archive).output().expect("git starts");
    let text = String::from_utf8_lossy(&made.stdout);
    assert!(text.contains(&format!("let written = \"{}\";", head.trim())), "{text}");
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The quoted value of a key of a TOML file.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let start = format!("{key} = \"");
    let value = text.lines().find_map(|line| line.strip_prefix(&start)?.strip_suffix('"'));
    value.unwrap_or_else(|| panic!("no {key}"))
}

/// Standard output of a program that succeeds.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
