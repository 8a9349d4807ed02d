//! The registry of models that `weighbridge warm` reads.

use super::row::remedies;

remedies! {
    REGISTRY_MISSING: InvalidRegistry, Warm, "the registry is missing" =>
        "Check the path that `--registry` gives.";
    REGISTRY_NOT_UTF8: InvalidRegistry, Warm, "the registry is not UTF-8" =>
        "Save the registry as UTF-8.";
    REGISTRY_FORM: InvalidRegistry, Warm, "the registry is not in its form" =>
        "Correct the registry at the line that is named. `weighbridge models` writes one to compare with.";
    REGISTRY_EMPTY: InvalidRegistry, Warm, "the registry names no model" =>
        "Add a model to the registry. `weighbridge models` writes one to compare with.";
    REGISTRY_ENTRY: InvalidRegistry, Warm, "an entry of the registry has a wrong value" =>
        "Correct the registry's entry {}.";
    REGISTRY_DTYPE: InvalidRegistry, Warm,
        "the weights have another element type than the registry says" =>
        "Correct `dtype` in the registry, or use the weights that the registry means.";
    HARDWARE_NOT_KNOWN: InvalidRequest, Warm, "no hardware profile has this name" =>
        "Name a hardware profile with `--hardware`: {}.";
}
