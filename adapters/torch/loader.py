"""safetensors with PyTorch as a loader. Needs torch and safetensors."""

from weighbridge_adapter import serve
from safetensors_torch import SafetensorsTorch

serve(SafetensorsTorch())
