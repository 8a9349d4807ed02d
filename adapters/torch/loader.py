"""safetensors with PyTorch as a loader. Needs torch and safetensors.

A divided model is loaded by a process for each rank. Each reads its slices of the file by `safe_open` and `get_slice`.
"""

from weighbridge_adapter import serve
from divided import divided
from safetensors_torch import SafetensorsTorch


class SlicesOfFiles(SafetensorsTorch):
    def held_slices(self, path, device, group, slices, shared):
        from rank import cut
        from safetensors import safe_open
        with safe_open(path, framework="pt", device=device) as file:
            return {name: cut(file.get_slice(name), ranges) for name, ranges in slices.items()}


LOADER = divided(SlicesOfFiles, __file__)
if __name__ == "__main__":
    serve(LOADER())
