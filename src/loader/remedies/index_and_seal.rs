//! The index of a model in several files, digests and seals.

use super::row::{DAMAGED, remedies};

/// For an index and shards that do not belong together.
const ONE_REVISION: &str =
    "Download the index and all shards into an empty folder, from one revision.";

/// For a seal that breaks its form.
const SEAL_FORM: &str = "Get the seal again from where it came from. If you made it yourself and trust \
    the model, make it again with `weighbridge seal`.";

remedies! {
    INDEX_TOO_LONG: InvalidIndex, Everywhere, "the index is implausibly long" =>
        "This is not an index: name the right file.";
    INDEX_STRAY_SHARD: InvalidIndex, Everywhere,
        "the folder holds a shard that the index does not name" =>
        "Remove the shard {}, or download the index and all shards into an empty folder.";
    INDEX_TENSOR_ELSEWHERE: InvalidIndex, Everywhere,
        "a tensor lies in another shard than the index says" => ONE_REVISION;
    INDEX_TENSOR_MISSING: InvalidIndex, Everywhere,
        "a tensor of the index is in no shard" => ONE_REVISION;
    INDEX_TENSOR_TWICE: InvalidIndex, Everywhere,
        "two shards hold a tensor of the same name" => ONE_REVISION;
    INDEX_NOT_JSON: InvalidIndex, Everywhere, "the index is not strict JSON" =>
        "Download the index again: it is not strict JSON.";
    INDEX_FORM: InvalidIndex, Everywhere, "the index lacks a weight_map of names" =>
        "Use an index with a weight_map that gives the shard of every tensor.";
    INDEX_PATH: InvalidIndex, Everywhere,
        "the index names a shard outside its folder, or one that is not safetensors" =>
        "Correct the path in weight_map: shards lie beside or below the index and end in \
         .safetensors. PyTorch shards must be converted first.";
    DIGEST_DIFFERS: ChecksumMismatch, Everywhere,
        "the SHA-256 of the weights is not the expected one" =>
        "Download the file again, or correct the expected SHA-256.";
    CRC_DIFFERS: ChecksumMismatch, Everywhere,
        "the CRC-32 at the end of the file does not match" => DAMAGED;
    SEALED_FILE_DIFFERS: ChecksumMismatch, Everywhere, "the file is not the sealed one" =>
        "Download the file again. If it was changed on purpose, make a new seal with `weighbridge seal`.";
    PIN_DIFFERS: ChecksumMismatch, Everywhere, "the seal is not the pinned one" =>
        "Get the seal again, or pin the digest that `weighbridge seal` printed for it.";
    SEAL_TOO_LONG: InvalidSeal, Everywhere, "the seal is implausibly long" =>
        "This is not a seal: name the seal.";
    SEAL_NOT_UTF8: InvalidSeal, Everywhere, "the seal is not UTF-8" => SEAL_FORM;
    SEAL_BROKEN: InvalidSeal, Everywhere,
        "the seal breaks its form or contradicts itself" => SEAL_FORM;
    SEAL_OF_OTHER_FILES: InvalidSeal, Everywhere, "the seal does not name this file" =>
        "Use the seal of this model. A file must have the name that it was sealed with.";
    SEALED_FILE_MISSING: InvalidSeal, Everywhere, "a file that the seal names is missing" =>
        "Download the folder again. If the file was removed on purpose, make a new seal with `weighbridge seal`.";
    FILE_NOT_SEALED: InvalidSeal, Everywhere, "the folder has a document that the seal does not name" =>
        "Remove the file, or download the folder again. If it was added on purpose, make a new seal with \
         `weighbridge seal`.";
    FOLDER_NOT_SEALED: InvalidSeal, Everywhere, "only the weight file is sealed" =>
        "Seal the model's folder with `weighbridge seal`, and use the pin that it prints.";
    SEAL_NO_WEIGHTS: NotFound, Everywhere, "there is no safetensors file to seal" =>
        "Name a safetensors file, or the folder that holds the model.";
    SIGNATURE_FORM: InvalidSeal, Everywhere, "the signature of the model breaks its form" =>
        "Get the signature again from where the model came from.";
    SIGNATURE_OF_OTHERS: ChecksumMismatch, Everywhere, "the model is not signed by the given key" =>
        "Get the signature again, or name the public key of whom signed the model.";
    SIGNATURE_KEY: InvalidRequest, Everywhere, "the key cannot be used to check a signature" =>
        "Name a public key in PEM: Ed25519, or ECDSA over P-256, P-384 or P-521.";
    SIGNATURE_OTHER_DIGESTS: UnsupportedCapability, Everywhere,
        "the signature has other digests than SHA-256 of whole files" =>
        "Have the model signed with SHA-256 of whole files, which is the default of model signing.";
    SIGNED_FILE_DIFFERS: ChecksumMismatch, Everywhere, "a file is not the signed one" =>
        "Download the model again, or get the signature of this revision.";
    SIGNED_FILE_MISSING: InvalidSeal, Everywhere, "a file that is signed is missing" =>
        "Download the model again, or get the signature of this revision.";
    FILE_NOT_SIGNED: InvalidSeal, Everywhere, "the folder has a file that is not signed" =>
        "Remove the file, or download the model again into an empty folder.";
    SEAL_OTHER_FORMAT: UnsupportedCapability, Protocol, "a seal is asked for with GGUF or APR" =>
        "Load it with `expect_sha256` in place of a seal.";
    DIGEST_FORM: InvalidRequest, Everywhere, "a digest is not 64 lower-case hex digits" =>
        "Give the digest as `sha256sum` prints it.";
}
