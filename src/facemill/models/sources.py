"""The model of a run, whichever format its source has."""

from __future__ import annotations

import shutil
from pathlib import Path

from facemill.models.files import FORMAT, check_format, load_model, save_model
from facemill.models.head import HEAD_FORMAT, load_head
from facemill.models.morphable import BilinearModel, LinearModel
from facemill.runtime.files import atomic_path, load_arrays


def load_models(*paths: str | Path) -> tuple[LinearModel | BilinearModel, ...]:
    """The model of each path, float32 on the CPU; a path given twice is read once.

    Raises:
        FormatError: see `load_model`.
    """
    known = {str(path): load_model(path) for path in dict.fromkeys(map(str, paths))}
    return tuple(known[str(path)] for path in paths)


def prepare_model(source: str | Path, output: str | Path) -> None:
    """Write the model file of a run: the compact head expanded, a model file as it is.

    Raises:
        FormatError: the source is missing, is neither, or its arrays do not fit together.
    """
    arrays = load_arrays(source, required=("format",))
    if str(arrays["format"]) == HEAD_FORMAT:
        save_model(output, load_head(source))
        return
    check_format(source, arrays, FORMAT)
    load_model(source)  # the file is whole and holds together
    with atomic_path(output) as partial:
        shutil.copyfile(source, partial)
