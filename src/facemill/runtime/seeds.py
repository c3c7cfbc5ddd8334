"""Seeds derived from names, so that results do not depend on order or number of workers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the workflow hashes names in every job and needs no numpy for it
    import numpy as np


def seed_of(seed: int, *names: str) -> int:
    """A 63-bit seed for the thing called `names` in a run with `seed`; stable across machines.

    >>> seed_of(0, "portraits", "0000") == seed_of(0, "portraits", "0000")
    True
    >>> seed_of(0, "a", "bc") == seed_of(0, "ab", "c")
    False
    """
    text = "\x1f".join([str(seed), *names])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator_of(seed: int, *names: str) -> np.random.Generator:
    """A numpy generator seeded by `seed_of`."""
    import numpy as np

    return np.random.default_rng(seed_of(seed, *names))


def bucket_of(name: str, buckets: int) -> int:
    """The bucket 0 … `buckets` − 1 that `name` falls into: a stable hash, independent of all other names."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % buckets
