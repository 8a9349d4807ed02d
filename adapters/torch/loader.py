"""safetensors with PyTorch as a loader of its own. Wants torch and safetensors."""

from weighbridge_adapter import serve
from safetensors_torch import SafetensorsTorch

serve(SafetensorsTorch())
