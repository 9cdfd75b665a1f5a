"""Facts that two processes must share for the second to continue a run exactly as the first would have."""

import hashlib
import os
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcore import __version__
from tfcore.config import RunConfig
from tfcore.data import order
from tfcore.data.fingerprint import fingerprint
from tfcore.data.source import Source
from tfcore.errors import DataError
from tfcore.machine import processor, processors

TEACHER = "teacher"  # a fact that must be equal
_OTHER_ROUNDING, _OTHER_EXAMPLES = "the last bits will differ", "later steps use other examples"
_MEANINGS = {  # fact: its displayed name, and the consequence of a difference
    "tfcore": ("tfcore", _OTHER_ROUNDING),
    "tensorflow": ("TensorFlow", _OTHER_ROUNDING),
    "processor": ("processor", _OTHER_ROUNDING),
    "onednn": ("TF_ENABLE_ONEDNN_OPTS", _OTHER_ROUNDING),
    "intra_op_threads": ("intra-op threads", _OTHER_ROUNDING),
    "precision": ("precision", "the arithmetic differs"),
    "workers": ("workers", _OTHER_ROUNDING),
    "order": ("order of the examples", _OTHER_EXAMPLES),
    "data": ("fingerprint of the training data", _OTHER_EXAMPLES),
    "example_weights": ("fingerprint of the weights of the examples", "later steps have other losses"),
}


class Provenance:
    """The facts of this process about a run.

    Args:
        config: of the run, resolved.
        train: the training data. A thread computes its fingerprint, which is not needed before the first checkpoint.
        weights: of the training examples; None for none.
        teacher: the fingerprint of the teacher; "" for none.
        workers: number of processes that train the run.
    """

    def __init__(
        self,
        config: RunConfig,
        train: Source,
        *,
        weights: NDArray[np.float32] | None = None,
        teacher: str = "",
        workers: int = 1,
    ) -> None:
        self._facts: dict[str, Any] = {
            "tfcore": __version__,
            "tensorflow": tf.__version__,
            "processor": processor(),
            "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "not set"),
            "intra_op_threads": config.intra_op_threads or processors(),
            "precision": config.precision,
            "order": order.ALGORITHM,
        }
        if weights is not None:
            self._facts["example_weights"] = hashlib.sha256(weights.tobytes()).hexdigest()[:16]
        if workers > 1:
            self._facts["workers"] = workers
        if teacher:
            self._facts[TEACHER] = teacher
        self._thread = threading.Thread(target=self._read, args=(train,), name="fingerprint", daemon=True)
        self._thread.start()

    def facts(self) -> dict[str, Any]:
        """Returns the facts by name, as saved in a checkpoint."""
        self._thread.join()
        return self._facts

    def differences(self, saved: Mapping[str, Any]) -> list[str]:
        """Returns a clause for each fact that differs from the saved one: both values, and the consequence."""
        facts, saved = ({"workers": 1} | dict(of) for of in (self.facts(), saved))
        return [
            f"{title} {facts.get(name, 'none')} (there: {saved.get(name, 'unknown')}): {meaning}"
            for name, (title, meaning) in _MEANINGS.items()
            if facts.get(name) != saved.get(name)
        ]

    def _read(self, train: Source) -> None:
        try:
            self._facts["data"] = fingerprint(train)
        except (OSError, DataError) as error:  # the read of the picture for training reports the error
            self._facts["data"] = f"unreadable: {error.strerror if isinstance(error, OSError) else error}"
