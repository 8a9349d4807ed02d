"""Translates errors of transformers to the contract's codes; errors of torch and safetensors go to `torch_errors`."""

import re

from torch_errors import translated
from weighbridge_adapter import Refused

# By a part of the message, the most specific first: phase and code.
SAID = [
    ("does not recognize this architecture", "header", "unknown_architecture"),
    ("Should have a `model_type` key", "header", "invalid_config"),
    ("Unrecognized configuration class", "header", "unknown_architecture"),
    ("no file named config.json", "header", "invalid_config"),
    ("config.json' is not a valid JSON file", "header", "invalid_config"),
    ("Unknown rope type", "header", "invalid_config"),
    ("KeyError in `rope_", "header", "invalid_config"),
    ("ignore_mismatched_sizes", "header", "shape_mismatch"),
    ("size mismatch", "header", "shape_mismatch"),
    ("not a string", "header", "invalid_config"),
    ("no file named model.safetensors", "open", "not_found"),
]
# An index beyond its table: torch's message where an input does not fit.
MISFIT = ("index out of range in self", "out of bounds", "must match the size of tensor", "The size of tensor",
          "shapes cannot be multiplied", "non-singleton dimension", "expanded size", "cannot reshape tensor")


def refused(error, path=None, device=None, phase="header"):
    """The failure for an exception."""
    text = f"{type(error).__name__}: {error}".split("\nException raised from")[0][:2000]
    for part, where, code in SAID:
        if part in text:
            tensor = re.search(r"`?([\w.]+\.(?:weight|bias))`?", text)
            return Refused(where, code, text, path=path, tensor=tensor and tensor[1], remedy="give a whole checkpoint",
                           expected="a checkpoint that transformers reads", actual=text[:300])
    if phase == "infer" and any(part in text for part in MISFIT):
        return Refused("infer", "invalid_input", text, expected="an input that fits the model", actual=text[:300],
                       remedy="give another input")
    if phase == "header" and type(error).__name__ in ("KeyError", "AttributeError", "TypeError", "ValueError",
                                                       "AssertionError", "ImportError",
                                                       "StrictDataclassFieldValidationError",
                                                       "StrictDataclassClassValidationError", "JSONDecodeError"):
        # At this point only the configuration is read into Python's own objects.
        return Refused("header", "invalid_config", text, path=path, expected="a configuration that transformers reads",
                       actual=text[:300], remedy="give the model's own config.json")
    return translated(error, path, device)
