"""Draws a digit, prints its pixels as hexadecimal bytes, and prints the predictions of a trained model.

First train a model, then run this with its folder:

    python train.py --model=mlp --dataset=mnist --run_dir=runs/mnist
    python examples/pseudo_digit.py runs/mnist
"""

import argparse

import numpy as np
from PIL import Image, ImageDraw

import tfcore
from tfcore.errors import TfcoreError

# A three in two strokes: the points (x, y) of each, in pixels from the upper left corner.
UPPER = [(8, 7), (12, 4.5), (17, 5), (19, 8.5), (17, 12.5), (13, 13.5)]
LOWER = [(13, 13.5), (17, 14.5), (19.5, 18), (18, 22), (13, 23.5), (8, 22)]
SIDE, PEN = 28, 2.5  # pixels
FINER = 8  # the factor by which the digit is drawn larger; scaling it down gives the strokes soft edges


def drawn() -> np.ndarray:
    """Returns the digit, white on black as in MNIST: uint8 [28, 28]."""
    image = Image.new("L", (SIDE * FINER, SIDE * FINER))
    for stroke in (UPPER, LOWER):
        points = [(x * FINER, y * FINER) for x, y in stroke]
        ImageDraw.Draw(image).line(points, fill="white", width=round(PEN * FINER), joint="curve")
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))


def main() -> None:
    """Draws the digit, saves it, and prints its pixels and the predictions."""
    parser = argparse.ArgumentParser(description="Predicts a hand-drawn digit with a model trained on MNIST.")
    parser.add_argument("run", help="the run's folder, such as runs/mnist")
    parser.add_argument("--out", default="digit.png", help="file for the picture")
    arguments = parser.parse_args()

    try:
        model = tfcore.load(arguments.run)
    except TfcoreError as error:
        parser.error(str(error))
    digit = drawn()
    Image.fromarray(digit).save(arguments.out)
    for row in digit:
        print(row.tobytes().hex(" "))
    (classes,) = model.predict(digit[np.newaxis, :, :, np.newaxis], top=3)  # one picture [1, 28, 28, 1]
    for name, probability in classes:
        print(f"{name}: {probability:.4f}")


if __name__ == "__main__":
    main()
