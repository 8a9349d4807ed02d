//! Replaced answers, and changes to the files that an answer names.

use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::contract::inference::{Input, TRACE};
use crate::contract::reply::{Done, Reply, Written};
use crate::contract::request::{Request, Unload};
use crate::contract::{DType, Failure, Loader, Phase};
use crate::loader::ReferenceLoader;
use crate::loader::format::safetensors;
use crate::loader::format::safetensors::PREFIX;
use crate::loader::read::digest;
use crate::mutants::between::{Answer, Between};

/// Bytes that are reported for each model.
const ESTIMATE: u64 = 64 << 20;

/// Counts models truly, and estimates their bytes.
pub(super) struct StatMadeUp;

impl Between for StatMadeUp {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let mut reply = loader.answer(request)?;
        if let Reply::Stat(held) = &mut reply {
            for bytes in [&mut held.host_bytes, &mut held.device_bytes] {
                *bytes = if *bytes > 0 { held.models * ESTIMATE } else { 0 };
            }
        }
        Ok(reply)
    }
}

/// Refuses files with BF16 tensors as unsupported.
pub(super) struct UnsupportedLies;

impl Between for UnsupportedLies {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let reply = loader.answer(request)?;
        match &reply {
            Reply::Load(loaded) if loaded.tensors.iter().any(|one| one.stored == DType::BF16) => {
                loader.answer(Request::Unload(Unload { handle: loaded.handle }))?;
                Err(Failure::unsupported(Phase::Header, "this loader does not hold BF16"))
            }
            _ => Ok(reply),
        }
    }
}

/// Reports every synchronisation as done.
pub(super) struct AnySynchronized;

impl Between for AnySynchronized {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        match request {
            Request::Synchronize(_) => Ok(Reply::Synchronize(Done {})),
            request => loader.answer(request),
        }
    }
}

/// Encodes the first word of each text.
pub(super) struct FirstWord;

impl Between for FirstWord {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        if let Request::Forward(forward) = &mut request
            && let Input::Texts(texts) = &mut forward.input
        {
            for text in texts {
                *text = text.split_whitespace().next().unwrap_or_default().to_owned();
            }
        }
        loader.answer(request)
    }
}

/// How many of a tensor's last bytes become zero, in a file for this request: its name and size are
/// given.
type Lie = fn(&Request, &str, usize) -> usize;

/// Changes the files that answers name.
pub(super) struct Changed(pub(super) Lie);

impl Between for Changed {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let asked = request.clone();
        let mut reply = loader.answer(request)?;
        let (into, written) = match (&asked, &mut reply) {
            (Request::Read(read), Reply::Read(written)) => (&read.into, written),
            (Request::Multiply(product), Reply::Multiply(written)) => (&product.into, written),
            (Request::Forward(forward), Reply::Forward(run)) => (&forward.into, &mut run.written),
            _ => return Ok(reply),
        };
        // If the file cannot be changed, the answer is honest.
        let _honest = rewrite(into, written, |name, size| (self.0)(&asked, name, size));
        Ok(reply)
    }
}

/// The last bytes of each tensor that is read back.
pub(super) fn tails_zeroed(request: &Request, _name: &str, size: usize) -> usize {
    if matches!(request, Request::Read(_)) { size.min(4) } else { 0 }
}

/// The last element of a product.
pub(super) fn products(request: &Request, _name: &str, size: usize) -> usize {
    if matches!(request, Request::Multiply(_)) { size.min(4) } else { 0 }
}

/// Every traced state.
pub(super) fn traces(request: &Request, name: &str, size: usize) -> usize {
    if matches!(request, Request::Forward(_)) && name.starts_with(TRACE) { size } else { 0 }
}

/// Writes zeros over the last bytes of tensors in a safetensors file. `zeros` tells how many.
fn rewrite(path: &Path, written: &mut Written, zeros: impl Fn(&str, usize) -> usize) -> Option<()> {
    let mut file = std::fs::read(path).ok()?;
    let length = u64::from_le_bytes(*file.first_chunk::<8>()?) as usize;
    let start = PREFIX as usize + length;
    let header = safetensors::parse(file.get(PREFIX as usize..start)?).ok()?;
    let mut done = false;
    for tensor in &header.tensors {
        let end = start + tensor.end as usize;
        let count = zeros(&tensor.name, (tensor.end - tensor.begin) as usize);
        file.get_mut(end.checked_sub(count)?..end)?.fill(0);
        done |= count > 0;
    }
    if done {
        std::fs::write(path, &file).ok()?;
        written.sha256 = digest::hex(&Sha256::digest(&file));
    }
    Some(())
}

/// Exchanges the sides of matrices in files that read back a model: of divided models, or of the others.
pub(in crate::mutants) struct Turned {
    pub(in crate::mutants) divided: bool,
}

impl Between for Turned {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let Request::Read(read) = &request else { return loader.answer(request) };
        let (into, mine) = (read.into.clone(), read.rank.is_some() == self.divided);
        let mut reply = loader.answer(request)?;
        if let Reply::Read(written) = &mut reply
            && mine
        {
            // If the file cannot be changed, the answer is honest.
            let _honest = turn(&into, written);
        }
        Ok(reply)
    }
}

/// Exchanges the sides of each matrix in the header of a safetensors file. The bytes stay.
fn turn(path: &Path, written: &mut Written) -> Option<()> {
    let file = std::fs::read(path).ok()?;
    let length = u64::from_le_bytes(*file.first_chunk::<8>()?) as usize;
    let (header, data) = file.get(PREFIX as usize..)?.split_at_checked(length)?;
    let mut header: serde_json::Map<String, Value> = serde_json::from_slice(header).ok()?;
    for tensor in header.values_mut() {
        if let Some([first, second]) =
            tensor.get_mut("shape").and_then(Value::as_array_mut).map(Vec::as_mut_slice)
        {
            std::mem::swap(first, second);
        }
    }
    let mut text = serde_json::to_vec(&header).ok()?;
    text.resize(text.len().next_multiple_of(8), b' ');
    let turned = [&(text.len() as u64).to_le_bytes(), text.as_slice(), data].concat();
    std::fs::write(path, &turned).ok()?;
    *written =
        Written { bytes: turned.len() as u64, sha256: digest::hex(&Sha256::digest(&turned)) };
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::request::{Multiply, Read, Stat};

    #[test]
    fn only_the_end_of_a_product_becomes_zero() {
        let (a, b, into) = ("a".to_owned(), "b".to_owned(), "".into());
        let product = Request::Multiply(Multiply { handle: 1, a, b, into });
        let read = Request::Read(Read { handle: 1, into: "".into(), rank: None });
        for (request, products, tails) in [
            (product, [4, 2], [0, 0]),
            (read, [0, 0], [4, 2]),
            (Request::Stat(Stat {}), [0; 2], [0; 2]),
        ] {
            assert_eq!([64, 2].map(|size| super::products(&request, "c", size)), products);
            assert_eq!([64, 2].map(|size| tails_zeroed(&request, "c", size)), tails);
        }
    }

    #[test]
    fn the_last_bytes_of_a_file_are_rewritten_with_its_digest() {
        let tensors = crate::loader::load::tests::file_of(&[
            ("a", "F32", &[2], &[1; 8]),
            ("b", "F32", &[2], &[2; 8]),
        ]);
        let before = std::fs::read(tensors.path()).expect("readable");
        let mut written = Written { bytes: before.len() as u64, sha256: String::new() };
        let of_b = |name: &str, size: usize| if name == "b" { size.min(4) } else { 0 };
        assert_eq!(rewrite(tensors.path(), &mut written, of_b), Some(()));
        let after = std::fs::read(tensors.path()).expect("readable");
        let (kept, zeroed) = after.split_at(after.len() - 4);
        assert_eq!((kept, zeroed), (&before[..before.len() - 4], &[0; 4][..]));
        assert_eq!(written.sha256, digest::hex(&Sha256::digest(&after)));
        // A file that is not changed keeps the digest that was told.
        let mut written = Written { bytes: 0, sha256: "told".to_owned() };
        assert_eq!(rewrite(tensors.path(), &mut written, |_, _| 0), Some(()));
        assert_eq!(written.sha256, "told");
        assert_eq!(rewrite(Path::new("/nonexistent"), &mut written, |_, _| 4), None);
    }
}
