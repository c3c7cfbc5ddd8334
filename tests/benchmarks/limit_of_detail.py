"""How much of the relief must be known for a ratio of `evaluate_detail`.

    python tests/benchmarks/limit_of_detail.py FOLDER [PHOTOS]

FOLDER is results/<run>/synthesis/photos/<set>/synthesize_photos/<shard>, with `surfaces` and `displacement`.
In the place of a prediction stands the true displacement, smoothed over the skin by a Gaussian: right where
it is wider, nothing where it is finer. Means over PHOTOS (6) photographs, evenly of the shard.
"""

import sys
from pathlib import Path

import numpy as np

from facemill.evaluation.detail_case import judge_displacement, mean_around, seen_skin
from facemill.evaluation.detail_files import TrueSurfaces
from facemill.evaluation.detail_settings import DetailEvaluationSettings

DEVIATIONS = (0.7, 1.0, 1.4, 2.0, 2.8)  # mm


def main(folder: Path, photos: int = 6) -> None:
    """Print a row for each width: detail alone, distance and normals, as ratios to knowing nothing."""
    settings, truths = DetailEvaluationSettings(), TrueSurfaces(folder, folder.with_suffix(".npz"))
    names = sorted(path.stem for path in (folder / "surfaces").glob("*.npz") if path.stem != "topology")
    chosen = [names[row] for row in np.unique(np.linspace(0, len(names) - 1, photos).round().astype(int))]
    totals = {deviation: np.zeros((2, 2)) for deviation in DEVIATIONS}
    for name in chosen:
        truth = truths[name]
        skin = seen_skin(truth, settings.largest_angle)
        sure = np.ones(len(truth.displacement))
        for deviation, total in totals.items():
            known = mean_around(truth.displacement[:, None], skin.in_sight, truth, deviation)[:, 0]
            found = judge_displacement(truth, skin, known, sure, settings.residual)
            total += [
                [gap.distances.mean(), gap.angles.mean()] for gap in (found.smooth_detail, found.fine_detail)
            ]
    print(f"{len(chosen)} photographs")
    print("| wider than, mm | detail alone: distance, ratio | normals, ratio |\n|---|---|---|")
    for deviation, (coarse, fine) in totals.items():
        distance, normals = fine / coarse
        print(f"| {deviation} | {distance:.2f} | {normals:.2f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
