//! Devices, drivers and memory.

use super::row::remedies;

remedies! {
    NO_DRIVER: CudaUnavailable, Devices, "the NVIDIA driver's library cannot be opened" =>
        "Install the NVIDIA driver, or compute on the CPU with `--device cpu`.";
    NO_DEVICE: CudaUnavailable, Devices, "the driver finds no GPU" =>
        "Make a GPU visible (CUDA_VISIBLE_DEVICES, or the container's GPU option), or compute on the \
         CPU with `--device cpu`.";
    DEVICE_BUSY: CudaUnavailable, Devices, "the GPU is not available to this process" =>
        "Stop the process that uses the GPU alone (`nvidia-smi` lists it), choose another GPU with \
         `--device cuda:N`, or compute on the CPU with `--device cpu`.";
    DRIVER_STUB: CudaUnavailable, Devices, "a stub of the driver's library is loaded" =>
        "Remove the folder of CUDA's stub libraries from LD_LIBRARY_PATH, or compute on the CPU with \
         `--device cpu`.";
    SYSTEM_NOT_READY: CudaUnavailable, Devices, "the GPU system is not ready" =>
        "Start the NVIDIA Fabric Manager, or compute on the CPU with `--device cpu`.";
    DRIVER_MISMATCH: CudaUnavailable, Devices,
        "parts of the driver do not fit together or do not fit the GPU" =>
        "Restart the machine after a driver update, or install the driver for this GPU. To compute on \
         the CPU, use `--device cpu`.";
    NO_COMPILER: CudaUnavailable, Devices, "CUDA's run-time compiler cannot be opened" =>
        "Install libnvrtc, which comes with the CUDA toolkit and with PyTorch, or compute on the CPU \
         with `--device cpu`.";
    NO_SUCH_DEVICE: InvalidDevice, Devices, "there is no GPU with this number" =>
        "Name another GPU with `--device cuda:N` ({} are visible here), or check CUDA_VISIBLE_DEVICES.";
    DEVICE_LOST: DeviceFault, Devices, "the GPU can no longer be used by this process" =>
        "Start the program again. If this comes back, check the GPU (`nvidia-smi -q`, and Xid lines in \
         the kernel's log).";
    DEVICE_CALL_FAILED: DeviceFault, Devices, "a call to the GPU's libraries fails" =>
        "Run it again. If this comes back, report it with this message and the driver's version.";
    DEVICE_FULL: OutOfDeviceMemory, Devices, "the GPU has not enough free memory" =>
        "Stop other programs on the GPU (`nvidia-smi` lists them), unload other models, use a larger \
         GPU, or compute on the CPU with `--device cpu`.";
    HOST_FULL: OutOfHostMemory, Everywhere, "the machine has not enough free memory" =>
        "Free memory on this machine, or use a smaller model.";
    PINNED_REFUSED: OutOfHostMemory, Devices, "the driver gets no pinned memory" =>
        "Raise the limit on locked memory (`ulimit -l`, or the container's), or free memory on this \
         machine.";
    NO_THREAD: OutOfHostMemory, Everywhere, "no thread can be started" =>
        "Raise the limit on threads (`ulimit -u`, or the container's), or free memory on this machine.";
    BELOW_COMPUTE_CAPABILITY: ComputeCapability, Devices,
        "the device's compute capability is below the hardware profile's" =>
        "Use a device that meets the hardware profile, or ask for another profile.";
    BELOW_MEMORY: VramInsufficient, Devices,
        "the device has less memory than the hardware profile asks for" =>
        "Use a device that meets the hardware profile, or ask for another profile.";
    SET_DOES_NOT_FIT: VramInsufficient, Warm,
        "the models of a registry do not fit into free memory" =>
        "Free memory on {}, or take models out of the registry.";
    COMPUTE_CAPABILITY_OF_BF16: ComputeCapability, Devices,
        "the GPU has no kernels that round activations to BF16" =>
        "Compute the model exactly, or use a GPU of compute capability 9.0.";
    COMPUTE_ON_HOST: UnsupportedCapability, Devices,
        "activations are to be rounded to BF16 on the host" =>
        "Compute the model exactly, or load it on a CUDA device.";
    COMPUTE_DIVIDED: UnsupportedCapability, Protocol,
        "activations of a divided model are to be rounded to BF16" =>
        "Compute the model exactly, or load it whole on one device.";
    COMPUTE_NO_LOGITS: UnsupportedCapability, Devices,
        "activations of an encoder are to be rounded to BF16" =>
        "Compute the model exactly. Only decoders that give logits are measured with rounded activations.";
    COMPUTE_WEIGHTS: UnsupportedCapability, Devices,
        "activations are to be rounded to BF16, and weights are not BF16 matrices that tensor cores read" =>
        "Compute the model exactly, or use a model whose linear layers are stored as BF16, [out, in], with \
         a multiple of eight columns.";
    HEADS_TOO_LARGE: UnsupportedCapability, Devices,
        "the GPU kernels do not support a part of the model" =>
        "Compute on the CPU with `--device cpu`.";
}
