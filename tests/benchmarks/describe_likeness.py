"""How well descriptors tell people apart, and what each threshold of `group_people` would do.

python tests/benchmarks/describe_likeness.py results/<run>/photos/<set>     a set whose people are known

Persons are the column `person`, or in tables without it the first two parts of the photo's key.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.coarse.image_sets.likeness import describe_faces, find_majority
from facemill.coarse.networks.identity_network import load_identity
from facemill.faces.crops import read_crop
from facemill.runtime.tables import OK, read_table

ROOT = Path(__file__).resolve().parents[2]
THRESHOLDS = (0.86, 0.88, 0.89, 0.9, 0.905, 0.91, 0.92)
DRAWS = 500


def described(folder: Path) -> tuple[NDArray, NDArray]:
    """Persons (N,) and descriptors (N, 128) of the `ok` photos of a set."""
    people, crops, points = [], [], []
    for path in sorted((folder / "segment_skin").glob("*.parquet")):
        table = read_table(path)
        for row in table[table["status"] == OK].to_dict("records"):
            people.append(row.get("person") or "_".join(row["photo"].split("_")[:2]))
            crops.append(read_crop(folder / "align_faces" / path.stem, row["photo"]))
            points.append(torch.from_numpy(np.array(row["landmarks68"]).reshape(68, 2)))
    network = load_identity(ROOT / "resources" / "weights" / "identity.safetensors")
    return np.array(people), describe_faces(network, crops, points)


def main(folder: Path) -> None:
    """Print percentiles of the cosines, and what happens to mixtures at each threshold."""
    torch.set_num_threads(1)
    people, features = described(folder)
    cosines = features @ features.T
    same = (people[:, None] == people[None]) & ~np.eye(len(people), dtype=bool)
    other = people[:, None] != people[None]
    for name, chosen in (("one person", same), ("two people", other)):
        print(name, "5, 25, 50, 75, 95 %:", np.percentile(cosines[chosen], [5, 25, 50, 75, 95]).round(3))
    print(f"pairs in the right order: {(cosines[same][:, None] > cosines[other][None]).mean():.3f}")
    rows = {name: np.flatnonzero(people == name) for name in np.unique(people)}
    names = [name for name, own in rows.items() if len(own) >= 3]
    print(
        "least likeness | own left out | a stranger among 3: found, own lost | two among 3: found, own lost"
    )
    for least in THRESHOLDS:
        draw = np.random.default_rng(0)
        own = [~find_majority(features[found], least).members for found in rows.values()]
        cells = [np.concatenate(own).mean()]
        for strangers in (1, 2):
            found, lost = [], []
            for _ in range(DRAWS):
                one, two = draw.choice(names, 2, replace=False)
                mixed = [*draw.choice(rows[one], 3, replace=False), *draw.choice(rows[two], strangers, False)]
                left_out = ~find_majority(features[mixed], least).members
                found.append(left_out[3:].mean())
                lost.append(left_out[:3].mean())
            cells += [np.mean(found), np.mean(lost)]
        print(f"{least:.3f} | " + " | ".join(f"{cell:.3f}" for cell in cells))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
