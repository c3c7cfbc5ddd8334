"""Images whose reading is known, for the tests of image and sampling."""

import numpy as np


def linear_image(height: int, width: int) -> np.ndarray:
    """Channel 0 is the column, channel 1 the row: bilinear reading must return the point itself."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([columns, rows], axis=-1).astype(np.float64)


def smooth_photo(height: int, width: int) -> np.ndarray:
    columns, rows = np.meshgrid(np.arange(width) / width, np.arange(height) / height)
    waves = [np.sin(9 * columns + 5 * rows), np.cos(7 * rows), np.sin(20 * columns * rows)]
    return (127 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)
