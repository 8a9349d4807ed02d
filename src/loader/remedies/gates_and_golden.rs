//! The data-quality gates, and comparing with golden references.

use super::row::remedies;

/// For values that are unusual, and may still be meant so.
const UNUSUAL: &str = "Compare the file's SHA-256 with the publisher's. If they differ, download it \
    again. If they agree, the values are meant so: the model can be loaded only without the \
    data-quality gates.";

remedies! {
    DENSITY: Density, Everywhere, "a tensor holds too many zeros" => UNUSUAL;
    NORM: Norm, Everywhere, "a tensor's norm is close to zero" => UNUSUAL;
    CONSTANT: Constant, Everywhere, "all values of a tensor are the same" => UNUSUAL;
    SPOT_CHECK: SpotCheck, Everywhere, "a sampled part of a tensor holds only zeros" => UNUSUAL;
    NON_FINITE: NonFinite, Everywhere, "a tensor holds NaN or infinity" =>
        "Compare the file's SHA-256 with the publisher's, and download it again if they differ. If \
         they agree, use another release: these weights hold NaN or infinity.";
    GOLDEN_MISSING: InvalidGolden, Everywhere, "the golden reference is missing" =>
        "Check the path of the golden reference.";
    GOLDEN_TOO_LONG: InvalidGolden, Everywhere, "the golden reference is implausibly long" =>
        "This is not a golden reference: name the right file.";
    GOLDEN_LENGTH: InvalidGolden, Everywhere, "the golden reference is not as long as it says" =>
        "Write the golden reference again: a count (u32), then as many F32 values, all little-endian.";
    GOLDEN_NOT_FINITE: InvalidGolden, Everywhere, "the golden reference holds NaN or infinity" =>
        "Compute the golden reference again: every value must be a finite number.";
    GOLDEN_OTHER_LENGTH: GoldenMismatch, Everywhere,
        "the golden reference has another number of values than the output" =>
        "Use the golden reference that belongs to this model and this input.";
    GOLDEN_DIFFERS: GoldenMismatch, Everywhere, "the output is not the golden reference" =>
        "Check that golden reference, input and weights are of one revision. If the difference is \
         rounding, set a tolerance that covers it.";
    EMBEDDING_SIZE: GoldenMismatch, Warm, "an embedding has another size than the registry says" =>
        "Correct `dimension` in the registry, or use the weights that the registry means.";
    TOLERANCE_INVALID: InvalidRequest, Everywhere, "a tolerance is not a number from zero on" =>
        "Give an absolute tolerance of zero or more, such as 1e-5.";
}
