"""What regularisation does to the matches of captures with a scan, a row each; and a picture of the last one.

    python tests/benchmarks/tabulate_regularization.py PICTURE FOLDER CAPTURE ...

FOLDER is results/<run> of a run that has base meshes, maps and matches (`match_surface`). Distances are those
of the map to the scan along the base normals, over the texels of the face that meet it; slopes are the
error's, in degrees. Seconds are of one processor.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from captures_of_run import CapturesOfRun
from numpy.typing import NDArray
from PIL import Image

from facemill.formats.surface_maps import MappedSurface, read_surface_map
from facemill.multiview.regularization.classical import classical_surface
from facemill.multiview.regularization.combined_matches import combine_matches
from facemill.multiview.regularization.settings import RegularizeSurfaceSettings
from facemill.multiview.texel_grid import TexelGrid

DARKEST = 0.3  # mm
NONE = MappedSurface("no_network", "", None)


def figures(grid: TexelGrid, displacement: NDArray) -> str:
    """Median and 90 % in mm, shares within 0.1, 0.2 and 0.5 mm, and the median error of slopes."""
    error = np.where(grid.mask, displacement - grid.truth, np.nan)
    across = np.diff(error, axis=1)[:-1] / np.linalg.norm(np.diff(grid.position, axis=1), axis=-1)[:-1]
    down = np.diff(error, axis=0)[:, :-1] / np.linalg.norm(np.diff(grid.position, axis=0), axis=-1)[:, :-1]
    slope = np.degrees(np.arctan(np.nanmedian(np.hypot(across, down))))
    sizes = np.abs(error[np.isfinite(error)])
    shares = " ".join(f"{100 * (sizes < limit).mean():.1f}" for limit in (0.1, 0.2, 0.5))
    known = len(sizes) / (grid.mask & np.isfinite(grid.truth)).sum()
    return f"{np.median(sizes):.3f} | {np.quantile(sizes, 0.9):.3f} | {shares} | {slope:.2f} | {known:.3f}"


def main() -> None:
    """Print the table and draw the last capture: base, matched, regularised (black: 0.3 mm), confidence."""
    picture, folder, *names = sys.argv[1:]
    captures, settings = CapturesOfRun(Path(folder)), RegularizeSurfaceSettings()
    for name in names:
        grid = captures.open(name).grid
        classical = read_surface_map(captures.folder(name) / "match_surface" / "matches.npz")
        matches = combine_matches({"implicit": NONE, "classical": classical}, settings)
        began = time.process_time()
        found = classical_surface(grid, matches.displacement, matches.confidence, settings.surface)
        seconds = time.process_time() - began
        maps = {"base": 0 * grid.truth, "matched": matches.displacement, "regularised": found.displacement}
        for stage, values in maps.items():
            print(f"| {name} | {stage} | {figures(grid, values)} |", flush=True)
        print(f"{seconds:.1f} s", flush=True)
    light = [1 - np.abs(values - grid.truth) / DARKEST for values in maps.values()]
    panels = [np.where(grid.mask, panel, np.nan) for panel in (*light, found.confidence)]
    sheet = np.nan_to_num(np.concatenate(panels, axis=1).clip(0, 1), nan=0.5)
    Image.fromarray(np.rint(255 * sheet).astype(np.uint8)).save(picture)


if __name__ == "__main__":
    main()
