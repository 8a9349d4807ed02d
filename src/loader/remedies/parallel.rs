//! Loads that divide a model over ranks.

use super::row::remedies;

remedies! {
    GRID_EMPTY: InvalidRequest, Protocol, "a degree of the grid is 0" =>
        "Give each degree as 1 or more.";
    RANK_NONE: InvalidRequest, Protocol, "a divided load names no rank" =>
        "Name the ranks to load, each with its device.";
    RANK_BEYOND: InvalidRequest, Protocol, "a rank is beyond the grid" =>
        "Name a rank below tp x pp x replicas.";
    RANK_TWICE: InvalidRequest, Protocol, "a rank is named twice" => "Name each rank once.";
    DEVICE_TWICE: InvalidRequest, Protocol, "a CUDA device is named for two ranks" =>
        "Name another device for one of the ranks, or load them one after the other.";
    RANK_NOT_LOADED: InvalidRequest, Protocol, "the model has no part of this rank" =>
        "Name a rank that the load listed in `parts`.";
    RANK_NOT_NAMED: InvalidRequest, Protocol, "a divided model is read without a rank" =>
        "Name the rank whose part you want.";
    DIVIDED_FORMAT: UnsupportedCapability, Protocol, "a GGUF or APR file is to be divided" =>
        "Load safetensors, or load the whole file to one device.";
    DIVIDED_CONFIG: InvalidRequest, Protocol, "a divided load names no configuration" =>
        "Load with `inference`: the configuration says what each tensor is.";
    DEGREE_DOES_NOT_DIVIDE: UnsupportedCapability, Protocol,
        "the tensor-parallel degree does not divide the model" =>
        "Choose a degree that divides all of these numbers, and more pipeline stages instead.";
    TOO_MANY_STAGES: UnsupportedCapability, Protocol, "there are more stages than layers" =>
        "Choose fewer stages, and more tensor-parallel ranks instead.";
    ENCODER_DIVIDED: UnsupportedCapability, Protocol, "an encoder is to be divided" =>
        "Use `replicas`: every rank then has the whole model.";
    DIVIDED_GIVES_LOGITS: UnsupportedCapability, Protocol,
        "a divided model is to give embeddings, or its states" =>
        "Load the model whole on one device, or with `replicas` alone.";
    RANKS_MISSING: InvalidRequest, Protocol, "a divided model is to run, and a rank is not loaded" =>
        "Load all ranks of a replica in one request.";
}
