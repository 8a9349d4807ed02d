//! The files in `deploy`, held to the program: its options, its exit codes, and a container that is not
//! root. `deploy/check.sh` holds them to the schemas of the engines, `tests/release.rs` tries what a
//! release is made with.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use serde_json::{Value, json};
use weighbridge::cli::exit;

/// Every file of the folder, with its text.
fn texts() -> Vec<(String, String)> {
    let mut folders = vec![PathBuf::from("deploy")];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_symlink() {
                // Of the wheel: files that stand elsewhere.
            } else if path.is_dir() {
                folders.push(path);
            } else {
                texts.push((path.display().to_string(), read(&path)));
            }
        }
    }
    texts.sort();
    texts
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifest(name: &str) -> Value {
    let path = Path::new("deploy").join(name);
    serde_yaml::from_str(&read(&path)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The command lines of the program in a text: what stands behind its name on a line, with the lines that
/// continue it.
fn command_lines(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in joined.lines().filter(|line| !line.trim_start().starts_with('#')) {
        for rest in line.split("weighbridge ").skip(1) {
            let end = rest.find(['`', ';', '|', '&']).unwrap_or(rest.len());
            found.push(rest[..end].trim().to_owned());
        }
    }
    found
}

/// What a command line names that the program does not have; `None` if it is no command line.
fn faults(tree: &Command, line: &str) -> Option<Vec<String>> {
    let mut words = line.split_whitespace().map(|word| word.trim_matches(['"', '\'', '}']));
    let first = words.next()?;
    let Some(command) = tree.find_subcommand(first) else {
        // Prose, a volume's or an image's name, or a sentence about the program.
        return line.contains(" --").then(|| vec![format!("no command: {line}")]);
    };
    let has =
        |option: &str| command.get_arguments().any(|argument| argument.get_long() == Some(option));
    let options = words.filter_map(|word| {
        let start = word.find("--")?;
        let word = &word[start + 2..];
        Some(word.split('=').next().unwrap_or(word))
    });
    Some(options.filter(|option| !has(option)).map(|one| format!("{first}: no --{one}")).collect())
}

#[test]
fn every_option_exists() {
    let tree = weighbridge::cli::command();
    let (mut lines, mut wrong) = (0, Vec::new());
    for (path, text) in texts() {
        for line in command_lines(&text) {
            let Some(faults) = faults(&tree, &line) else { continue };
            lines += 1;
            wrong.extend(faults.into_iter().map(|fault| format!("{path}: {fault}")));
        }
    }
    assert!(lines > 15, "only {lines} command lines found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_option_is_seen() {
    let tree = weighbridge::cli::command();
    let seen = |text: &str| -> Vec<String> {
        command_lines(text).iter().filter_map(|line| faults(&tree, line)).flatten().collect()
    };
    assert_eq!(
        seen("weighbridge certify \\\n  --shards \"1/4\" --out x"),
        ["certify: no --shards"]
    );
    assert_eq!(seen("`weighbridge merge --plan x`, --not-ours"), ["merge: no --plan"]);
    assert_eq!(seen("weighbridge certify ${L:+--louder \"$L\"}"), ["certify: no --louder"]);
    assert_eq!(seen("exec weighbridge certfy --out x").len(), 1);
    assert_eq!(seen("weighbridge certify --out x && other --option"), [""; 0]);
}

#[test]
fn every_manifest_is_yaml() {
    let mut count = 0;
    let yaml = |path: &str| path.ends_with(".yml") || path.ends_with(".yaml");
    for (path, text) in texts().iter().filter(|(path, _)| yaml(path)) {
        let read: Result<Value, _> = serde_yaml::from_str(text);
        assert!(read.is_ok_and(|value| value.is_object()), "{path}");
        count += 1;
    }
    assert!(count >= 9, "{count}");
}

/// Exit codes, and whether a part that ends with one is worth another attempt.
fn policy(parts: &Value) -> Vec<(&str, Value)> {
    let rules = parts["podFailurePolicy"]["rules"].as_array().expect("rules");
    let by_code = rules.iter().filter(|rule| rule.get("onExitCodes").is_some());
    let row = |rule: &'_ Value| rule["onExitCodes"]["values"].clone();
    by_code.map(|rule| (rule["action"].as_str().expect("an action"), row(rule))).collect()
}

#[test]
fn engines_treat_exit_codes_as_what_they_are() {
    let job = manifest("kubernetes/job.yaml")["spec"].clone();
    let wanted = [
        ("Ignore", json!([exit::QUARANTINED])),
        ("FailIndex", json!([exit::REFUTED])),
        ("FailJob", json!([exit::USAGE, exit::NOTHING_SELECTED])),
        ("Count", json!([exit::INCOMPLETE, exit::HARNESS_ERROR])),
    ];
    assert_eq!(policy(&job), wanted);

    let pipeline = manifest("buildkite/pipeline.yml");
    let retried: Vec<i64> = pipeline["steps"][1]["retry"]["automatic"]
        .as_array()
        .expect("rules")
        .iter()
        .filter_map(|rule| rule["exit_status"].as_i64())
        .collect();
    let again = [exit::INCOMPLETE, exit::HARNESS_ERROR, exit::QUARANTINED].map(i64::from);
    assert_eq!(retried[0], -1);
    assert_eq!(retried[1..], again);

    let readme = read(Path::new("deploy/README.md"));
    for (code, meaning) in [
        (exit::CORROBORATED, "the part holds"),
        (exit::REFUTED, "refuted"),
        (exit::USAGE, "usage"),
        (exit::INCOMPLETE, "incomplete"),
        (exit::NOTHING_SELECTED, "nothing selected"),
        (exit::HARNESS_ERROR, "harness error"),
        (exit::QUARANTINED, "quarantined"),
    ] {
        assert!(readme.contains(&format!("\n| {code} | {meaning} |")), "{code} {meaning}");
    }
}

#[test]
fn the_jobs_of_kubernetes_are_the_same_everywhere() {
    let job = manifest("kubernetes/job.yaml")["spec"].clone();
    let mut queued = manifest("kubernetes/kueue.yaml");
    assert!(queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"].is_string());
    let spec = queued["spec"].as_object_mut().expect("a spec");
    assert_eq!(spec.remove("suspend"), Some(json!(true)));
    assert_eq!(queued["spec"], job);
    let set = manifest("kubernetes/jobset.yaml");
    for (at, file) in ["plan", "job", "merge"].iter().enumerate() {
        let one = &set["spec"]["replicatedJobs"][at]["template"]["spec"];
        assert_eq!(*one, manifest(&format!("kubernetes/{file}.yaml"))["spec"], "{file}");
    }
    let parts = job["completions"].as_u64().expect("a number");
    let told = &job["template"]["spec"]["containers"][0]["env"][0];
    assert_eq!(*told, json!({"name": "PARTS", "value": parts.to_string()}));
    assert_eq!(job["maxFailedIndexes"], parts);
}

#[test]
fn every_matrix_has_all_parts() {
    let workflow = manifest("github/workflow.yml");
    let parts = workflow["env"]["PARTS"].as_u64().expect("a number");
    let matrix = &workflow["jobs"]["parts"]["strategy"]["matrix"]["part"];
    assert_eq!(*matrix, json!((1..=parts).collect::<Vec<_>>()));
}

#[test]
fn the_container_is_not_root_and_builds_with_our_toolchain() {
    let text = read(Path::new("deploy/container/Containerfile"));
    let last = text.lines().filter_map(|line| line.strip_prefix("USER ")).next_back();
    let user = last.and_then(|user| user.split(':').next()).expect("a user");
    assert!(user.parse::<u32>().is_ok_and(|id| id > 0), "{user}: expected a number but 0");
    let last_stage = text.rfind("\nFROM ").expect("a stage");
    assert!(text[last_stage..].contains("\nUSER "), "the last stage runs as root");
    assert!(text.contains("ENTRYPOINT [\"/usr/local/bin/weighbridge\"]"));
    let toolchain = format!("library/rust:{}-", env!("CARGO_PKG_RUST_VERSION"));
    assert!(text.contains(&toolchain), "expected {toolchain}");
    for file in ["plan", "job", "merge"] {
        let pod = manifest(&format!("kubernetes/{file}.yaml"))["spec"]["template"]["spec"].clone();
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{file}");
        assert_eq!(pod["securityContext"]["runAsUser"].to_string(), user, "{file}");
    }
}
