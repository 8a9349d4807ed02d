//! A GGUF model split into several files, as `llama-gguf-split` and the hubs have them. The first
//! file has the metadata; every file says its number, and how many files and tensors there are.

use std::path::{Path, PathBuf};

use crate::contract::{Code, Phase};
use crate::loader::error::{LoadError, Result, quote};
use crate::loader::format::Source;
use crate::loader::read::file::OpenFile;
use crate::loader::remedies::formats::{
    GGUF_PART_LATER, GGUF_PART_MISSING, GGUF_PART_NAME, GGUF_PARTS_DISAGREE,
};

use super::metadata::Metadata;

/// Most parts: the names have five digits.
const MOST: u64 = 99_999;

/// The parts of a split model.
pub(super) struct Parts {
    /// Path of the first part, without `-00001-of-00003.gguf`.
    stem: PathBuf,
    count: u64,
    /// Tensors of all parts, if the first part tells.
    tensors: Option<u64>,
}

impl Parts {
    /// The parts of a model whose first file this is; `None` if it is the only one.
    ///
    /// # Errors
    /// `invalid_config` for a later part, or for a name that does not lead to the others.
    pub(super) fn of(path: &Path, metadata: &Metadata) -> Result<Option<Parts>> {
        let count = metadata.whole("split.count")?.unwrap_or(1);
        if count <= 1 {
            return Ok(None);
        }
        let no = metadata.whole("split.no")?.unwrap_or(0);
        if count > MOST || no >= count {
            return Err(LoadError::header(GGUF_PARTS_DISAGREE, "numbers of parts that cannot be")
                .expected(format!("split.no below split.count, at most {MOST}"), {
                    format!("split.no {no}, split.count {count}")
                }));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.strip_suffix(&ending(no, count));
        if no > 0 {
            let first = match stem {
                Some(stem) => format!("{stem}{}", ending(0, count)),
                None => format!("whose name ends in {}", ending(0, count)),
            };
            let cause = GGUF_PART_LATER.about([&first]);
            return Err(LoadError::header(cause, "a later part of a split model")
                .expected("split.no 0, the first part", format!("split.no {no}")));
        }
        let stem = stem.ok_or_else(|| {
            LoadError::header(GGUF_PART_NAME, "a split model's name does not lead to its parts")
                .expected(format!("a name that ends in {}", ending(0, count)), quote(&name))
        })?;
        let tensors = metadata.whole("split.tensors.count")?;
        Ok(Some(Parts { stem: path.with_file_name(stem), count, tensors }))
    }

    /// Paths of the parts after the first.
    pub(super) fn others(&self) -> impl Iterator<Item = PathBuf> {
        (1..self.count).map(|no| {
            let mut path = self.stem.clone().into_os_string();
            path.push(ending(no, self.count));
            PathBuf::from(path)
        })
    }

    /// Opens a part.
    ///
    /// # Errors
    /// `not_found` with the part's name; those of opening.
    pub(super) fn open(
        &self,
        path: &Path,
        open: &dyn Fn(&Path) -> Result<OpenFile>,
    ) -> Result<Source> {
        let file = open(path).map_err(|error| match error.code() {
            Code::NotFound => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let cause = GGUF_PART_MISSING.about([&name]);
                LoadError::refused(Phase::Open, cause, "a part of the model is missing")
                    .expected(format!("{} files", self.count), format!("no file {}", quote(&name)))
                    .path(path)
            }
            _ => error.path(path),
        })?;
        Ok(Source::new(file))
    }

    /// Checks what a part says of its place.
    ///
    /// # Errors
    /// `invalid_config`.
    pub(super) fn check(&self, no: usize, metadata: &Metadata) -> Result<()> {
        for (key, wanted) in [("split.no", no as u64), ("split.count", self.count)] {
            let found = metadata.whole(key)?;
            if found != Some(wanted) {
                let found = found.map_or_else(|| "none".to_owned(), |found| found.to_string());
                return Err(LoadError::header(GGUF_PARTS_DISAGREE, "a part of another model")
                    .expected(format!("{key} {wanted}"), format!("{key} {found}")));
            }
        }
        Ok(())
    }

    /// Checks the number of all tensors.
    ///
    /// # Errors
    /// `invalid_config`.
    pub(super) fn check_tensors(&self, found: u64) -> Result<()> {
        match self.tensors.filter(|told| *told != found) {
            None => Ok(()),
            Some(told) => {
                Err(LoadError::header(GGUF_PARTS_DISAGREE, "the parts lack tensors, or have more")
                    .expected(format!("{told} tensors, by split.tensors.count"), found))
            }
        }
    }
}

/// The end of a part's name; numbers in names begin with 1.
fn ending(no: u64, count: u64) -> String {
    format!("-{:05}-of-{count:05}.gguf", no + 1)
}
