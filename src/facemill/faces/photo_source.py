"""The original photos, which the stages of faces read without knowing the stage of photos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class DecodedPhoto(Protocol):
    """What a photo reader returns."""

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB, upright."""
        ...


@dataclass(frozen=True)
class PhotoSource:
    """Where the original photos are and how they are read (stages do not import one another).

    Attributes:
        folder: of the photos.
        name_of_file: from the column `file` to a name in the folder.
        read: decodes a path; raises PhotoError when it cannot.
    """

    folder: str
    name_of_file: Callable[[str], str]
    read: Callable[[Path], DecodedPhoto]

    def pixels(self, file: str) -> NDArray[np.uint8]:
        """The upright photo of a row, (H, W, 3) uint8 RGB."""
        return self.read(Path(self.folder) / self.name_of_file(file)).pixels
