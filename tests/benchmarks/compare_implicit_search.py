"""The learned matcher's search, coarse to fine and dense, on the same texels of captures with scans.

python tests/benchmarks/compare_implicit_search.py FOLDER CAPTURE [CAPTURE ...]

FOLDER is results/<run> of a run that has made `uv_maps.npz` of the captures. A dense search of a whole face
takes minutes: both search the middle of the face alone (an eighth of the window's height and a quarter of
its width, about the nose and the mouth). Told of each: queries, processor seconds, peak memory of the process
so far, the distance to the scan along the normals (also of the base mesh, in the same texels), and how far
the two searches are apart.
"""

import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from captures_of_run import CapturesOfRun

from facemill.multiview.implicit.files import load_network
from facemill.multiview.implicit.predict import predict_surface
from facemill.multiview.implicit.pyramid import read_matched_views
from facemill.multiview.implicit.settings import PredictImplicitSettings
from facemill.multiview.matching.visibility import surroundings_of
from facemill.runtime.devices import use_threads

THREADS = 1
WEIGHTS = Path(__file__).parents[2] / "resources" / "weights" / "implicit.safetensors"
SEARCHES = ("coarse_to_fine", "dense")


def middle_of(mask):
    """The texels of a mask in the middle of its window."""
    height, width = mask.shape
    kept = np.zeros_like(mask)
    kept[height // 2 - height // 16 : height // 2 + height // 16, 3 * width // 8 : 5 * width // 8] = True
    return mask & kept


def percentiles(values):
    return " ".join(f"{value:.4f}" for value in np.percentile(values, [50, 90, 95]))


def main(folder, captures):
    use_threads(THREADS)
    run, network = CapturesOfRun(folder), load_network(WEIGHTS)
    for name in captures:
        opened = run.open(name)
        grid = replace(opened.grid, mask=middle_of(opened.grid.mask))
        surroundings = surroundings_of(opened.grid, opened.fitted.head, run.model.topology)
        found = {}
        for search in SEARCHES:
            settings = PredictImplicitSettings(network=str(WEIGHTS), search=search)
            views, pixel = read_matched_views(opened.fitted, grid, settings.finest)
            began = time.process_time()
            result = predict_surface(network, grid, views, pixel, surroundings, settings, torch.device("cpu"))
            seconds = time.process_time() - began
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            found[search] = result.surface.displacement
            known = grid.mask & np.isfinite(found[search]) & np.isfinite(grid.truth)
            away = np.abs(found[search] - grid.truth)[known]
            print(
                f"{name} {search}: {result.costs.queries / 1e6:.2f} M queries, {seconds:.1f} processor s, "
                f"{peak:.0f} MB; median p90 p95 {percentiles(away)} mm, base "
                f"{percentiles(np.abs(grid.truth[known]))}",
                flush=True,
            )
        both = grid.mask & np.isfinite(found["dense"]) & np.isfinite(found["coarse_to_fine"])
        apart = np.abs(found["dense"] - found["coarse_to_fine"])[both]
        print(f"{name}: apart by {percentiles(apart)} mm (median p90 p95)", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
