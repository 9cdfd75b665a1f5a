"""Defines the networks of the comparison in PyTorch, each with its optimizer and batch size.

Initial weights are those of Keras and tfcore: Glorot uniform, zeros in softmax regression; biases are zero.
"""

from dataclasses import dataclass

import torch
from torch import nn


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
    for module in model:
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    return model.to(memory_format=torch.channels_last)


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


CASES = {"softmax": softmax, "mlp": mlp, "mnist_cnn": mnist_cnn, "cifar_cnn": cifar_cnn}
