"""Models, one file each: pictures `[N, H, W, C]` in, logits `[N, classes]` out."""

from tfcore.models.mlp import Mlp
from tfcore.models.softmax import Softmax

__all__ = ["Mlp", "Softmax"]
