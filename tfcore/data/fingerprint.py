"""Whether two data sets are the same, without keeping either."""

import hashlib

import numpy as np

from tfcore.data.source import Source


def fingerprint(source: Source) -> str:
    """Sixteen hexadecimal digits that depend on the shape, the labels and the pictures' `identity` (SHA-256).

    It costs a tenth of a second for the 154 MB of CIFAR-10, in which Python's lock is free, so it is best worked out
    by a thread.

    Raises:
        OSError: a file is gone.
    """
    digest = hashlib.sha256(str((len(source), *source.image_shape)).encode())
    digest.update(np.ascontiguousarray(source.labels).data)
    for part in source.identity():
        digest.update(part)
    return digest.hexdigest()[:16]
