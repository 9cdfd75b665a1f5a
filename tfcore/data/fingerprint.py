"""Fingerprints of data sets, to tell whether two are the same."""

import hashlib

import numpy as np

from tfcore.data.source import Source


def fingerprint(source: Source) -> str:
    """Returns sixteen hexadecimal digits that depend on the shape, the labels and the pictures' `identity` (SHA-256).

    It takes a tenth of a second for the 154 MB of CIFAR-10, without holding Python's lock, so it is best computed in a
    thread.

    Raises:
        OSError: a file is missing.
    """
    digest = hashlib.sha256(str((len(source), *source.image_shape)).encode())
    digest.update(np.ascontiguousarray(source.labels).data)
    for part in source.identity():
        digest.update(part)
    return digest.hexdigest()[:16]
