"""Defines the networks of the comparison in PyTorch, each with its optimizer and batch size.

Initial weights are those of Keras and tfcore: Glorot uniform, zeros in softmax regression; biases are zero. Strided
convolutions of size 3 pad both sides by one row, where Keras and tfcore pad below and to the right only: the results
have the same shapes, and cost as much.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Case:
    """A model, its data set and its training; rows of the `limited` weights have a norm of 3 at most."""

    dataset: str
    model: nn.Module
    optimizer: torch.optim.Optimizer
    batch_size: int
    limited: tuple[nn.Parameter, ...] = ()


class ChannelsFirst(nn.Module):
    """Permutes [N, H, W, C] to [N, C, H, W], a view in channels_last, which the convolutions keep."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the view, without a copy."""
        return x.permute(0, 3, 1, 2)


def initialized(model: nn.Sequential) -> nn.Sequential:
    """Sets Glorot uniform weights, zero biases, and channels_last."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model.to(memory_format=torch.channels_last)


def with_momentum(*modules: nn.Module, batch_size: int = 128, learning_rate: float = 0.05) -> Case:
    """A network for CIFAR-10, trained with momentum."""
    model = initialized(nn.Sequential(ChannelsFirst(), *modules))
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9, fused=True)
    return Case("cifar10", model, optimizer, batch_size)


def convolution(channels: int, filters: int, size: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A padded convolution without a bias, as before batch norm."""
    return nn.Conv2d(channels, filters, size, stride, padding=size // 2, groups=groups, bias=False)


def norm(features: int) -> nn.BatchNorm2d:
    """Batch norm with the settings of Keras and tfcore."""
    return nn.BatchNorm2d(features, eps=1e-3, momentum=0.01)


def softmax() -> Case:
    """Softmax regression by gradient descent."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    nn.init.zeros_(model[1].weight)
    nn.init.zeros_(model[1].bias)
    return Case("cifar10", model, torch.optim.SGD(model.parameters(), lr=0.005, fused=True), 100)


def mlp() -> Case:
    """Two hidden layers of 50."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 50), nn.ReLU(), nn.Linear(50, 50), nn.ReLU(), nn.Linear(50, 10))
    optimizer = torch.optim.Adam(initialized(model).parameters(), lr=0.001, eps=1e-7, fused=True)
    return Case("mnist", model, optimizer, 100)


def mnist_cnn() -> Case:
    """Two convolutions, a pool, a hidden layer, two dropouts."""
    model = nn.Sequential(
        ChannelsFirst(),
        nn.Conv2d(1, 32, 3),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(12 * 12 * 64, 100),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(100, 10),
    )
    optimizer = torch.optim.Adadelta(initialized(model).parameters(), lr=1.0, rho=0.95, eps=1e-7, foreach=True)
    return Case("mnist", model, optimizer, 128)


def cifar_cnn() -> Case:
    """Four blocks of convolution, dropout and batch normalisation, and two hidden layers with a max-norm."""
    modules: list[nn.Module] = [ChannelsFirst()]
    channels = 3
    for block, filters in enumerate((32, 64, 64, 128), start=1):
        modules += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(inplace=True)]
        modules += [nn.MaxPool2d(2)] if block in (2, 3) else []
        modules += [nn.Dropout(0.2), nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)]
        channels = filters
    modules += [nn.Flatten(), nn.Dropout(0.2)]
    features = 8 * 8 * channels
    for units in (256, 128):
        modules += [nn.Linear(features, units), nn.ReLU(inplace=True)]
        modules += [nn.Dropout(0.2), nn.BatchNorm1d(units, eps=1e-3, momentum=0.01)]
        features = units
    model = initialized(nn.Sequential(*modules, nn.Linear(features, 10)))
    *hidden, _ = [module.weight for module in model if isinstance(module, nn.Linear)]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7, fused=True)
    return Case("cifar10", model, optimizer, 64, tuple(hidden))


class BasicBlock(nn.Module):
    """The block of ResNet-20; a convolution is the shortcut where the shape changes."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(channels, filters, 3, stride),
            norm(filters),
            nn.ReLU(inplace=True),
            convolution(filters, filters, 3),
            norm(filters),
        )
        changing = () if channels == filters else (convolution(channels, filters, 1, stride), norm(filters))
        self.shortcut = nn.Sequential(*changing)  # without modules: x itself

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the block's result."""
        return functional.relu(self.body(x) + self.shortcut(x), inplace=True)


def resnet20() -> Case:
    """Three groups of three residual blocks, as in He et al. 2015."""
    modules: list[nn.Module] = [convolution(3, 16, 3), norm(16), nn.ReLU(inplace=True)]
    channels = 16
    for group, filters in enumerate((16, 32, 64), start=1):
        for number in (1, 2, 3):
            modules.append(BasicBlock(channels, filters, 2 if group > 1 and number == 1 else 1))
            channels = filters
    return with_momentum(*modules, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


class Divided(nn.Module):
    """Divides by 9."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the quotient."""
        return x / 9


def airbench94(batch_size: int) -> Case:
    """The network of airbench94, whose first convolution is trained."""
    modules: list[nn.Module] = [nn.Conv2d(3, 24, 2), nn.GELU()]
    channels = 24
    for filters in (64, 256, 256):
        modules += [convolution(channels, filters, 3), nn.MaxPool2d(2), norm(filters), nn.GELU()]
        modules += [convolution(filters, filters, 3), norm(filters), nn.GELU()]
        channels = filters
    modules += [nn.MaxPool2d(3), nn.Flatten(), nn.Linear(channels, 10), Divided()]
    return with_momentum(*modules, batch_size=batch_size)


class WideBlock(nn.Module):
    """The block of Wide ResNet: batch norm and ReLU before each convolution.

    Where the shape changes, the shortcut is a convolution of what the first ReLU gives.
    """

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.before = nn.Sequential(norm(channels), nn.ReLU(inplace=True))
        self.body = nn.Sequential(
            convolution(channels, filters, 3, stride),
            norm(filters),
            nn.ReLU(inplace=True),
            convolution(filters, filters, 3),
        )
        self.shortcut = None if channels == filters else convolution(channels, filters, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the block's result."""
        y = self.before(x)
        return self.body(y) + (x if self.shortcut is None else self.shortcut(y))


def wrn_16_4() -> Case:
    """Wide ResNet 16-4: three groups of two residual blocks."""
    modules: list[nn.Module] = [convolution(3, 16, 3)]
    channels = 16
    for group, filters in enumerate((64, 128, 256), start=1):
        for number in (1, 2):
            modules.append(WideBlock(channels, filters, 2 if group > 1 and number == 1 else 1))
            channels = filters
    modules += [norm(channels), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return with_momentum(*modules, nn.Linear(channels, 10))


class Tokens(nn.Module):
    """Makes a token of each pixel [N, C, H, W], and adds a learned vector to each, zero at the start."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.zeros(1, tokens, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the tokens [N, H * W, C]."""
        return x.flatten(2).transpose(1, 2) + self.vectors


class Attention(nn.Module):
    """Self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.result = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns tokens of the shape of x."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        return self.result(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Summed(nn.Module):
    """Adds the results of modules, called in turn, to x."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*modules)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the sum."""
        return x + self.body(x)


class TokenMean(nn.Module):
    """The mean over the tokens."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns [N, C]."""
        return x.mean(1)


def vit() -> Case:
    """A vision transformer of six blocks for patches of 4, with the mean over the tokens."""
    modules: list[nn.Module] = [nn.Conv2d(3, 192, 4, 4), Tokens(64, 192)]
    for _ in range(6):
        modules.append(Summed(nn.LayerNorm(192, eps=1e-6), Attention(192, 3)))
        mlp = (nn.Linear(192, 384), nn.GELU(), nn.Linear(384, 192))
        modules.append(Summed(nn.LayerNorm(192, eps=1e-6), *mlp))
    modules += [nn.LayerNorm(192, eps=1e-6), TokenMean(), nn.Linear(192, 10)]
    return with_momentum(*modules, learning_rate=0.002)


def mobilenet() -> Case:
    """Seven depthwise separable convolutions, each part with batch norm and ReLU."""
    modules: list[nn.Module] = [convolution(3, 32, 3), norm(32), nn.ReLU(inplace=True)]
    channels = 32
    for filters, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        modules += [convolution(channels, channels, 3, stride, groups=channels), norm(channels), nn.ReLU(inplace=True)]
        modules += [convolution(channels, filters, 1), norm(filters), nn.ReLU(inplace=True)]
        channels = filters
    return with_momentum(*modules, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


CASES = {
    "softmax": softmax,
    "mlp": mlp,
    "mnist_cnn": mnist_cnn,
    "cifar_cnn": cifar_cnn,
    "resnet20": resnet20,
    "airbench94_500": partial(airbench94, 500),
    "airbench94_1000": partial(airbench94, 1000),
    "wrn_16_4": wrn_16_4,
    "vit": vit,
    "mobilenet": mobilenet,
}
