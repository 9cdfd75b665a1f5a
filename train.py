"""Trains a model: `python train.py --model=softmax --dataset=cifar10`."""

from tfcore.cli.main import console

if __name__ == "__main__":
    console("train")
