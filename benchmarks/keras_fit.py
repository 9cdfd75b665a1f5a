"""The peer: a network of the comparisons by Keras `fit` in its default setting. Prints one JSON line.

    python -m benchmarks.keras_fit cifar_cnn --examples=6400 --epochs=3

Pictures are scaled to float32 beforehand, outside the clock, which spares Keras work that tfcore does in every step.
"""

import argparse
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    """Trains one epoch to warm up, then times the others."""
    from benchmarks import keras_models

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=keras_models.CASES)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--examples", type=int, default=None)
    arguments = parser.parse_args()

    import keras

    from tfcore.data import download
    from tfcore.data.sources import cifar, idx

    case = keras_models.CASES[arguments.case]()
    read = {"cifar10": cifar.cifar10, "mnist": idx.mnist}[case.dataset]
    train = read(download.data_dir("")).take(arguments.examples, None).train
    images = train.images.astype("float32") / 255
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    case.model.compile(case.optimizer, loss, metrics=["accuracy"])
    first = case.model.fit(images, train.labels, batch_size=case.batch_size, epochs=1, verbose=0)
    start = time.monotonic()
    rest = case.model.fit(images, train.labels, batch_size=case.batch_size, epochs=arguments.epochs, verbose=0)
    secs = time.monotonic() - start
    steps = arguments.epochs * -(-len(images) // case.batch_size)
    losses = [*first.history["loss"], *rest.history["loss"]]
    print(json.dumps({"steps_per_sec": steps / secs, "losses": losses, "version": keras.__version__}))


if __name__ == "__main__":
    main()
