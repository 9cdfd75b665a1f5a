"""Models, one kind a file, from pictures `[N, H, W, C]` to logits `[N, classes]`."""

from tfcore.models.airbench import Airbench
from tfcore.models.cifar_cnn import CifarCnn
from tfcore.models.mlp import Mlp
from tfcore.models.mnist_cnn import MnistCnn
from tfcore.models.mobilenet import MobileNet
from tfcore.models.resnet import ResNet18, ResNet34, ResNet50
from tfcore.models.resnet_cifar import ResNet20, ResNet32, ResNet44, ResNet56, ResNet110
from tfcore.models.softmax import Softmax
from tfcore.models.vit import ViT
from tfcore.models.wide_resnet import WideResNet

__all__ = [
    "Airbench", "CifarCnn", "Mlp", "MnistCnn", "MobileNet", "ResNet18", "ResNet20", "ResNet32", "ResNet34", "ResNet44",
    "ResNet50", "ResNet56", "ResNet110", "Softmax", "ViT", "WideResNet",
]  # fmt: skip
