//! Gives a model an input that it must refuse.

use safetensors::tensor::Dtype;

use crate::contract::inference::{ATTENTION_MASK, Batch, INPUT_IDS, Input, VECTORS};
use crate::harness::case::forward::{RejectInput, Wrong};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::words::plain;
use crate::harness::run::case_run::{CaseEnd, CaseRun};
use crate::harness::run::step::batch;
use crate::harness::run::step::refusal::{refused, wanted};

/// Gives a model an input that it must refuse, and then one that it must still take.
pub fn reject_input(case_run: &mut CaseRun<'_>, step: &RejectInput) -> Result<(), CaseEnd> {
    let (handle, file) = {
        let model = case_run.model(&step.model)?;
        (model.handle, model.file.clone())
    };
    let seed = case_run.seed("misfit");
    case_run.begin(format!("give an input that the model must refuse: {}", plain(step.input)));
    let (input, sound, gives) = case_run.gathering(|case_run| {
        let (path, sound) = (case_run.input_file(), case_run.input_file());
        let model = case_run.placed_model(&file)?;
        let gives = model.gives();
        batch::write(&batch::random(&model.recipe, 1, None, seed), &sound)?;
        let sizes = &model.recipe.sizes;
        let longest = sizes.longest(model.recipe.architecture);
        let (limit, types) = (sizes.vocabulary as i64, sizes.types as i64);
        let plain = |ids: Vec<i64>| {
            let mask = vec![1; ids.len()];
            Batch::Tokens { rows: 1, columns: ids.len(), ids, mask, types: Vec::new() }
        };
        let with = |mask: Vec<i64>, types: Vec<i64>| Batch::Tokens {
            rows: 2,
            columns: 2,
            ids: vec![5, 6, 7, 8],
            mask,
            types,
        };
        let wide =
            |values: &[i64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let text =
            |width: usize, values: Vec<f32>| Batch::Vectors { rows: 1, columns: width, values };
        match step.input {
            Wrong::IdBeyond => batch::write(&plain(vec![5, limit, 6]), &path)?,
            Wrong::IdNegative => batch::write(&plain(vec![5, -1, 6]), &path)?,
            Wrong::TooLong => batch::write(&plain(vec![5; longest + 1]), &path)?,
            Wrong::Empty => batch::write(&plain(Vec::new()), &path)?,
            Wrong::NoToken => batch::write(&with(vec![1, 1, 0, 0], Vec::new()), &path)?,
            Wrong::MaskValue => batch::write(&with(vec![1, 2, 1, 1], Vec::new()), &path)?,
            Wrong::TypeBeyond => {
                batch::write(&with(vec![1; 4], vec![0, 0, types, 0]), &path)?;
            }
            Wrong::MaskShape => batch::write_tensors(
                &[
                    (INPUT_IDS, Dtype::I64, vec![1, 3], wide(&[5, 6, 7])),
                    (ATTENTION_MASK, Dtype::I64, vec![1, 2], wide(&[1, 1])),
                ],
                &path,
            )?,
            Wrong::IdType => batch::write_tensors(
                &[
                    (INPUT_IDS, Dtype::F32, vec![1, 2], vec![0; 8]),
                    (ATTENTION_MASK, Dtype::I64, vec![1, 2], wide(&[1, 1])),
                ],
                &path,
            )?,
            Wrong::NoIds => batch::write_tensors(
                &[(ATTENTION_MASK, Dtype::I64, vec![1, 2], wide(&[1, 1]))],
                &path,
            )?,
            Wrong::VectorLength => {
                batch::write(&text(sizes.hidden + 1, vec![0.5; sizes.hidden + 1]), &path)?;
            }
            Wrong::VectorNan => {
                let mut values = vec![0.5; sizes.hidden];
                values[1] = f32::NAN;
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                batch::write_tensors(
                    &[(VECTORS, Dtype::F32, vec![1, sizes.hidden], bytes)],
                    &path,
                )?;
            }
            Wrong::NoText => return Ok((Input::Texts(Vec::new()), sound, gives)),
            Wrong::NoFile => {}
        }
        Ok((Input::File(path), sound, gives))
    })?;
    match batch::ask(case_run, (handle, gives), input, false)? {
        Err(failure) => refused(case_run, &step.refused, &failure)?,
        Ok(_) => {
            let wanted = wanted(&step.refused);
            case_run.check(Check::broken("answer", wanted, "an output", Basis::Observed))?;
        }
    }
    // The model must still run after it refused an input.
    match batch::ask(case_run, (handle, gives), Input::File(sound), false)? {
        Ok(given) => {
            let rows = given.output.shape.first().copied();
            case_run.check(Check::equal("rows, sound input", 1, rows.unwrap_or(0), Basis::Observed))
        }
        Err(failure) => Err(case_run.unexpected("an output of a sound input afterwards", &failure)),
    }
}
