//! Opens the files of a model, reads and checks their headers, and places every tensor.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::contract::request::{DtypePolicy, Format};
use crate::contract::{Code, Phase};

use super::shard_index::Index;
use crate::loader::decisions::LoadDecisions;
use crate::loader::error::{LoadError, Result};
use crate::loader::format;
use crate::loader::format::safetensors;
use crate::loader::format::safetensors::TensorInfo;
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::format::widen::width;
use crate::loader::format::{EmbeddedDocuments, Import, Tail};
use crate::loader::memory::ALIGNMENT;
use crate::loader::read::file::OpenFile;
use crate::loader::remedies::files::SHARD_NOT_FOUND;
use crate::loader::remedies::header::SIZE_OVERFLOW;

/// Every file's part of a model begins at a multiple of this in the model's memory, in bytes.
const PART_ALIGNMENT: u64 = 256;

/// An open file whose header has been read.
pub struct File {
    /// The open file.
    pub source: OpenFile,
    /// Range of the data in the file, in bytes.
    pub data: Range<u64>,
    /// A hasher that has processed everything before the data.
    pub hasher: Sha256,
    /// Digest of everything before the data.
    pub header_digest: [u8; 32],
    /// Its tensors, in the header's order. Offsets count from the start of `part`.
    pub tensors: Vec<PlacedTensor>,
    /// Buffers of an older export, which are not loaded.
    pub left_out: Vec<TensorInfo>,
    /// Range of its tensors in the model's memory, in bytes.
    pub part: Range<u64>,
    /// The checksum at the end of the file, if its format has one.
    pub tail: Option<Tail>,
    metadata: Option<BTreeMap<String, String>>,
}

/// All files of a model, in ascending order of their names.
pub struct Files {
    all: Vec<File>,
    documents: Option<EmbeddedDocuments>,
    notes: Vec<String>,
}

impl Files {
    /// Opens a file of this format, or the shards of an index, and checks all headers. `runs` says
    /// whether a model is to be run: then the buffers of older exports are left out.
    ///
    /// # Errors
    /// Those of opening, of headers and of the index; each names its file.
    pub fn open(
        path: &Path,
        format: Format,
        decisions: &dyn LoadDecisions,
        keep: DtypePolicy,
        runs: bool,
    ) -> Result<Files> {
        let format = decisions.format(format, path);
        if !format.is_usual() {
            let (all, documents) = File::open_imported(path, format, decisions, keep)?;
            let all = one_after_another(all)?;
            return Ok(Files { all, documents: Some(documents), notes: Vec::new() });
        }
        let index = Index::open(path)?;
        let all = match &index {
            None => vec![File::open(path, decisions, keep, runs)?],
            Some(index) => {
                let mut all = Vec::new();
                for path in index.paths() {
                    match File::open(&path, decisions, keep, runs) {
                        Ok(file) => all.push(file),
                        Err(error) => decisions.shard_missing(missing_shard(error, &path))?,
                    }
                }
                all
            }
        };
        let mut notes = Vec::new();
        if let Some(index) = &index {
            let shards = all.iter().map(|file| (file.source.path(), file.infos().collect()));
            let checked = index.check(&shards.collect::<Vec<_>>());
            decisions.index(checked.map(|told| notes = told))?;
        }
        Ok(Files { all: one_after_another(all)?, documents: None, notes })
    }

    /// Documents embedded in the file, if its format has them.
    pub fn documents(&self) -> Option<&EmbeddedDocuments> {
        self.documents.as_ref()
    }

    /// The files.
    pub fn all(&self) -> &[File] {
        &self.all
    }

    /// What the index says otherwise than the shards, where the shards count.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Names of the buffers that are not loaded.
    pub fn left_out(&self) -> impl Iterator<Item = &str> {
        self.all.iter().flat_map(|file| &file.left_out).map(|buffer| buffer.name.as_str())
    }

    /// Size of all files, in bytes.
    pub fn bytes(&self) -> u64 {
        self.all.iter().map(|file| file.source.bytes()).sum()
    }

    /// Size of all data, in bytes.
    pub fn data_bytes(&self) -> u64 {
        self.all.iter().map(File::data_bytes).sum()
    }

    /// Memory that the model needs, in bytes.
    pub fn arena_bytes(&self) -> u64 {
        self.all.last().map_or(0, |file| file.part.end)
    }

    /// The model's digest: that of the one file, or SHA-256 over the digests of several files.
    pub fn digest(&self, files: &[[u8; 32]]) -> [u8; 32] {
        match files {
            [one] => *one,
            several => Sha256::digest(several.as_flattened()).into(),
        }
    }

    /// The metadata of the first file that has any.
    pub fn metadata(&self) -> Option<BTreeMap<String, String>> {
        self.all.iter().find_map(|file| file.metadata.clone())
    }

    /// All tensors, file by file. Offsets count from the start of the model's memory.
    pub fn tensors(&self) -> Vec<PlacedTensor> {
        let mut all = Vec::with_capacity(self.counts().sum());
        for file in &self.all {
            all.extend(file.tensors.iter().map(|tensor| {
                let mut placed = tensor.clone();
                placed.offset += file.part.start;
                placed
            }));
        }
        all
    }

    /// The number of tensors of each file.
    pub fn counts(&self) -> impl Iterator<Item = usize> {
        self.all.iter().map(|file| file.tensors.len())
    }
}

impl File {
    /// Size of its data, in bytes.
    pub fn data_bytes(&self) -> u64 {
        self.data.end - self.data.start
    }

    /// The description of every tensor, also of those that are not loaded.
    fn infos(&self) -> impl Iterator<Item = &TensorInfo> {
        self.tensors.iter().map(|tensor| &tensor.info).chain(&self.left_out)
    }

    fn open(
        path: &Path,
        decisions: &dyn LoadDecisions,
        keep: DtypePolicy,
        runs: bool,
    ) -> Result<File> {
        let mut source = decisions.source(OpenFile::open(path)?)?;
        let mut hasher = Sha256::new();
        let text = safetensors::read_text(&mut source, &mut hasher)?;
        let data = source.bytes() - source.left()..source.bytes();
        let header = decisions.header(&text)?;
        decisions.layout(&header, source.left())?;
        let (mut tensors, mut left_out) = (Vec::with_capacity(header.tensors.len()), Vec::new());
        for info in header.tensors {
            let of = if decisions.left_out(&info, runs)? { &mut left_out } else { &mut tensors };
            of.push(info);
        }
        safetensors::layout::check_held(&tensors)?;
        let tensors = tensors.into_iter().map(|info| (info, Import::default()));
        let (tensors, length) = plan(decisions, tensors, keep)?;
        Ok(File {
            source,
            data,
            header_digest: hasher.clone().finalize().into(),
            hasher,
            tensors,
            left_out,
            part: 0..length,
            tail: None,
            metadata: header.metadata,
        })
    }

    fn open_imported(
        path: &Path,
        format: Format,
        decisions: &dyn LoadDecisions,
        keep: DtypePolicy,
    ) -> Result<(Vec<File>, EmbeddedDocuments)> {
        let open = |path: &Path| decisions.source(OpenFile::open(path)?);
        let (sources, read) = format::read(format, open(path)?, &open)?;
        let read = decisions.imported_model(format, read);
        let mut all = Vec::new();
        for (place, (source, file)) in sources.into_iter().zip(read.files).enumerate() {
            let own = read.tensors.iter().filter(|tensor| tensor.file == place);
            let own = own.map(|tensor| (tensor.info.clone(), tensor.import));
            let (tensors, length) = plan(decisions, own, keep)?;
            all.push(File {
                source: source.file,
                data: file.data,
                header_digest: source.hasher.clone().finalize().into(),
                hasher: source.hasher,
                tensors,
                left_out: Vec::new(),
                part: 0..length,
                tail: file.tail,
                metadata: None,
            });
        }
        Ok((all, read.documents))
    }
}

/// Gives every file its part of the model's memory.
fn one_after_another(mut all: Vec<File>) -> Result<Vec<File>> {
    let mut end = 0u64;
    for file in &mut all {
        let length = file.part.end;
        let start = end.checked_next_multiple_of(PART_ALIGNMENT).ok_or_else(too_large)?;
        end = start.checked_add(length).ok_or_else(too_large)?;
        file.part = start..end;
    }
    Ok(all)
}

/// Places every tensor in memory, in the order of their bytes in the file.
fn plan(
    decisions: &dyn LoadDecisions,
    all: impl Iterator<Item = (TensorInfo, Import)>,
    keep: DtypePolicy,
) -> Result<(Vec<PlacedTensor>, u64)> {
    let mut tensors = Vec::with_capacity(all.size_hint().0);
    for (info, import) in all {
        let dtype = decisions.kept(&info, keep);
        let width = width(dtype).ok_or_else(|| LoadError::internal("kept dtype without width"))?;
        // The layout is checked: a tensor without bytes takes none, whatever its dimensions are.
        let elements = if info.begin == info.end { Some(0) } else { info.elements() };
        let bytes = elements.and_then(|count| count.checked_mul(width));
        let bytes = bytes.ok_or_else(too_large)?;
        tensors.push(PlacedTensor { info, dtype, offset: 0, bytes, import });
    }
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|index| tensors[*index].info.begin);
    let mut total = 0u64;
    for index in order {
        let tensor = &mut tensors[index];
        if tensor.bytes == 0 {
            continue;
        }
        tensor.offset = total.checked_next_multiple_of(ALIGNMENT).ok_or_else(too_large)?;
        total = tensor.offset.checked_add(tensor.bytes).ok_or_else(too_large)?;
    }
    Ok((tensors, total))
}

/// Converts the error for a shard that cannot be opened. The index names it, so a missing file is a
/// missing shard.
fn missing_shard(error: LoadError, path: &Path) -> LoadError {
    match error.code() {
        // A link without its target has a remedy of its own.
        Code::NotFound if !path.is_symlink() => {
            LoadError::refused(Phase::Open, SHARD_NOT_FOUND, "a shard of the index is missing")
                .expected("a readable file", error.failure().actual.clone().unwrap_or_default())
                .path(path)
        }
        _ => error.path(path),
    }
}

fn too_large() -> LoadError {
    LoadError::header(SIZE_OVERFLOW, "the tensors' sizes do not fit in 64 bits")
        .expected("sizes that add up to less than 2^64 bytes", "more")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::DType;
    use crate::loader::decisions::Honest;

    #[test]
    fn sizes_that_do_not_add_up_in_64_bits_are_refused() {
        let tensor = |begin, elements: u64| {
            let (name, end) = ("t".to_owned(), begin + elements * 2);
            let info = TensorInfo { name, dtype: DType::F16, shape: vec![elements], begin, end };
            (info, Import::default())
        };
        let placed = |all: Vec<(TensorInfo, Import)>, keep| {
            plan(&Honest, all.into_iter(), keep).map(|(tensors, total)| {
                (tensors.iter().map(|one| (one.offset, one.bytes)).collect::<Vec<_>>(), total)
            })
        };
        // In the order of their bytes, each at its alignment; what is empty takes no place.
        let all = vec![tensor(6, 1), tensor(0, 3), tensor(6, 0)];
        let stored = placed(all.clone(), DtypePolicy::Stored);
        assert_eq!(stored, Ok((vec![(16, 2), (0, 6), (0, 0)], 18)));
        assert_eq!(placed(all, DtypePolicy::F32), Ok((vec![(16, 4), (0, 12), (0, 0)], 20)));
        let half = (1 << 62) - 8;
        for (all, keep) in [
            (vec![tensor(0, 1 << 62)], DtypePolicy::F32),
            (vec![tensor(0, half), tensor(2 * half, 9)], DtypePolicy::F32),
        ] {
            let error = placed(all, keep).expect_err("beyond 64 bits");
            assert_eq!(error.code(), Code::SizeOverflow);
            assert_eq!(error.failure().actual.as_deref(), Some("more"));
        }
    }
}
