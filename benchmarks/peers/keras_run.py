"""Trains or evaluates a network of the comparison in Keras, and prints one line of JSON.

    python -m benchmarks.peers.keras_run cifar_cnn --examples=3200                  the default setting
    python -m benchmarks.peers.keras_run softmax --steps_per_execution=50 --tf_data
    python -m benchmarks.peers.keras_run cifar_cnn --evaluate --mixed_bfloat16

By default the data are arrays that were scaled to float32 before the clock starts; tfcore scales them in every step.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.peers import keras_models, measuring
from benchmarks.peers.keras_models import Case
from benchmarks.peers.measuring import Stopwatch, peak_bytes


class StopAfter(keras.callbacks.Callback):
    """Ends `fit` after the epoch in which the time of the stopwatch is over; has no cost within epochs."""

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self._watch = watch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stops the training when the time is over."""
        del epoch, logs
        self.model.stop_training = self._watch.is_over()


def batches(images: Any, labels: Any, batch_size: int, *, shuffled: bool) -> tf.data.Dataset:
    """Gathers whole batches, since tf.data has a cost per element; shuffled anew every epoch."""
    images, labels = tf.constant(images), tf.constant(labels)
    count, steps = len(images), len(images) // batch_size

    def epoch(_: tf.Tensor) -> tf.data.Dataset:
        rows = tf.random.shuffle(tf.range(count)) if shuffled else tf.range(count)
        return tf.data.Dataset.from_tensor_slices(tf.reshape(rows[: steps * batch_size], [steps, batch_size]))

    def gather(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.cast(tf.gather(images, rows), tf.float32) * (1 / 255), tf.gather(labels, rows)

    chosen = tf.data.Dataset.range(1).flat_map(epoch).apply(tf.data.experimental.assert_cardinality(steps))
    return chosen.map(gather, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def fed(pictures: tuple[Any, Any], batch_size: int, *, tf_data: bool, shuffled: bool) -> dict[str, Any]:
    """The data arguments of `fit` and `evaluate`."""
    images, labels = pictures
    if tf_data:
        return {"x": batches(images, labels, batch_size, shuffled=shuffled)}
    return {"x": np.divide(images, 255, dtype=np.float32), "y": labels, "batch_size": batch_size}


def train(case: Case, data: dict[str, Any], watch: Stopwatch) -> list[float]:
    """Trains until the time is over; returns the mean loss of each epoch."""
    fitted = case.model.fit(**data, epochs=10**6, verbose=0, callbacks=[StopAfter(watch)])
    return fitted.history["loss"]


def evaluate(case: Case, data: dict[str, Any], watch: Stopwatch) -> None:
    """Evaluates the data repeatedly until the time is over."""
    while True:
        case.model.evaluate(**data, verbose=0)
        if watch.is_over():
            return


def main() -> None:
    """Builds the model, then trains or evaluates it."""
    bare_bytes = peak_bytes()
    parser = measuring.parser(__doc__, keras_models.CASES)
    parser.add_argument("--evaluate", action="store_true", help="evaluate the test pictures instead of training")
    parser.add_argument("--steps_per_execution", type=int, default=1)
    parser.add_argument("--mixed_bfloat16", action="store_true")
    parser.add_argument("--tf_data", action="store_true", help="a tf.data pipeline instead of arrays")
    parser.add_argument(
        "--jit_compile", action="store_true", help="compile the step by XLA, which is not Keras' default"
    )
    parser.add_argument("--one_thread", action="store_true", help="within and between ops")
    arguments = parser.parse_args()
    if arguments.one_thread:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    if arguments.mixed_bfloat16:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    case = keras_models.CASES[arguments.case]()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    case.model.compile(
        case.optimizer,
        loss,
        metrics=["accuracy"],
        steps_per_execution=arguments.steps_per_execution,
        jit_compile=arguments.jit_compile or "auto",
    )
    split, batch_size = ("test", measuring.EVAL_BATCH_SIZE) if arguments.evaluate else ("train", case.batch_size)
    pictures = measuring.pictures(case.dataset, arguments.examples, split=split)
    count = len(pictures[1])
    data = fed(pictures, batch_size, tf_data=arguments.tf_data, shuffled=not arguments.evaluate)
    del pictures  # Keras holds a copy
    watch = Stopwatch(arguments.secs)
    setting = {
        "precision": "bfloat16" if arguments.mixed_bfloat16 else "float32",
        "version": f"Keras {keras.__version__}",
    }
    if arguments.evaluate:
        evaluate(case, data, watch)
        measuring.report("evaluation", count, watch, bare_bytes, **setting)
    else:
        losses = train(case, data, watch)
        steps = -(-count // batch_size)
        measuring.report("steps_per_sec", steps, watch, bare_bytes, losses=losses, **setting)


if __name__ == "__main__":
    main()
