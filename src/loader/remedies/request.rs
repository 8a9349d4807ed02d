//! Requests of the protocol and calls of the library.

use super::row::remedies;

/// For work that only a GPU can do.
const ON_CUDA: &str = "Load the model on a CUDA device first.";

/// For work on a model that does not lie whole on its device.
const WHOLE: &str = "Load the model on a device where it fits whole.";

remedies! {
    INTERNAL: Internal, Everywhere, "the loader itself has a fault" =>
        "Report this with the message at https://github.com/weighbridge/weighbridge/issues.";
    PROTOCOL_VERSION: InvalidRequest, Protocol, "the protocol's version is another one" =>
        "Use a judge of the expected version: {}.";
    NOT_MULTIPLICABLE: InvalidRequest, Protocol, "two tensors cannot be multiplied" =>
        "Name two F32 matrices of shapes [m, k] and [k, n].";
    ADDRESS_NOT_KNOWN: InvalidRequest, Protocol, "an address does not come from this allocator" =>
        "Give an address that `allocate` returned and that was not freed.";
    NOTHING_TO_ALLOCATE: InvalidRequest, Protocol, "no byte is asked for" =>
        "Ask for at least one byte.";
    RANGE_OUTSIDE: InvalidRequest, Protocol, "a copy leaves its allocation" =>
        "Copy at most as many bytes as were allocated.";
    HANDLE_NOT_KNOWN: UnknownHandle, Protocol, "no loaded model has this handle" =>
        "Use a handle that a load returned and that was not unloaded.";
    TENSOR_NOT_KNOWN: UnknownTensor, Protocol, "no tensor has this name" =>
        "Use a name that the load reported in `tensors`.";
    STORAGE_TYPE: UnsupportedDtype, Protocol, "an element type cannot be stored" =>
        "Convert the values to F16, BF16 or F32.";
    STORAGE_BYTES: SizeMismatch, Protocol, "bytes are not a whole number of elements" =>
        "Give a multiple of {} bytes.";
    EXPORT_ON_HOST: UnsupportedCapability, Protocol,
        "a model in host memory is to be exported" => ON_CUDA;
    EXPORT_STREAMED: UnsupportedCapability, Protocol, "a streamed model is to be exported" => WHOLE;
    MULTIPLY_ON_HOST: UnsupportedCapability, Protocol,
        "matrices in host memory are to be multiplied by cuBLAS" => ON_CUDA;
    MULTIPLY_STREAMED: UnsupportedCapability, Protocol,
        "matrices of a streamed model are to be multiplied" => WHOLE;
    STREAM_ON_HOST: UnsupportedCapability, Protocol, "a CUDA stream is asked of the host" =>
        "Ask for a CUDA device.";
    LIBRARY_GENERATE: UnsupportedCapability, Protocol,
        "this loader of the library does not generate" =>
        "Use `weighbridge::loader::ReferenceLoader`, which generates.";
    CONFIG_TWICE: InvalidRequest, Protocol, "a configuration is named beside GGUF or APR" =>
        "Name no configuration: GGUF and APR files hold their own.";
    CONFIG_NOT_NAMED: InvalidRequest, Protocol, "no configuration is named" =>
        "Name the model's config.json.";
    NOT_FOR_RUNNING: InvalidRequest, Protocol, "the model was loaded without `inference`" =>
        "Load the model with `inference`: its configuration and a head.";
    NOT_FOR_GENERATING: InvalidRequest, Protocol,
        "the model was loaded with another output than logits" =>
        "Load the model for logits, which generating needs.";
    ENCODER_MAKES_NO_TEXT: InvalidRequest, Everywhere,
        "a model that makes embeddings is to make text" =>
        "Use a model that generates text. This one ({}) makes embeddings, which `weighbridge embed` \
         computes.";
    HEAD_POOLING: InvalidRequest, Everywhere,
        "the output that is asked for does not suit the architecture" =>
        "Ask for an output that {} has.";
    HEAD_PROJECTION_MISSING: InvalidRequest, Everywhere, "a projection has no name" =>
        "Name the layer that projects.";
    LIMIT_ZERO: InvalidRequest, Everywhere, "no token is to be generated" =>
        "Ask for at least one token.";
    TEMPERATURE: InvalidRequest, Everywhere, "the temperature is negative or not finite" =>
        "Give a temperature of 0 or more.";
    TOP_P: InvalidRequest, Everywhere, "top_p is out of range" =>
        "Give a top_p above 0 and at most 1.";
}
