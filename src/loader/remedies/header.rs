//! The header of a weight file, and where its tensors lie: safetensors, GGUF and APR.

use super::row::{DAMAGED, INCOMPLETE, remedies};

remedies! {
    TOO_SHORT: TooShort, Everywhere, "the file is shorter than the shortest header" => INCOMPLETE;
    HEADER_LENGTH: HeaderTooLarge, Everywhere,
        "the header's length is implausible for safetensors" =>
        "Check that this is a safetensors file. Headers above 100 MB are not read.";
    HEADER_CUT: HeaderTruncated, Everywhere, "the file ends inside its header" => INCOMPLETE;
    HEADER_NOT_UTF8: HeaderNotUtf8, Everywhere, "the header is not UTF-8" => DAMAGED;
    HEADER_NOT_JSON: HeaderNotJson, Everywhere, "the header is not strict JSON" => DAMAGED;
    HEADER_PADDING: HeaderPadding, Everywhere,
        "other characters than spaces stand around the header" => DAMAGED;
    KEY_TWICE: DuplicateKey, Everywhere, "a name or key is given twice" =>
        "Two entries have the name {}: rename one of them, and write the file again.";
    UNKNOWN_FIELD: UnknownField, Everywhere,
        "the header has a field that the format does not have" => DAMAGED;
    MISSING_FIELD: MissingField, Everywhere, "the header lacks a field" => DAMAGED;
    INVALID_FIELD: InvalidField, Everywhere,
        "a field of the header has the wrong type or value" => DAMAGED;
    INVALID_METADATA: InvalidMetadata, Everywhere, "the metadata holds other values than text" =>
        "Save the file again with text values only in its metadata, such as {\"format\": \"pt\"}.";
    DTYPE_NOT_KNOWN: UnknownDtype, Everywhere, "a tensor has an element type that is not known" =>
        "The element type {} is not known here: it may be newer than this program. Save the tensor as \
         F32, F16 or BF16.";
    DTYPE_NOT_HELD: UnsupportedDtype, Everywhere,
        "a tensor has an element type that is not supported" =>
        "Save this tensor as F32, F16 or BF16. If the model does not use it, leave it out.";
    INVALID_LAYOUT: InvalidLayout, Everywhere,
        "a part of the file begins at a place that the format does not allow" => DAMAGED;
    OFFSETS_REVERSED: OffsetsReversed, Everywhere, "a tensor ends before it begins" => DAMAGED;
    SIZE_OVERFLOW: SizeOverflow, Everywhere, "a size does not fit in 64 bits" => DAMAGED;
    SIZE_MISMATCH: SizeMismatch, Everywhere,
        "a tensor's size is not that of its shape and element type" => DAMAGED;
    OVERLAP: Overlap, Everywhere, "two tensors share bytes" => DAMAGED;
    GAP: Gap, Everywhere, "some bytes belong to no tensor" => DAMAGED;
    TRAILING_BYTES: TrailingBytes, Everywhere, "bytes follow the last tensor" => DAMAGED;
    TRUNCATED: Truncated, Everywhere, "the file ends before its last tensor does" => INCOMPLETE;
}
