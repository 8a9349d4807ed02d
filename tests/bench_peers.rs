//! The adapters that `bench` asks, whole, with packages that only pretend: what they load is compared
//! with the file, and what they compute with our own.

mod program;

use std::fs;
use std::path::Path;

use program::{Ran, command, ran};
use serde_json::Value;

/// As much of PyTorch as the adapter asks for. Printing must not disturb the answers.
const TORCH: &str = r#"
print("torch prints")
__version__, uint8 = "0.0", "uint8"
float32, float16, bfloat16, int64 = "F32", "F16", "BF16", "I64"

class Tensor:
    def __init__(self, data, dtype, shape, device):
        self.data, self.dtype, self.shape, self.device = data, dtype, shape, device
    def detach(self): return self
    def contiguous(self): return self
    def cpu(self): return self
    def reshape(self, _): return self
    def element_size(self): return {"F32": 4, "I64": 8}.get(self.dtype, 2)
    def numel(self): return len(self.data) // self.element_size()
    def view(self, _): return self
    def numpy(self): return self.data

def zeros(_, device): return Tensor(bytes(4), "F32", [1], device)
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
        tensors[name] = Tensor(bytes(data[begin:end]), entry["dtype"], entry["shape"], device)
    return tensors
"#;

fn bench(change: &str) -> (Ran, Value) {
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
    let mut bench =
        command(&["bench", "load", "--device", "cpu", "--scale", "64", "--layers", "1"]);
    bench.args(["--rounds", "2", "--folder", &path(""), "--out", &path("bench.json")]);
    bench.args(["--peer", &peer, "--peers"]).env("PYTHONPATH", path("packages"));
    let output = ran(&mut bench);
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
    assert_eq!(output.code, Some(0), "{output:?}");
    let peer = arm(&all, "safetensors 0.8.9 (torch 0.0)");
    assert_eq!(peer["error"], Value::Null, "{peer}");
    assert_eq!(peer["runs"].as_array().map(Vec::len), Some(2), "{peer}");
    assert!(peer["clock"].as_str().is_some_and(|clock| clock.contains("reply")), "{peer}");
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
        ("device = 'cuda:1'", "left the tensors on cuda:1"),
        ("file = file[:8] + b'{}' + b' ' * (start - 10)", "left 0 tensors"),
        ("raise OSError('no such disk')", "OSError: no such disk"),
        ("import os; os._exit(9)", "status 9"),
    ] {
        let (output, all) = bench(change);
        assert_eq!(output.code, Some(3), "{change}: {output:?}");
        let error = arm(&all, "safetensors")["error"].as_str().expect("an error");
        assert!(error.contains(word), "{change}: {error}");
        let sealed = arm(&all, "sealed");
        assert!(sealed["of_peer"].is_null() && sealed["best_s"].is_f64(), "{sealed}");
        let text = output.out;
        assert!(text.contains("FAILED") && text.contains(word), "{change}: {text}");
    }
}

/// An adapter that answers at once, in the place of transformers.
const DECODER: &str = r#"
import struct, sys, time
from weighbridge_adapter import CAPABILITIES, Loader, serve
from weighbridge_adapter.safetensors import write

class Counter(Loader):
    name, version = "transformers", "0.1, torch 0.0"
    capabilities = {**dict.fromkeys(CAPABILITIES, "counts"), **dict.fromkeys(
        ["device.cpu", "format.safetensors", "dtype.f32", "logits", "generate", "model.qwen2"], True)}
    def load(self, path, device, admit, inference, **_):
        return {"handle": self.hold(path), "device": device, "file_bytes": 0, "held_bytes": 0, "tensors": []}
    def generate(self, handle, prompt, limit, sampling, into=None):
        if sys.argv[-2] == "decoder-static":
            raise RuntimeError("no compiler")
        time.sleep(0.002)  # The round trip must be longer than what the reply tells.
        reply = {"prompt": prompt["tokens"], "tokens": list(range(limit)), "stop": "limit", "device": "cpu",
                 "elapsed_us": limit}
        if into is not None:
            # Logits that are off by a tenth, but for those of the truth.
            value = 1.0 if sys.argv[-2] == "decoder-f64" else 1.1
            logits = struct.pack("<f", value) * VOCABULARY
            reply["written"] = write(into, [("logits", "F32", [1, VOCABULARY], logits)])
        return reply

serve(Counter())
"#;

#[test]
fn a_decoder_is_timed_by_what_its_replies_tell() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/chat/model");
    let config = fs::read(model.join("config.json")).expect("a configuration");
    let config: Value = serde_json::from_slice(&config).expect("JSON");
    let decoder = DECODER.replace("VOCABULARY", &config["vocab_size"].to_string());
    fs::write(path("counter.py"), decoder).expect("written");
    let stub = format!("#!/bin/sh\nexec python3 {} \"$@\"\n", path("counter.py"));
    fs::write(path("python"), stub).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(path("python"), mode).expect("made executable");
    let mut bench = command(&["bench", "decode", "--device", "cpu", "--rounds", "1", "--json"]);
    bench.arg("--model").arg(model).args(["--peers", "--python", &path("python")]);
    let output = ran(&mut bench);
    assert_eq!(output.code, Some(3), "{output:?}");
    let all: Value = serde_json::from_str(&output.out).expect("JSON alone");
    let rows = all["results"].as_array().expect("rows");
    assert_eq!(rows.len(), 2, "{all}");
    assert_eq!(rows[1]["arm"], "transformers 0.1, torch 0.0, eager");
    // 255 tokens take 255 microseconds more than one, and a first token takes one.
    let rate = rows[1]["tokens_per_second"].as_f64().expect("a rate");
    assert!((rate - 1e6).abs() < 1.0, "{rate}");
    assert_eq!(rows[1]["first_seconds"], serde_json::json!([1e-6, 1e-6, 1e-6]));
    // All of its logits are off by a tenth; ours are of a model that it knows nothing about.
    assert_eq!(rows[0]["arm"], "weighbridge, exact");
    assert_eq!((&rows[0]["compute"], &rows[0]["admitted"]), (&"exact".into(), &Value::Null));
    for error in rows[1]["errors"].as_array().expect("an error for each prompt") {
        for measure in ["relative", "greatest"] {
            let found = error[measure].as_f64().expect("a number");
            assert!((found - 0.1).abs() < 1e-6, "{error}");
        }
    }
    assert_eq!(rows[0]["errors"].as_array().map(Vec::len), Some(3));
    assert_eq!(all["missing"][0]["name"], "transformers, static, compiled");
    assert_eq!(all["missing"][0]["why"], "RuntimeError: no compiler");
    // Each figure is shown when it is known, so that a run that is cut short has shown it.
    for shown in [
        "transformers 0.1, torch 0.0, eager",
        "first token 0.00 ms after 16, 0.00 ms after 128, 0.00 ms after 1000",
        "error against F64: weighbridge, exact",
        "error against F64: transformers 0.1, torch 0.0, eager",
        "16: 1.0e-1, 1.0e-1",
    ] {
        assert!(output.err.contains(shown), "{shown}: {}", output.err);
    }
}

#[test]
fn a_gguf_runtime_gets_the_same_weights() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let bench = |manifest: &str| {
        let arguments =
            ["bench", "decode", "--device", "cpu", "--rounds", "1", "--json", "--model"];
        ran(command(&arguments).args(["fixtures/qwen/model", "--gguf-runtime", manifest]))
    };
    // The bundled loader serves as the runtime: from GGUF it reads the same values, so it says the same tokens.
    let own = env!("CARGO_BIN_EXE_weighbridge");
    fs::write(path("own.yaml"), format!("name: own\ncommand: [{own}, loader]\n")).expect("written");
    let output = bench(&path("own.yaml"));
    assert_eq!(output.code, Some(0), "{output:?}");
    let all: Value = serde_json::from_str(&output.out).expect("JSON alone");
    let row = &all["results"][1];
    assert_eq!(row["arm"], concat!("weighbridge-reference ", env!("CARGO_PKG_VERSION"), ", GGUF"));
    assert_eq!(row["alike"], 256, "{row}");
    assert!(row["tokens_per_second"].as_f64().is_some_and(|rate| rate > 0.0), "{row}");
    // A runtime that ends is missing, which the exit code tells; a manifest that is not there is a usage error.
    fs::write(path("ends.yaml"), "name: ends\ncommand: [sh, -c, exit 3]\n").expect("written");
    let output = bench(&path("ends.yaml"));
    assert_eq!(output.code, Some(3), "{output:?}");
    let all: Value = serde_json::from_str(&output.out).expect("JSON alone");
    assert_eq!(all["missing"][0]["name"], "ends");
    assert!(all["missing"][0]["why"].as_str().is_some_and(|why| why.contains("status 3")), "{all}");
    assert_eq!(bench(&path("none.yaml")).code, Some(2));
}
