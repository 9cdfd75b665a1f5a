"""The peer: softmax regression on CIFAR-10 by Keras `fit` in its default setting. Prints one JSON line.

Pictures are scaled to float32 beforehand, outside the clock, which spares Keras work that tfcore does in every step.
"""

import argparse
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    """Trains one epoch to warm up, then times the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=100)
    arguments = parser.parse_args()

    import keras

    from tfcore.data import download
    from tfcore.data.sources import cifar

    train = cifar.cifar10(download.data_dir("")).train
    images = train.images.astype("float32") / 255
    model = keras.Sequential([keras.layers.Input(images.shape[1:]), keras.layers.Flatten(), keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.005), loss, metrics=["accuracy"])
    first = model.fit(images, train.labels, batch_size=arguments.batch_size, epochs=1, verbose=0)
    start = time.monotonic()
    rest = model.fit(images, train.labels, batch_size=arguments.batch_size, epochs=arguments.epochs, verbose=0)
    secs = time.monotonic() - start
    steps = arguments.epochs * -(-len(images) // arguments.batch_size)
    losses = [*first.history["loss"], *rest.history["loss"]]
    print(json.dumps({"steps_per_sec": steps / secs, "losses": losses, "version": keras.__version__}))


if __name__ == "__main__":
    main()
