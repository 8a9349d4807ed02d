//! Compares sealed loads on a real device with strict loads: same tensors, same digests, same
//! gates. Every change to a file must be detected.
//!
//! `cargo run --release --example sealed_selftest [FOLDER]`. Needs a CUDA device; stops at the
//! first failed check. FOLDER is the folder for its files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use weighbridge::contract::reply::Loaded;
use weighbridge::contract::request::{DtypePolicy, Format, Load, Read, Seal, Stat, Unload};
use weighbridge::contract::{Code, Device, Loader};
use weighbridge::loader::ReferenceLoader;
use weighbridge::loader::progress::Progress;
use weighbridge::loader::seal::make;

type Answer<T> = Result<T, Box<dyn std::error::Error>>;

/// A tensor: name, element type, shape, and how its bytes begin.
type Row = (String, &'static str, Vec<u64>);

struct Bench {
    loader: ReferenceLoader,
    folder: PathBuf,
}

fn main() -> Answer<()> {
    let folder = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(folder)?;
    let mut bench = Bench { loader: ReferenceLoader::new(), folder: folder.path().into() };
    let row = |name: &str, dtype, shape: &[u64]| (name.to_owned(), dtype, shape.to_vec());
    let small: Vec<Row> =
        (0..3000).map(|at| row(&format!("layer.{at}.weight"), "BF16", &[3 + at % 11, 5])).collect();
    let sets: Vec<(&str, Vec<Row>)> = vec![
        (
            "aligned",
            vec![row("a.weight", "F32", &[5000, 1024]), row("b.weight", "BF16", &[4096, 512])],
        ),
        (
            "odd",
            vec![
                row("h.weight", "F16", &[7]),
                row("a.weight", "F32", &[1_300_003]),
                row("i", "I64", &[512]),
                row("e", "F32", &[0, 3]),
                row("b.weight", "BF16", &[5, 77_777]),
            ],
        ),
        ("small", small),
        ("tiny", vec![row("one", "F32", &[1])]),
        ("none", vec![]),
        ("empty", vec![row("e", "F16", &[0])]),
        ("edge", vec![row("x.weight", "F32", &[16, 1 << 20])]),
    ];
    for (name, rows) in &sets {
        for padding in [0, 1, 7] {
            for chunk in [4096, 65536, 1 << 20] {
                bench.same(name, rows, padding, chunk)?;
            }
        }
        println!("{name}: sealed as strict, in every chunk size");
    }
    bench.changes(&sets[1].1)?;
    bench.shards(&sets[0].1, &sets[1].1)?;
    bench.gates()?;
    assert_eq!(bench.loader.stat(Stat {})?.models, 0);
    println!("all as it should be");
    Ok(())
}

impl Bench {
    fn write(&self, name: &str, rows: &[Row], padding: usize, seed: u64) -> Answer<PathBuf> {
        let (mut members, mut data) = (Vec::new(), Vec::new());
        let mut state = seed | 1;
        for (tensor, dtype, shape) in rows {
            let begin = data.len();
            for _ in 0..shape.iter().product::<u64>() {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let value = ((state >> 40) as f32 / (1 << 24) as f32) - 0.5;
                match *dtype {
                    "F32" => data.extend(value.to_le_bytes()),
                    "F16" => data.extend(half::f16::from_f32(value).to_le_bytes()),
                    "BF16" => data.extend(half::bf16::from_f32(value).to_le_bytes()),
                    _ => data.extend(state.to_le_bytes()),
                }
            }
            let offsets = [begin, data.len()];
            members.push(format!(
                r#""{tensor}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":{offsets:?}}}"#
            ));
        }
        let header = format!("{{{}}}{}", members.join(","), " ".repeat(padding));
        let path = self.folder.join(name);
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend(&data);
        fs::write(&path, file)?;
        Ok(path)
    }

    fn seal(&self, model: &Path, chunk: u64) -> Answer<Seal> {
        let path = self.folder.join("seal.json");
        let made = make(model, chunk, &path, &Progress::default())?;
        fs::write(&path, &made.text)?;
        Ok(Seal { path, sha256: made.sha256 })
    }

    fn load(&mut self, path: &Path, keep: DtypePolicy, seal: Option<Seal>) -> Answer<Loaded> {
        let device = Device::Cuda(0);
        let admit = true;
        Ok(self.loader.load(Load {
            path: path.into(),
            format: Format::Safetensors,
            device,
            keep,
            expect_sha256: None,
            seal,
            admit,
            inference: None,
            parallel: None,
        })?)
    }

    /// Every tensor's bytes, fetched by the loader.
    fn bytes(&mut self, loaded: &Loaded) -> Answer<BTreeMap<String, Vec<u8>>> {
        let into = self.folder.join("back");
        self.loader.read(Read { handle: loaded.handle, into: into.clone(), rank: None })?;
        let bytes = fs::read(&into)?;
        fs::remove_file(into)?;
        let back = safetensors::SafeTensors::deserialize(&bytes)?;
        Ok(back.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect())
    }

    fn same(&mut self, name: &str, rows: &[Row], padding: usize, chunk: u64) -> Answer<()> {
        let path = self.write(&format!("{name}.safetensors"), rows, padding, chunk)?;
        let seal = self.seal(&path, chunk)?;
        for keep in [DtypePolicy::Stored, DtypePolicy::F32] {
            let strict = self.load(&path, keep, None)?;
            let sealed = self.load(&path, keep, Some(seal.clone()))?;
            assert_eq!((&strict.sha256, &strict.gates), (&sealed.sha256, &sealed.gates), "{name}");
            assert_eq!((&strict.tensors, strict.held_bytes), (&sealed.tensors, sealed.held_bytes));
            let own = self.bytes(&strict)?;
            assert!(own == self.bytes(&sealed)?, "{name}: bytes differ");
            for handle in [strict.handle, sealed.handle] {
                self.loader.unload(Unload { handle })?;
            }
        }
        Ok(())
    }

    fn refused(&mut self, path: &Path, seal: &Seal, why: &str) -> Answer<Code> {
        let device = Device::Cuda(0);
        let request = Load {
            path: path.into(),
            format: Format::Safetensors,
            device,
            keep: DtypePolicy::Stored,
            expect_sha256: None,
            seal: Some(seal.clone()),
            admit: false,
            inference: None,
            parallel: None,
        };
        match self.loader.load(request) {
            Ok(_) => Err(format!("{why}: loaded").into()),
            Err(failure) => Ok(failure.code),
        }
    }

    /// Five hundred flipped bits, truncation, extension.
    fn changes(&mut self, rows: &[Row]) -> Answer<()> {
        let path = self.write("changed.safetensors", rows, 3, 5)?;
        let seal = self.seal(&path, 65536)?;
        let whole = fs::read(&path)?;
        let mut state = 99u64;
        for turn in 0..500 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let at = match turn {
                0 => 0,
                1 => whole.len() - 1,
                _ => (state >> 8) as usize % whole.len(),
            };
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (state >> 60 & 7);
            fs::write(&path, &bytes)?;
            self.refused(&path, &seal, &format!("byte {at}"))?;
        }
        for cut in [1, 4096, whole.len() / 2] {
            fs::write(&path, &whole[..whole.len() - cut])?;
            self.refused(&path, &seal, "truncated")?;
        }
        fs::write(&path, [&whole[..], &[0]].concat())?;
        self.refused(&path, &seal, "extended")?;
        fs::write(&path, &whole)?;
        let loaded = self.load(&path, DtypePolicy::Stored, Some(seal))?;
        self.loader.unload(Unload { handle: loaded.handle })?;
        println!("changes: 504 refused");
        Ok(())
    }

    /// Two shards through an index, strict and sealed; swapped, they are refused.
    fn shards(&mut self, one: &[Row], other: &[Row]) -> Answer<()> {
        let folder = self.folder.join("shards");
        fs::create_dir(&folder)?;
        let mut map = Vec::new();
        for (name, rows) in [("m-1.safetensors", one), ("m-2.safetensors", other)] {
            let prefixed: Vec<Row> =
                rows.iter().map(|(n, d, s)| (format!("{name}.{n}"), *d, s.clone())).collect();
            self.write(&format!("shards/{name}"), &prefixed, 0, 77)?;
            map.extend(prefixed.iter().map(|(tensor, ..)| format!(r#""{tensor}":"{name}""#)));
        }
        let index = folder.join("m.safetensors.index.json");
        fs::write(&index, format!(r#"{{"weight_map":{{{}}}}}"#, map.join(",")))?;
        let made = make(&folder, 65536, Path::new(""), &Progress::default())?;
        let seal = Seal { path: self.folder.join("set.json"), sha256: made.sha256 };
        fs::write(&seal.path, &made.text)?;
        let strict = self.load(&index, DtypePolicy::Stored, None)?;
        let sealed = self.load(&index, DtypePolicy::Stored, Some(seal.clone()))?;
        assert_eq!((&strict.sha256, &strict.gates), (&sealed.sha256, &sealed.gates));
        let own = self.bytes(&strict)?;
        assert!(own == self.bytes(&sealed)? && own.len() == one.len() + other.len());
        for handle in [strict.handle, sealed.handle] {
            self.loader.unload(Unload { handle })?;
        }
        let shard = folder.join("m-2.safetensors");
        let mut bytes = fs::read(&shard)?;
        let last = bytes.len() - 1;
        bytes[last] ^= 0x10;
        fs::write(&shard, bytes)?;
        assert_eq!(self.refused(&index, &seal, "shard changed")?, Code::ChecksumMismatch);
        println!("shards: as one");
        Ok(())
    }

    /// A NaN at the first and the last element, and at the edges of chunks and pieces.
    fn gates(&mut self) -> Answer<()> {
        let rows: Vec<Row> = vec![("w.weight".to_owned(), "F32", vec![3000, 1024])];
        let path = self.write("gates.safetensors", &rows, 0, 1)?;
        let whole = fs::read(&path)?;
        let start = whole.len() - 3000 * 1024 * 4;
        for element in [0, 16383, 16384, 1 << 20, (1 << 20) - 1, 3000 * 1024 - 1] {
            let mut bytes = whole.clone();
            let at = start + element * 4;
            bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
            fs::write(&path, &bytes)?;
            let seal = self.seal(&path, 65536)?;
            let began = Instant::now();
            let failure =
                self.load(&path, DtypePolicy::Stored, Some(seal)).unwrap_err().to_string();
            assert!(failure.contains("NaN or infinity"), "{failure} ({:?})", began.elapsed());
            assert!(failure.contains(&format!("the first at {element}")), "{failure}");
        }
        println!("gates: as on the host");
        Ok(())
    }
}
