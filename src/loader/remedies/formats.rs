//! Files of another format, and what this loader does not read of GGUF and APR.

use super::row::{DAMAGED, remedies};

/// For PyTorch's own files.
const PYTORCH: &str = "A PyTorch file can run code when it is opened. Use the safetensors release of \
    the model, or convert the file in a sandbox.";

/// For an answer of a web server in place of the file.
const WEB: &str =
    "Download the file again with a direct link. A gated model needs an access token.";

remedies! {
    GIT_LFS_POINTER: GitLfsPointer, Everywhere, "the file is a Git LFS pointer" =>
        "Run `git lfs pull` in the clone, or download the file itself.";
    IS_GGUF: Gguf, Everywhere, "a GGUF file is read as safetensors" =>
        "Load it as GGUF. At the command line, its name must end in .gguf.";
    PYTORCH_ARCHIVE: Pickle, Everywhere,
        "the file is a zip archive, as PyTorch writes them" => PYTORCH;
    PYTHON_PICKLE: Pickle, Everywhere, "the file is a Python pickle" => PYTORCH;
    WEB_PAGE: HtmlPage, Everywhere, "the file is a web page" => WEB;
    XML_DOCUMENT: ForeignFormat, Everywhere, "the file is an XML document" => WEB;
    ANOTHER_FORMAT: ForeignFormat, Everywhere,
        "the file is not of the format that it is loaded as" =>
        "Load the file as the format that it has. At the command line, the ending of its name \
         (.gguf, .apr, .safetensors) says the format.";
    GGUF_VERSION: InvalidHeader, Everywhere, "the GGUF file has a version that is not read" =>
        "Convert the model to GGUF version 3, little-endian.";
    APR_VERSION: InvalidHeader, Everywhere, "the APR file has a version that is not read" =>
        "Convert the model to APR version 2.";
    APR_FEATURE: InvalidHeader, Everywhere, "the APR file uses a feature that is not supported" =>
        "Convert the model without {}.";
    APR_FLAGS: InvalidField, Everywhere, "the APR file has flags that version 2 does not have" =>
        "A newer tool may have written this file: convert the model to APR version 2.";
    APR_CHECKSUM: InvalidHeader, Everywhere,
        "the CRC-32 of the APR header does not match" => DAMAGED;
    GGUF_TYPE_NOT_SUPPORTED: UnsupportedDtype, Everywhere,
        "the GGUF file has an element type that is not supported" =>
        "Use a release of the model in one of the expected element types, such as Q4_K_M or Q8_0.";
    APR_TYPE_NOT_SUPPORTED: UnsupportedDtype, Everywhere,
        "the APR file has an element type that is not supported" =>
        "Convert the tensor to F32, F16, BF16, Q4_K or Q6_K.";
    TYPE_NOT_KNOWN: UnknownDtype, Everywhere,
        "the GGUF or APR file has an element type that is not known" =>
        "This element type is not known here: it may be newer than this program. Convert the model \
         to an element type that is expected.";
    HEADER_ABOVE_LIMIT: HeaderTooLarge, Everywhere,
        "the header of a GGUF or APR file is larger than is read" =>
        "Use a file whose header is within the limit: this loader does not read larger ones.";
    GGUF_ARCHITECTURE: UnknownArchitecture, Everywhere,
        "the GGUF file's architecture is not supported" =>
        "Use a model of one of the expected architectures.";
    GGUF_UNKNOWN_TENSOR: UnknownArchitecture, Everywhere,
        "the GGUF file has a tensor that the architecture does not have" =>
        "Use a plain model of the architecture: parts added to it, such as vision, experts or long \
         and short frequency factors, are not supported.";
    APR_ARCHITECTURE: UnknownArchitecture, Everywhere,
        "the APR file's architecture is not supported" =>
        "Use a model of one of the expected architectures.";
    GGUF_PART_NAME: InvalidConfig, Everywhere,
        "the first part of a split GGUF model has a name that does not lead to the others" =>
        "Name the parts as they were published, NAME-00001-of-00003.gguf and so on, or join them \
         with `llama-gguf-split --merge`.";
    GGUF_PART_LATER: InvalidConfig, Everywhere,
        "a later part of a split GGUF model is given in place of the first" =>
        "Give the model's first part, {}: it names the model, and the others are found beside it.";
    GGUF_PART_MISSING: NotFound, Everywhere, "a part of a split GGUF model is missing" =>
        "Put the file {} beside the other parts of the model: download it as well.";
    GGUF_PARTS_DISAGREE: InvalidConfig, Everywhere,
        "the parts of a split GGUF model do not belong together" =>
        "Download all parts of the model again, from one place.";
    GGUF_FACTORS: InvalidField, Everywhere,
        "a divisor of the rotary frequencies is not a number above zero" => DAMAGED;
    SETTING_NOT_SUPPORTED: InvalidConfig, Everywhere,
        "the GGUF or APR file has a setting that is not supported" =>
        "This loader does not support {}: use a model without it.";
    SETTING_DAMAGED: InvalidConfig, Everywhere,
        "a setting of the GGUF or APR file is missing or contradicts another" =>
        DAMAGED;
    GGUF_ROWS: ShapeMismatch, Everywhere,
        "the rows of a GGUF tensor are no whole number of heads" => DAMAGED;
    TOKENIZER_CUT_NOT_SUPPORTED: InvalidTokenizer, Everywhere,
        "the GGUF file's tokenizer splits text in a way that is not supported" =>
        "This loader does not support the text splitting {}: use the safetensors release of the model.";
    TOKENIZER_CUT_MISSING: InvalidTokenizer, Everywhere,
        "the GGUF file does not say how its tokenizer splits text" =>
        "The file was made before GGUF had the key tokenizer.ggml.pre: use a newer conversion, or the \
         safetensors release of the model.";
    TOKENIZER_KIND_NOT_SUPPORTED: InvalidTokenizer, Everywhere,
        "the GGUF file's tokenizer is of a kind that is not supported" =>
        "This loader does not support tokenizers of kind {}: use the safetensors release of the \
         model.";
    TOKENIZER_SETTING: InvalidTokenizer, Everywhere,
        "the GGUF file's tokenizer has a setting that is not supported" =>
        "This loader does not support {}: use the safetensors release of the model.";
    TOKENIZER_DAMAGED: InvalidTokenizer, Everywhere,
        "the tokenizer in the GGUF file contradicts itself" => DAMAGED;
    APR_TOKENIZER: InvalidTokenizer, Everywhere, "the APR file has no whole tokenizer" =>
        "Use the safetensors release of the model: this file lacks the whole tokenizer.json.";
}
