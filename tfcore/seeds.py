"""Keys for random draws: every draw of a run comes from (seed, purpose, step), never from a stateful generator."""

import hashlib
from typing import Any, NamedTuple


def words(seed: int, *purpose: str | int, count: int = 2) -> tuple[int, ...]:
    """Hashes the seed and all parts of the purpose to `count` signed 32-bit words.

    The parts are hashed (BLAKE2b) with their type and length, so ("a", "bc") and ("ab", "c") differ. The words suit
    `tf.random.stateless_*` (two of them) and `numpy.random.default_rng`.
    """
    digest = hashlib.blake2b(digest_size=4 * count)
    for part in (int(seed), *purpose):
        text = f"{type(part).__name__}:{part}".encode()
        digest.update(len(text).to_bytes(4, "little") + text)
    data = digest.digest()
    return tuple(int.from_bytes(data[4 * i : 4 * i + 4], "little", signed=True) for i in range(count))


def integer(seed: int, *purpose: str | int) -> int:
    """Hashes the seed and the purpose to one unsigned 64-bit integer, for `numpy.random.default_rng`."""
    low, high = words(seed, *purpose, count=2)
    return (high % 2**32) << 32 | low % 2**32


class Key(NamedTuple):
    """The inputs of a random layer's draw: `(run seed, step, global position of the batch's first example)`.

    A layer folds in its own path, so two equal layers draw differently; drawing for global positions makes the draw
    independent of how a batch is divided.
    """

    seed: int
    step: Any
    position: Any
