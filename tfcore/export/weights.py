"""The formats for weights, by file extension."""

from types import ModuleType

from tfcore.export import h5, npz, safetensors

# Each has `write(path, weights, metadata)` and `read(path) -> (weights, metadata)`.
FORMATS: dict[str, ModuleType] = {"h5": h5, "npz": npz, "safetensors": safetensors}
