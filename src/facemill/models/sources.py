"""The model of a run, whichever format its source has."""

from __future__ import annotations

import shutil
from pathlib import Path

from facemill.models.files import FORMAT, check_format, load_model, save_model
from facemill.models.head import HEAD_FORMAT, load_head
from facemill.runtime.files import atomic_path, load_arrays


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
