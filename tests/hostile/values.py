"""Is what a reader returned of the promised kind: numbers that are numbers, all the way down?"""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

MOST_LEVELS = 40


def what_is_wrong(value: Any, may_be_nan: bool = False, level: int = 0) -> str | None:
    """What is not finite in a nested value, in words; None: nothing. Tables are read, not judged."""
    if level > MOST_LEVELS:
        return "it nests without end"
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy() if value.dtype != torch.bfloat16 else value.float().numpy()
    if isinstance(value, np.ndarray) and value.dtype.kind in "fc":
        fine = np.isfinite(value) | (np.isnan(value) if may_be_nan else False)
        return None if fine.all() else f"{int((~fine).sum())} of {value.size} numbers are not finite"
    if isinstance(value, np.ndarray):
        return "an array of objects" if value.dtype.hasobject else None
    if isinstance(value, float):
        return None if math.isfinite(value) or (may_be_nan and math.isnan(value)) else f"it holds {value}"
    if isinstance(value, pd.DataFrame | str | bytes | int) or value is None:
        return None
    return next(
        (wrong for part in _parts(value) if (wrong := what_is_wrong(part, may_be_nan, level + 1))), None
    )


def _parts(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, one.name) for one in fields(value)]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    return []
