"""The numbers of parameters that papers and libraries state, of models that are too large to run here."""

from typing import Any

import keras
import pytest
import tensorflow as tf

from tfcore.build import lookup
from tfcore.build.tables import MODELS
from tfcore.layers import Pixels
from tfcore.modules import named_parameters

CIFAR, IMAGENET, MNIST = (32, 32, 3), (224, 224, 3), (28, 28, 1)
LARGE = {"stem": 224}
Published = tuple[str, tuple[int, int, int], int, dict[str, Any], int]
PUBLISHED: list[Published] = [
    # He et al. 2015, table 6, which rounds: 0.27, 0.46, 0.66, 0.85 and 1.7 million.
    ("resnet20", CIFAR, 10, {}, 269_722),
    ("resnet32", CIFAR, 10, {}, 464_154),
    ("resnet44", CIFAR, 10, {}, 658_586),
    ("resnet56", CIFAR, 10, {}, 853_018),
    ("resnet110", CIFAR, 10, {}, 1_727_962),
    ("resnet20", CIFAR, 10, {"shortcut": "B"}, 269_722 + 2_752),
    ("resnet56", CIFAR, 10, {"shortcut": "B"}, 853_018 + 2_752),
    ("resnet20", MNIST, 10, {}, 269_722 - 2 * 144),
    # torchvision.models
    ("resnet18", IMAGENET, 1000, LARGE, 11_689_512),
    ("resnet34", IMAGENET, 1000, LARGE, 21_797_672),
    ("resnet50", IMAGENET, 1000, LARGE, 25_557_032),
    # The same with a first convolution of 3×3 and ten classes.
    ("resnet18", CIFAR, 10, {}, 11_173_962),
    ("resnet34", CIFAR, 10, {}, 21_282_122),
    ("resnet50", CIFAR, 10, {}, 23_520_842),
    # Zagoruyko & Komodakis 2016, table 4: 2.7 and 36.5 million.
    ("wide_resnet", CIFAR, 10, {}, 2_748_890),
    ("wide_resnet", CIFAR, 10, {"depth": 28, "width": 10}, 36_479_194),
    # timm's vit_tiny_patch16_224 and vit_small_patch16_224, whose class token and learned positions are left out here.
    ("vit", IMAGENET, 1000, {"patch": 16}, 5_717_416 - 198 * 192),
    ("vit", IMAGENET, 1000, {"patch": 16, "width": 384, "heads": 6}, 22_050_664 - 198 * 384),
    ("vit", CIFAR, 10, {}, 5_350_090),
    ("vit", CIFAR, 10, {"width": 384, "heads": 6}, 21_317_002),
    # Jordan 2024: 1.97 million, without the 288 of the whitening, which are not trained.
    ("airbench", CIFAR, 10, {}, 1_971_352),
    *[
        ("mobilenet", CIFAR, 10, {"width": width}, count)
        for width, count in ((0.25, 215_642), (0.5, 823_722), (1.0, 3_217_226))
    ],
]


def parameters(name: str, image_shape: tuple[int, int, int], classes: int, sizes: dict[str, Any]) -> int:
    """Counts without memory for the weights: variables of a graph have shapes alone."""
    with tf.Graph().as_default():
        model = lookup.find(name, MODELS)(image_shape, classes, pixels=Pixels(), seed=0, **sizes)
        return sum(variable.shape.num_elements() for variable in named_parameters(model).values())


@pytest.mark.sampled(9)
@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: f"{case[0]}-{case[4]}")
def test_number_of_parameters(case: Published) -> None:
    *arguments, count = case
    assert parameters(*arguments) == count


@pytest.mark.thorough
@pytest.mark.parametrize("width", [0.75, 0.25, 1.0])
def test_a_mobilenet_has_as_many_as_that_of_keras(width: float) -> None:
    theirs = keras.applications.MobileNet(alpha=width, weights=None)
    count = sum(int(variable.shape.num_elements()) for variable in theirs.trainable_variables)
    assert parameters("mobilenet", IMAGENET, 1000, {"width": width, "stem": 224}) == count


def test_every_size_of_a_family_is_counted() -> None:
    assert {case[0] for case in PUBLISHED} == MODELS.keys() - {"softmax", "mlp", "mnist_cnn", "cifar_cnn"}
