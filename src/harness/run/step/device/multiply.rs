//! Compares a matrix product of the loader's BLAS with float64.

use crate::contract::reply::Reply;
use crate::contract::request::{self, Request};
use crate::harness::case::step::Multiply;
use crate::harness::evidence::memory::has_mapped;
use crate::harness::fixture::Fixture;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// Asks for C = A x B and compares every element.
pub fn multiply(case_run: &mut CaseRun<'_>, step: &Multiply) -> Result<(), CaseEnd> {
    case_run.begin(format!("multiply {} by {}", step.a, step.b));
    let handle = case_run.model(&step.model)?.handle;
    let into = case_run.scratch_file();
    let request =
        request::Multiply { handle, a: step.a.clone(), b: step.b.clone(), into: into.clone() };
    match case_run.ask(Request::Multiply(request), 0)? {
        Ok(Reply::Multiply(_)) => {}
        Ok(other) => return Err(CaseEnd::Fault(format!("a {} reply to multiply", other.verb()))),
        Err(failure) => return Err(case_run.unexpected("a product", &failure)),
    }
    let mapped = has_mapped(case_run.pid()?, &step.library).map_err(CaseEnd::Untested)?;
    let found = if mapped { step.library.as_str() } else { "not mapped" };
    case_run.check(Check::equal(
        "library mapped in the process",
        step.library.as_str(),
        found,
        Basis::Observed,
    ))?;
    let check = case_run.gathering(|case_run| {
        let fixture = &case_run.model(&step.model)?.from.fixture;
        let (a, b) = (matrix(fixture, &step.a)?, matrix(fixture, &step.b)?);
        let values = a.rows as u64 * b.columns as u64;
        let most = CaseRun::most_of_tensors(values * size_of::<f32>() as u64);
        let product = case_run.take_answer(&into, most);
        Ok::<_, CaseEnd>(match product.and_then(|bytes| read_product(&bytes, &a, &b)) {
            Ok(c) => worst_error(&a, &b, &c, step.tolerance),
            Err(why) => Check::broken("product", "a file with tensor c", why, Basis::Observed),
        })
    })?;
    case_run.check(check)
}

struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

fn matrix(fixture: &Fixture, name: &str) -> Result<Matrix, CaseEnd> {
    let missing = || CaseEnd::Fault(format!("no such tensor in the case: {name}"));
    let truth = fixture.tensor(name).ok_or_else(missing)?;
    let [rows, columns] = truth.shape[..] else {
        return Err(CaseEnd::Fault(format!("not a matrix: {name}")));
    };
    let values = floats(fixture.tensor_bytes(name).ok_or_else(missing)?);
    Ok(Matrix { rows: rows as usize, columns: columns as usize, values })
}

fn floats(bytes: &[u8]) -> Vec<f64> {
    bytes
        .chunks_exact(4)
        .map(|four| f64::from(f32::from_le_bytes([four[0], four[1], four[2], four[3]])))
        .collect()
}

fn read_product(bytes: &[u8], a: &Matrix, b: &Matrix) -> Result<Vec<f64>, String> {
    let parsed = safetensors::SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let view = parsed.tensor("c").map_err(|error| error.to_string())?;
    if view.shape() != [a.rows, b.columns] || view.dtype() != safetensors::Dtype::F32 {
        return Err(format!("c is {} {:?}", view.dtype(), view.shape()));
    }
    Ok(floats(view.data()))
}

/// The largest |c - sum a b| relative to sum |a||b|: the bound on a sum's rounding error in any
/// order of summation (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1).
fn worst_error(a: &Matrix, b: &Matrix, c: &[f64], tolerance: f64) -> Check {
    let mut worst = 0.0f64;
    for row in 0..a.rows {
        for column in 0..b.columns {
            let (mut sum, mut scale) = (0.0, 0.0);
            for inner in 0..a.columns {
                let term = a.values[row * a.columns + inner] * b.values[inner * b.columns + column];
                sum += term;
                scale += term.abs();
            }
            let error = (c[row * b.columns + column] - sum).abs() / scale;
            // NaN compares false, so it counts as an infinite error.
            worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
        }
    }
    Check::within(
        "largest relative error against float64",
        format!("at most {tolerance:e}"),
        format!("{worst:e}"),
        Basis::Observed,
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;
    use crate::contract::Capability;
    use crate::contract::reply::Written;
    use crate::harness::run::trial::{self, Tried};

    /// A row of three by a column: the product has one value.
    const A: f32 = 2.0;
    const B: f32 = 3.0;
    const C: f32 = 18.0;

    /// A loader that answers a product by writing so.
    fn tried(library: &str, write: impl Fn(&Path) + Sync) -> Tried {
        let tensor = |name: &str, shape: &str, value: f32| {
            format!("{{name: {name}, dtype: F32, shape: {shape}, fill: {{constant: {value:?}}}}}")
        };
        let (a, b) = (tensor("a", "[1, 3]", A), tensor("b", "[3, 1]", B));
        let case = trial::case(
            &format!("{{main: {{tensors: [{a}, {b}]}}}}"),
            "{}",
            &format!(
                "[{{load: {{expect: {{loaded: []}}}}}}, \
                 {{multiply: {{a: a, b: b, tolerance: 1.0e-6, library: '{library}'}}}}]"
            ),
        );
        let answer = |asked: &Request| {
            let Request::Multiply(asked) = asked else { return None };
            write(&asked.into);
            Some(Ok(Reply::Multiply(Written { bytes: 0, sha256: String::new() })))
        };
        trial::tried(&case, &Capability::ALL, |_| {}, answer)
    }

    /// A file with one tensor.
    fn product(name: &str, shape: &[usize], values: &[f32]) -> Vec<u8> {
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.to_vec(), &data);
        safetensors::serialize([(name, view.unwrap())], None).unwrap()
    }

    /// A line of every process's map.
    const MAPPED: &str = "[stack]";

    #[test]
    fn only_the_product_passes() {
        let of = |values: Vec<u8>| tried(MAPPED, move |into| fs::write(into, &values).unwrap());
        let right = of(product("c", &[1, 1], &[C]));
        assert!(right.end.is_ok(), "{:?}", right.broken());
        let short = of(product("c", &[1, 1], &[C - A * B]));
        assert_eq!(short.broken().unwrap().0, "largest relative error against float64");
        let none = of(product("c", &[1, 1], &[f32::NAN]));
        assert_eq!(none.broken(), Some(("largest relative error against float64", "inf")));
        let other = of(product("c", &[1, 2], &[C, C]));
        assert_eq!(other.broken(), Some(("product", "c is F32 [1, 2]")));
        assert_eq!(of(product("d", &[1, 1], &[C])).broken().unwrap().0, "product");
        assert_eq!(of(b"weights".to_vec()).broken().unwrap().0, "product");
        let sound = product("c", &[1, 1], &[C]);
        let other = tried("no_such_library", move |into| fs::write(into, &sound).unwrap());
        assert_eq!(other.broken(), Some(("library mapped in the process", "not mapped")));
    }

    /// None of them may hang the judge, fill its memory or lead it to another file.
    #[test]
    fn an_answer_that_is_no_file_ends_the_case_at_once() {
        let began = Instant::now();
        type Attack = (fn(&Path), &'static str);
        let attacks: [Attack; 5] = [
            (|into| mkfifo(into, Mode::S_IRWXU).unwrap(), "no regular file"),
            (|into| symlink("/dev/zero", into).unwrap(), "reached by a link"),
            (|into| fs::create_dir(into).unwrap(), "no regular file"),
            (|into| fs::File::create(into).unwrap().set_len(1 << 40).unwrap(), "can be an answer"),
            (|_| {}, "No such file"),
        ];
        for (write, said) in attacks {
            let tried = tried(MAPPED, write);
            assert!(matches!(tried.end, Err(CaseEnd::Failed)), "{said}");
            let (what, found) = tried.broken().unwrap();
            assert!(what == "product" && found.contains(said), "{what}: {found}");
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
