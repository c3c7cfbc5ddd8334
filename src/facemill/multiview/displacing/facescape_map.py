"""The relief of a face as a displacement map in FaceScape's encoding, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemill.formats.facescape_displacement import ROW_SHIFT, SIZE, encoded, read_displacement_map
from facemill.multiview.displaced_head import DisplacedHead, resampled, scaled_window
from facemill.multiview.texel_grid import window_slices
from facemill.runtime.files import atomic_path

#: What FaceScape's tools read of a map: rows and columns of its face.
WINDOW = (slice(576, 2624), slice(1024, 3072))


def write_facescape_map(
    path: str | Path,
    head: DisplacedHead,
    relief: NDArray,
    size: int,
    window: tuple[int, int, int, int],
    facescape: bool,
) -> None:
    """Write 4096 x 4096 texels of 16 bits: 32768 is 0, 32768 steps are 0.914 mm; more is clipped.

    Args:
        relief: (H, W) mm, the mesoscopic part alone, over `window` of maps of `size` texels. It fades at the
            border of the face as the displacement does.
        facescape: the atlas is FaceScape's, whose rows are counted one lower than ours; other atlases keep
            our rows.
    """
    part = window_slices(scaled_window(window, SIZE / size))
    inside = window_slices(window)
    share = resampled(head.share, len(head.share), (0, 0, *head.share.shape), size, inside, order=1)
    fine = resampled(np.nan_to_num(relief) * share, size, window, SIZE, part)
    values = np.zeros((SIZE, SIZE), dtype=np.float32)
    values[part] = fine
    if facescape:
        values = np.roll(values, ROW_SHIFT, axis=0)
    with atomic_path(path) as partial:
        Image.fromarray(encoded(values)).save(partial, format="PNG", compress_level=4)


def read_facescape_window(path: str | Path) -> NDArray[np.float32]:
    """(2048, 2048) mm: what FaceScape's tools read of a map, rows 576 to 2623 and columns 1024 to 3071.

    Raises:
        FormatError: see `read_displacement_map`.
    """
    return read_displacement_map(path)[WINDOW]
