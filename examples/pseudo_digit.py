"""A digit drawn by hand, as hexadecimal bytes, and as a trained model reads it.

First train a model, then show it the digit:

    python train.py --model=mlp --dataset=mnist --run_dir=runs/mnist
    python examples/pseudo_digit.py runs/mnist
"""

import argparse

import numpy as np
from PIL import Image, ImageDraw

import tfcore
from tfcore.errors import TfcoreError

# A three in two strokes: (x, y) from point to point of the pen, in pixels from the upper left corner.
UPPER = [(8, 7), (12, 4.5), (17, 5), (19, 8.5), (17, 12.5), (13, 13.5)]
LOWER = [(13, 13.5), (17, 14.5), (19.5, 18), (18, 22), (13, 23.5), (8, 22)]
SIDE, PEN = 28, 2.5  # pixels
FINER = 8  # times: drawn large, then made small, strokes get soft edges


def drawn() -> np.ndarray:
    """White on black, as in MNIST: uint8 [28, 28]."""
    image = Image.new("L", (SIDE * FINER, SIDE * FINER))
    for stroke in (UPPER, LOWER):
        points = [(x * FINER, y * FINER) for x, y in stroke]
        ImageDraw.Draw(image).line(points, fill="white", width=round(PEN * FINER), joint="curve")
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))


def main() -> None:
    """Draws the digit, saves it, prints its pixels and what the model takes it for."""
    parser = argparse.ArgumentParser(description="Shows a digit drawn by hand to a model that was trained on MNIST.")
    parser.add_argument("run", help="the run's folder, such as runs/mnist")
    parser.add_argument("--out", default="digit.png", help="where the picture goes")
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
