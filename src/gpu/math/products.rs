//! Matrix products by cuBLASLt, with sums and results in F32.
//!
//! Inputs are F32, multiplied without TF32, or BF16, which tensor cores multiply exactly.

use std::collections::HashMap;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;

use crate::gpu::driver::calls::{
    LightBlas, cublasComputeType_t, cublasLtHandle_t, cublasLtMatmulAlgo_t, cublasLtMatmulDesc_t,
    cublasLtMatmulDescAttributes_t as Attribute, cublasLtMatmulHeuristicResult_t,
    cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t as Preference,
    cublasLtMatrixLayout_t, cublasLtMatrixLayoutAttribute_t as Place, cudaDataType,
};
use crate::gpu::driver::context::Context;
use crate::gpu::driver::error::{GpuError, report};
use crate::gpu::driver::memory::DeviceBuffer;
use crate::gpu::driver::stream::Stream;
use crate::gpu::kernel::tensor_scan::Element;

/// Scratch memory that a product may use, in bytes. NVIDIA advises 32 MiB for this generation.
pub(crate) const WORKSPACE: usize = 32 << 20;

/// `CUBLAS_OP_T`.
const TRANSPOSED: i32 = 1;
/// `CUBLASLT_EPILOGUE_BIAS`.
const WITH_BIAS: i32 = 4;

/// The key of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Shape {
    element: Element,
    rows: u64,
    inner: u64,
    outputs: u64,
    width: u64,
    stride: u64,
    alignments: [u32; 3],
    bias: bool,
    pieces: Option<Pieces>,
}

/// A batch of products of one shape, over consecutive pieces of the inner dimension. One call of
/// cuBLASLt computes all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pieces {
    pub(crate) count: usize,
    /// Elements from one piece of a row of x, and of W, to the next.
    pub(crate) of_inner: usize,
    /// F32 values from one piece's y to the next one's.
    pub(crate) of_y: usize,
}

/// The addresses of one product, `y = x W^T + b`; y and b in F32.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    /// The type of x and W: F32 or BF16.
    pub(crate) element: Element,
    /// x, `[rows, inner]`.
    pub(crate) x: u64,
    /// W, `[outputs, inner]`.
    pub(crate) weight: u64,
    /// b, `[outputs]`.
    pub(crate) bias: Option<u64>,
    /// y, rows of `stride` columns.
    pub(crate) y: u64,
    pub(crate) rows: usize,
    pub(crate) inner: usize,
    pub(crate) outputs: usize,
    /// Elements from one row of x, and of W, to the next.
    pub(crate) width: usize,
    pub(crate) stride: usize,
    /// Whether the result is added to y.
    pub(crate) add: bool,
    /// The batch of which this is the first product, if there is one.
    pub(crate) pieces: Option<Pieces>,
}

impl Product {
    /// A product in F32 without gaps between rows. The tuples hold x with its `[rows, inner]`, W
    /// with b, and y with its number of columns.
    pub(crate) fn plain(
        (x, rows, inner): (u64, usize, usize),
        (weight, bias): (u64, Option<u64>),
        (y, outputs): (u64, usize),
    ) -> Product {
        let (element, width, stride) = (Element::F32, inner, outputs);
        let (add, pieces) = (false, None);
        Product { element, x, weight, bias, y, rows, inner, outputs, width, stride, add, pieces }
    }
}

/// A cuBLASLt handle and the plans made so far. A plan uses the library's first suggestion, so that
/// the same shape is always computed the same way.
#[derive(Debug)]
pub(crate) struct Products {
    context: Context,
    library: LightBlas,
    handle: cublasLtHandle_t,
    workspace: DeviceBuffer,
    plans: HashMap<Shape, Plan>,
}

// SAFETY: a cuBLASLt handle may be used by any thread; everything else is owned, and used through
// `&mut self`.
unsafe impl Send for Products {}

impl Products {
    pub(crate) fn new(context: &Context) -> Result<Products, GpuError> {
        let library = LightBlas::load()?;
        context.bind()?;
        let workspace = context.allocate(WORKSPACE)?;
        let mut handle = ptr::null_mut();
        // SAFETY: `handle` outlives the call and a context is current.
        unsafe { library.cublasLtCreate(&raw mut handle) }?;
        let plans = HashMap::new();
        Ok(Products { context: context.clone(), library, handle, workspace, plans })
    }

    /// Queues a product.
    ///
    /// # Safety
    ///
    /// Until the product has ended, the addresses must be those of live ranges of the given sizes.
    /// Products that were not queued on the same stream must not run at the same time, because they
    /// share the workspace.
    pub(crate) unsafe fn queue(&mut self, stream: &Stream, of: Product) -> Result<(), GpuError> {
        self.context.bind()?;
        let shape = Shape {
            element: of.element,
            rows: of.rows as u64,
            inner: of.inner as u64,
            outputs: of.outputs as u64,
            width: of.width as u64,
            stride: of.stride as u64,
            alignments: [alignment(of.weight), alignment(of.x), alignment(of.y)],
            bias: of.bias.is_some(),
            pieces: of.pieces,
        };
        if !self.plans.contains_key(&shape) {
            let plan = Plan::new(self.library, self.handle, shape)?;
            self.plans.insert(shape, plan);
        }
        let Some(plan) = self.plans.get(&shape) else {
            return Err(GpuError::refused("product", "no plan was made"));
        };
        if let Some(bias) = of.bias {
            set(self.library, plan.what, Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias)?;
        }
        let (one, kept) = (1.0f32, if of.add { 1.0f32 } else { 0.0 });
        // cuBLASLt is column-major, so it reads W, x and y as their transposes: y^T = W x^T.
        // SAFETY: the plan was made for these sizes and alignments; the scalars are read before the
        // call returns; the caller vouches for the ranges.
        unsafe {
            self.library.cublasLtMatmul(
                self.handle,
                plan.what,
                (&raw const one).cast(),
                of.weight as *const c_void,
                plan.weight,
                of.x as *const c_void,
                plan.x,
                (&raw const kept).cast(),
                of.y as *const c_void,
                plan.y,
                of.y as *mut c_void,
                plan.y,
                &raw const plan.algorithm,
                self.workspace.pointer() as *mut c_void,
                WORKSPACE,
                stream.raw().cast(),
            )
        }
    }
}

impl Drop for Products {
    fn drop(&mut self) {
        self.plans.clear();
        report(self.context.bind().and_then(|_| {
            // SAFETY: destroyed only here; the workspace waits for the device when it is dropped.
            unsafe { self.library.cublasLtDestroy(self.handle) }
        }));
    }
}

/// How a product of one shape is computed.
#[derive(Debug)]
struct Plan {
    library: LightBlas,
    what: cublasLtMatmulDesc_t,
    weight: cublasLtMatrixLayout_t,
    x: cublasLtMatrixLayout_t,
    y: cublasLtMatrixLayout_t,
    algorithm: cublasLtMatmulAlgo_t,
}

impl Plan {
    fn new(library: LightBlas, handle: cublasLtHandle_t, of: Shape) -> Result<Plan, GpuError> {
        // The pedantic kind rules out TF32 and any other narrowing of F32 inputs.
        let (inputs, compute) = match of.element {
            Element::F32 => {
                (cudaDataType::CUDA_R_32F, cublasComputeType_t::CUBLAS_COMPUTE_32F_PEDANTIC)
            }
            Element::BF16 => (cudaDataType::CUDA_R_16BF, cublasComputeType_t::CUBLAS_COMPUTE_32F),
            Element::F16 => return Err(GpuError::refused("product", "F16 is not supported")),
        };
        let layout = |kind, rows, columns, stride: u64| {
            let mut raw = ptr::null_mut();
            // SAFETY: the target outlives the call.
            unsafe {
                library.cublasLtMatrixLayoutCreate(&raw mut raw, kind, rows, columns, stride as i64)
            }
            .map(|()| raw)
        };
        let mut what = ptr::null_mut();
        // SAFETY: the target outlives the call.
        unsafe {
            library.cublasLtMatmulDescCreate(&raw mut what, compute, cudaDataType::CUDA_R_32F)
        }?;
        set(library, what, Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &TRANSPOSED)?;
        if of.bias {
            set(library, what, Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &WITH_BIAS)?;
        }
        let weight = layout(inputs, of.inner, of.outputs, of.width)?;
        let x = layout(inputs, of.inner, of.rows, of.width)?;
        let y = layout(cudaDataType::CUDA_R_32F, of.outputs, of.rows, of.stride)?;
        if let Some(pieces) = of.pieces {
            let (inner, of_y) = (pieces.of_inner as i64, pieces.of_y as i64);
            for (layout, step) in [(weight, inner), (x, inner), (y, of_y)] {
                repeat(library, layout, pieces.count as i32, step)?;
            }
        }
        let mut preference: cublasLtMatmulPreference_t = ptr::null_mut();
        // SAFETY: the target outlives the call.
        unsafe { library.cublasLtMatmulPreferenceCreate(&raw mut preference) }?;
        let found = suggestion(library, handle, preference, what, [weight, x, y], of);
        // SAFETY: destroyed only here.
        report(unsafe { library.cublasLtMatmulPreferenceDestroy(preference) });
        let plan = |algorithm| Plan { library, what, weight, x, y, algorithm };
        found.map(plan)
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        for layout in [self.weight, self.x, self.y] {
            // SAFETY: each was made for this plan and is destroyed only here.
            report(unsafe { self.library.cublasLtMatrixLayoutDestroy(layout) });
        }
        // SAFETY: as above.
        report(unsafe { self.library.cublasLtMatmulDescDestroy(self.what) });
    }
}

fn suggestion(
    library: LightBlas,
    handle: cublasLtHandle_t,
    preference: cublasLtMatmulPreference_t,
    what: cublasLtMatmulDesc_t,
    [weight, x, y]: [cublasLtMatrixLayout_t; 3],
    of: Shape,
) -> Result<cublasLtMatmulAlgo_t, GpuError> {
    let prefer = |attribute, value: *const c_void, bytes| {
        // SAFETY: the value outlives the call and has `bytes` bytes.
        unsafe { library.cublasLtMatmulPreferenceSetAttribute(preference, attribute, value, bytes) }
    };
    let most = WORKSPACE as u64;
    prefer(Preference::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, (&raw const most).cast(), 8)?;
    // Without this, the library assumes that every address is a multiple of 256.
    let [of_weight, of_x, of_y] = of.alignments;
    for (attribute, bytes) in [
        (Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, of_weight),
        (Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, of_x),
        (Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, of_y),
        (Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, of_y),
    ] {
        prefer(attribute, (&raw const bytes).cast(), 4)?;
    }
    let mut result = MaybeUninit::<cublasLtMatmulHeuristicResult_t>::zeroed();
    let mut count = 0;
    // SAFETY: there is room for the one result asked for.
    unsafe {
        library.cublasLtMatmulAlgoGetHeuristic(
            handle,
            what,
            weight,
            x,
            y,
            y,
            preference,
            1,
            result.as_mut_ptr(),
            &raw mut count,
        )
    }?;
    if count == 0 {
        return Err(GpuError::refused("product", "no algorithm for these shapes"));
    }
    // Only this field is read: another field is an enum, to which a newer library may add values.
    // SAFETY: the call has filled it in.
    Ok(unsafe { (&raw const (*result.as_ptr()).algo).read() })
}

fn set<T>(
    library: LightBlas,
    what: cublasLtMatmulDesc_t,
    attribute: Attribute,
    value: &T,
) -> Result<(), GpuError> {
    // SAFETY: the value outlives the call, which copies it; its type is the attribute's.
    unsafe {
        library.cublasLtMatmulDescSetAttribute(
            what,
            attribute,
            ptr::from_ref(value).cast(),
            size_of::<T>(),
        )
    }
}

/// Makes a layout a batch of `count` matrices, `step` elements apart.
fn repeat(
    library: LightBlas,
    matrix: cublasLtMatrixLayout_t,
    count: i32,
    step: i64,
) -> Result<(), GpuError> {
    let set = |attribute, value: *const c_void, bytes| {
        // SAFETY: the value outlives the call, which copies it, and is of the attribute's type.
        unsafe { library.cublasLtMatrixLayoutSetAttribute(matrix, attribute, value, bytes) }
    };
    set(Place::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, (&raw const count).cast(), 4)?;
    set(Place::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, (&raw const step).cast(), 8)
}

/// The largest power of two up to 256 that divides an address.
fn alignment(pointer: u64) -> u32 {
    1 << pointer.trailing_zeros().min(8)
}
