//! The script that peers run, whole, with packages that only pretend: what they load is compared
//! with the file, by the checksum of both sides.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// As much of PyTorch as the script asks for. Printing must not disturb the answers.
const TORCH: &str = r#"
print("torch prints")
__version__, uint8, int64 = "0.0", "uint8", "int64"

class Tensor:
    def __init__(self, data, width, device):
        self.data, self.width, self.device = data, width, device
    def detach(self): return self
    def contiguous(self): return self
    def reshape(self, _): return self
    def numel(self): return len(self.data) // self.width
    def element_size(self): return self.width
    def view(self, _): return Tensor(self.data, 1, self.device)
    def split(self, n):
        return [Tensor(self.data[at:at + n], 1, self.device) for at in range(0, len(self.data), n)]
    def sum(self, dtype): return Number(sum(self.data))

class Number(int):
    def item(self): return int(self)

def zeros(_, device): return Tensor(bytes(4), 4, device)
"#;

/// As much of safetensors; `CHANGE` stands for what befalls the data.
const SAFETENSORS: &str = r#"
import json
from torch import Tensor
print("safetensors prints")

def load_file(path, device):
    file = open(path, "rb").read()
    start = 8 + int.from_bytes(file[:8], "little")
    data = bytearray(file[start:])
    CHANGE
    tensors = {}
    for name, entry in json.loads(file[8:start]).items():
        begin, end = entry["data_offsets"]
        tensors[name] = Tensor(bytes(data[begin:end]), 2, device)
    return tensors
"#;

fn bench(change: &str) -> (Output, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join("packages").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    };
    write("torch.py", TORCH);
    write("safetensors/__init__.py", "");
    write("safetensors/torch.py", &SAFETENSORS.replace("CHANGE", change));
    write("safetensors-0.8.9.dist-info/METADATA", "Name: safetensors\nVersion: 0.8.9\n");
    // Those that this machine may really have are hidden.
    for module in ["fastsafetensors", "runai_model_streamer", "instanttensor"] {
        write(&format!("{module}.py"), "raise ImportError('hidden')\n");
    }
    let path = |name: &str| folder.path().join(name).display().to_string();
    let peer = format!("safetensors@{}", path("packages"));
    let output = Command::new(env!("CARGO_BIN_EXE_weighbridge"))
        .args(["bench", "load", "--device", "cpu", "--scale", "64", "--layers", "1"])
        .args(["--rounds", "2", "--folder", &path(""), "--json", &path("bench.json")])
        .args(["--peer", &peer, "--peers"])
        .env("PYTHONPATH", path("packages"))
        .output()
        .expect("the program starts");
    let text = fs::read_to_string(Path::new(&path("bench.json")));
    let text = text.unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output, serde_json::from_str(&text).expect("JSON"))
}

fn arm<'v>(all: &'v Value, name: &str) -> &'v Value {
    let arms = all["arms"].as_array().expect("arms").iter();
    let named = |arm: &&Value| arm["name"].as_str().is_some_and(|found| found.starts_with(name));
    arms.clone().find(named).unwrap_or_else(|| panic!("no {name} in {all}"))
}

#[test]
fn what_arrives_whole_is_measured_and_compared() {
    let (output, all) = bench("pass");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let peer = arm(&all, "safetensors 0.8.9 (torch 0.0)");
    assert_eq!(peer["error"], Value::Null, "{peer}");
    assert_eq!(peer["runs"].as_array().map(Vec::len), Some(2), "{peer}");
    let rate = |arm: &Value| arm["best_gbps"].as_f64().expect("a rate");
    for name in ["strict", "sealed", "unverified"] {
        let arm = arm(&all, name);
        let ratio = arm["of_peer"].as_f64().expect("a ratio");
        assert!((ratio - rate(arm) / rate(peer)).abs() <= ratio * 1e-9, "{arm}");
    }
    // The others are not there, which of all peers is no failure.
    let missing = all["missing"].as_array().expect("the missing");
    assert_eq!(missing.len(), 5, "{missing:?}");
    for other in missing {
        let why = other["why"].as_str().expect("a reason");
        assert!(why.starts_with("not installed") && other["asked"] == false, "{other}");
    }
}

#[test]
fn what_arrives_otherwise_is_told_and_is_no_measure() {
    for (change, word) in [
        ("data[-1] ^= 1", "checksum differs"),
        ("device = 'cpu:1'", "left the tensors on cpu:1"),
        ("file = file[:8] + b'{}' + b' ' * (start - 10)", "left 0 tensors"),
        ("raise OSError('no such disk')", "OSError: no such disk"),
        ("import os; os._exit(9)", "exit code 9"),
    ] {
        let (output, all) = bench(change);
        assert_eq!(output.status.code(), Some(3), "{change}: {output:?}");
        let error = arm(&all, "safetensors")["error"].as_str().expect("an error");
        assert!(error.contains(word), "{change}: {error}");
        let sealed = arm(&all, "sealed");
        assert!(sealed["of_peer"].is_null() && sealed["best_s"].is_f64(), "{sealed}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("FAILED") && text.contains(word), "{change}: {text}");
    }
}
