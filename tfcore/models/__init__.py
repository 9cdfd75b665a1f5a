"""Models, one file each, from pictures `[N, H, W, C]` to logits `[N, classes]`."""

from tfcore.models.cifar_cnn import CifarCnn
from tfcore.models.mlp import Mlp
from tfcore.models.mnist_cnn import MnistCnn
from tfcore.models.softmax import Softmax

__all__ = ["CifarCnn", "Mlp", "MnistCnn", "Softmax"]
