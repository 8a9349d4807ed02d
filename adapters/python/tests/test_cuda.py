"""CUDA's errors as libraries pass them on: the shared table, and an adapter whose library gives numbers alone."""

import unittest

from tests.conversation import FOLDER, Conversation
from weighbridge_adapter import cuda

NO_DEVICE, INVALID = ("device", "preflight", "cuda_unavailable"), ("device", "preflight", "invalid_device")
FULL, FAULT = ("resource", "alloc", "out_of_device_memory"), ("device", "copy", "device_fault")


def said(text, **options):
    """Class, phase and code for a text; None where it is no error of CUDA."""
    refused = cuda.failure(text, "cuda:7", **options)
    return refused and tuple(refused.failure[key] for key in ("class", "phase", "code"))


class Passed(unittest.TestCase):
    def test_a_number_that_cuda_gave(self):
        for text, expected in [
            ("get_device_pci_bus: cudaDeviceGetPCIBusId failed, deviceId=99, err=101", INVALID),
            ("gds_device_buffer.memmove: cudaMemcpy[0](tmp=0x7f00, src=0x7f08, length=64) failed, err=719", FAULT),
            ("cuMemAlloc_v2 returned 2", FULL),
            ("CUDA error 35 at loader.cu:10", NO_DEVICE),
            ("CUDA runtime error (46)", NO_DEVICE),
            ("cudaError_t: 803", NO_DEVICE),
            ("cudaEventCreate failed: 400", FAULT),
        ]:
            self.assertEqual(said(text), expected, text)

    def test_a_name_of_the_runtime_or_of_the_driver(self):
        for text, expected in [
            ("Copy to device failed: CUDA_ERROR_OUT_OF_MEMORY", FULL),
            ("Search for `cudaErrorInvalidDevice' in the documentation", INVALID),
            ("DriverError(CUDA_ERROR_NO_DEVICE)", NO_DEVICE),
            ("CUDA_ERROR_ILLEGAL_ADDRESS", FAULT),
        ]:
            self.assertEqual(said(text), expected, text)

    def test_the_text_of_cuda_counts_where_the_message_speaks_of_it(self):
        self.assertEqual(said("CUDA error: invalid device ordinal"), INVALID)
        self.assertEqual(said("cudaMalloc(&buffer, size): out of memory"), FULL)
        self.assertIsNone(said("mmap: out of memory"))

    def test_other_numbers_are_left_alone(self):
        for text in ("cuFileBufRegister returned an error = 5", "CUBLAS error 3", "header of 101 bytes", "os error 2",
                     "tensor cuda0.weight has 2 errors", "CUDA error: something new"):
            self.assertIsNone(said(text), text)

    def test_a_number_that_the_library_gives_alone(self):
        self.assertEqual(said("operation failed: 101", number=101), INVALID)
        self.assertEqual(said("operation failed: 1", number=1), FAULT)
        self.assertIsNone(said("operation failed: 101"))

    def test_it_says_what_the_number_means(self):
        failure = cuda.failure("failed: 101", "cuda:7", "/a/file", 101).failure
        self.assertEqual(failure["actual"], "failed: 101 (cudaErrorInvalidDevice: invalid device ordinal)")
        self.assertEqual((failure["path"], failure["expected"]), ("/a/file", "cuda:7 to work"))
        self.assertIn("the driver: ", cuda.failure("failed: 100", "cuda:7", number=100).failure["actual"])

    def test_a_device_is_lost_where_cuda_says_so(self):
        states = {number: cuda.failure("x", "cuda:0", number=number).failure["device"] for number in (1, 2, 101, 700, 719)}
        self.assertEqual(states, {1: "ok", 2: "ok", 101: "ok", 700: "poisoned", 719: "poisoned"})


# The adapter of fastsafetensors itself; the library, PyTorch and safetensors are stand-ins.
STANDIN = """
import importlib.metadata, runpy, sys
from unittest import mock
importlib.metadata.version = lambda name: "1.0"
for name in ("torch", "safetensors", "safetensors.torch", "fastsafetensors"):
    sys.modules[name] = mock.MagicMock()
sys.modules["torch"].cuda.OutOfMemoryError = type("OutOfMemoryError", (RuntimeError,), {})
sys.modules["safetensors"].SafetensorError = type("SafetensorError", (Exception,), {})
def loader(group, device, nogds):
    raise RuntimeError("nogds GPU operation failed: " + device.partition(":")[2])
sys.modules["fastsafetensors"].SafeTensorsFileLoader = loader
sys.path.append(%r)
runpy.run_path(%r, run_name="__main__")
"""


class Fastsafetensors(unittest.TestCase):
    def test_its_numbers_are_translated(self):
        adapters = FOLDER.parent
        program = STANDIN % (str(adapters / "torch"), str(adapters / "fastsafetensors" / "loader.py"))
        with Conversation(program) as loader:
            for number, expected in [(101, INVALID), (2, FULL), (100, NO_DEVICE), (700, FAULT)]:
                # The stand-in fails with the number of the device.
                asked = {"path": str(FOLDER / "loader.py"), "device": f"cuda:{number}", "admit": False}
                self.assertEqual(loader.refused("load", **asked), expected)
