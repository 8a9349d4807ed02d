//! Runs the source of a decode product on the host, because most machines that test have no GPU.
//!
//! `kernels/host` holds what stands in for a device. A machine without a C++ compiler does not try this, and says so.

use std::process::Command;

use super::division::{Card, Divided};
use super::forms::{BEFORE, INPUT, PRODUCT, ROWS};
use super::shape::Shape;
use crate::gpu::kernel::tensor_scan::Element;

const DEVICE: &str = include_str!("../kernels/host/device.h");
const MAIN: &str = include_str!("../kernels/host/product.cpp");

/// A product: the rows of its layers, or of a gate and what it multiplies; and multiprocessors of a made card, few, so
/// that there are several rounds.
struct Tried {
    rows: &'static [usize],
    inner: usize,
    element: Element,
    normed: bool,
    biased: bool,
    multiprocessors: usize,
}

impl Tried {
    const fn new(rows: &'static [usize], inner: usize, element: Element, on: usize) -> Tried {
        Tried { rows, inner, element, normed: false, biased: false, multiprocessors: on }
    }

    fn shape(&self) -> Shape {
        Shape::made(self.rows, self.inner, self.element, self.normed, self.biased)
    }

    fn divided(&self) -> Divided {
        let multiprocessors = self.multiprocessors;
        self.shape().divided(Card { multiprocessors, shared: 228 << 10, copies: true })
    }

    /// The whole program.
    fn source(&self) -> String {
        let rows: Vec<_> = self.rows.iter().map(usize::to_string).collect();
        let outputs = format!("#define OUTPUTS {{{}}}\n", rows.join(", "));
        let constants = self.shape().constants(self.divided());
        let kernel = BEFORE.concat() + &constants + INPUT + ROWS + PRODUCT;
        let room = "extern __shared__ __align__(16) float room[];";
        assert!(kernel.contains(room), "the kernel declares its room in another way");
        DEVICE.to_owned() + &kernel.replace(room, "float* room = shared_room;") + &outputs + MAIN
    }
}

#[test]
fn products_are_sums_in_f64_however_they_are_divided() {
    use Element::{BF16, F32};
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    if Command::new(&compiler).arg("--version").output().is_err() {
        eprintln!("not tried: there is no C++ compiler ({compiler})");
        return;
    }
    let all = [
        // A gate whose second round is parked, and one with rows that no thread has under way as a whole.
        Tried { normed: true, ..Tried::new(&[900; 2], 1536, BF16, 8) },
        Tried { normed: true, biased: true, ..Tried::new(&[900; 2], 4104, BF16, 4) },
        // Long rows: parked, in one round, and longer than what registers hold.
        Tried::new(&[300], 8960, F32, 24),
        Tried::new(&[300], 8960, BF16, 132),
        Tried { biased: true, ..Tried::new(&[70], 18_432, F32, 4) },
        // Three layers side by side.
        Tried { normed: true, biased: true, ..Tried::new(&[500, 200, 200], 1152, F32, 8) },
        // Rows that do not begin at multiples of 16 bytes.
        Tried { normed: true, ..Tried::new(&[300], 577, BF16, 2) },
        Tried::new(&[200; 2], 131, F32, 1),
        Tried::new(&[1], 5, BF16, 1),
    ];
    let some = |found: &dyn Fn(&Tried, Divided) -> bool| {
        all.iter().any(|tried| found(tried, tried.divided()))
    };
    assert!(some(&|_, divided| divided.parked > 0), "no row is parked");
    let under_way = |divided: Divided| 32 * divided.split * divided.depth;
    let wide = |tried: &Tried| tried.inner * tried.element.bytes() / 16;
    assert!(some(&|tried, divided| wide(tried) > under_way(divided)), "no row has parts");
    let folder = tempfile::tempdir().unwrap();
    for tried in &all {
        let (source, program) = (folder.path().join("product.cpp"), folder.path().join("product"));
        std::fs::write(&source, tried.source()).unwrap();
        let mut compile = Command::new(&compiler);
        compile.args(["-std=c++20", "-O1", "-w", "-pthread", "-o"]).arg(&program).arg(&source);
        let compiled = compile.output().unwrap();
        let said = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{:?}: {said}", tried.divided());
        let ran = Command::new(&program).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "{:?} of {:?}: {said}", tried.rows, tried.divided());
    }
}
