"""What a training leaves behind for people: rows of a CSV file, TensorBoard events, pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from facemill.runtime.files import atomic_path, write_text
from facemill.runtime.inputs import decoding, read_text
from facemill.runtime.storage import named_storage_errors

METRICS = "metrics.csv"
EVENTS = "tensorboard"
LEADING = ("step", "epoch", "kind", "images_per_second")


class Journal:
    """Writes `metrics.csv`, TensorBoard's events and `pictures/<step>.png` into a folder.

    A run that goes on at a step drops the rows after it, so that a broken and an unbroken run leave equal
    rows (but for the speed).

    Args:
        first: the step at which this part of the run begins.
    """

    def __init__(self, folder: Path, first: int) -> None:
        self.folder = folder
        self.rows: list[dict[str, str]] = []
        path = folder / METRICS
        if first and path.is_file():
            self.rows = read_rows(path, first)
        self.events = SummaryWriter(str(folder / EVENTS), purge_step=first + 1 if first else None)

    def write(
        self, kind: str, step: int, epoch: float, values: Mapping[str, float], speed: float | None = None
    ) -> None:
        """Add one row of `kind` (train or validation)."""
        row = {"step": str(step), "epoch": f"{epoch:.4f}", "kind": kind}
        row["images_per_second"] = "" if speed is None else f"{speed:.1f}"
        row |= {name: f"{value:.7g}" for name, value in values.items()}
        self.rows.append(row)
        with named_storage_errors(self.folder / EVENTS):
            for name, value in values.items():
                self.events.add_scalar(f"{kind}/{name}", value, step)
            if speed is not None:
                self.events.add_scalar("images_per_second", speed, step)

    def show(self, step: int, picture: NDArray[np.uint8]) -> None:
        """Keep a picture (H, W, 3)."""
        with atomic_path(self.folder / "pictures" / f"{step:07d}.png") as partial:
            Image.fromarray(picture).save(partial)
        with named_storage_errors(self.folder / EVENTS):
            self.events.add_image("faces", picture, step, dataformats="HWC")

    def flush(self) -> None:
        """Bring everything to the disk."""
        names = list(LEADING)
        for row in self.rows:
            names += [name for name in row if name not in names]
        lines = [",".join(names)]
        lines += [",".join(row.get(name, "") for name in names) for row in self.rows]
        write_text(self.folder / METRICS, "\n".join(lines) + "\n")
        with named_storage_errors(self.folder / EVENTS):
            self.events.flush()

    def close(self) -> None:
        """Flush and end."""
        self.flush()
        with named_storage_errors(self.folder / EVENTS):
            self.events.close()


def read_rows(path: Path, last: int) -> list[dict[str, str]]:
    """The rows of a journal up to the step `last`, as they were written.

    Raises:
        FormatError: the file is missing or is no table of steps.
    """
    expected, remedy = "a table of steps", "delete the folder of the training"
    text = read_text(path, expected, remedy)
    with decoding(path, expected, remedy):
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        return [row for row in rows if int(row["step"]) <= last]
