"""The three files of FaceScape's bilinear model with random numbers in them, shaped like our own head.

50 identities and 52 expressions as there; fewer vertices (theirs are 26,317), to be quick.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from stand_ins.surface import landmark_directions, sample, spread_in_disc

VERTICES = 2500
IDENTITIES, EXPRESSIONS = 50, 52
REACH = np.radians(115)  # angle at the border of the disc, from the middle of the face
OFFSET = np.array([1.5, -4.0, 12.0])  # mm, their own origin


@dataclass(frozen=True)
class FacescapeStandIn:
    """What the files say: core (50, 52, 3V) absolute shapes, id_mean and id_var (50,), landmarks (68,)."""

    core: NDArray[np.float64]
    id_mean: NDArray[np.float64]
    id_var: NDArray[np.float64]
    landmarks: NDArray[np.int64]
    triangles: NDArray[np.int64]
    uv: NDArray[np.float64]


def write_facescape_model(folder: Path, vertices: int = VERTICES) -> FacescapeStandIn:
    """Write core_847_50_52.npy, factor_847_50_52.json and 1_neutral.obj."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(8)
    towards = landmark_directions()
    aside = towards[:, :2] / np.linalg.norm(towards[:, :2], axis=1, keepdims=True)
    disc = 0.998 * spread_in_disc(vertices)
    rows = draw.permutation(vertices)[:68]
    disc[rows] = np.arccos(towards[:, 2:]) * aside / REACH
    angle = np.linalg.norm(disc, axis=1, keepdims=True) * REACH
    flat = disc / np.maximum(np.linalg.norm(disc, axis=1, keepdims=True), 1e-12)
    directions = np.concatenate([np.sin(angle) * flat, np.cos(angle)], axis=1)
    head = sample(directions, rows, IDENTITIES - 1)
    triangles = _outward(Delaunay(disc).simplices, disc)
    uv = 0.5 + 0.49 * disc

    id_mean = draw.uniform(-0.02, 0.03, IDENTITIES)
    id_mean[0] = 0.2
    id_var = draw.uniform(0.5, 2.0, IDENTITIES) * 1e-3
    share = id_mean / (id_mean @ id_mean)
    mean = (head.mean + OFFSET).reshape(-1)
    modes = np.zeros((IDENTITIES, mean.size))
    found = head.identity.reshape(len(head.identity), -1)
    modes[1 : 1 + len(found)] = found / np.sqrt(id_var[1 : 1 + len(found), None])
    modes -= np.outer(share, id_mean @ modes)  # the mean weights give the mean face
    neutral = modes + np.outer(share, mean)
    shapes = draw.normal(0, 1, (EXPRESSIONS - 1, len(head.expression))) * 0.3
    moved = np.tensordot(shapes, head.expression, 1).reshape(EXPRESSIONS - 1, -1)
    slots = neutral[:, None] + share[:, None, None] * moved
    core = np.concatenate([neutral[:, None], slots], axis=1)
    np.save(folder / "core_847_50_52.npy", core.astype(np.float32))
    factors = {
        "id_mean": id_mean.tolist(),
        "id_var": id_var.tolist(),
        "lm_index_full": (3 * rows[:, None] + np.arange(3)).ravel().tolist(),
        "factors_id_0": (id_mean + 0.01).tolist(),
        "faces": (triangles + 1).tolist(),
    }
    (folder / "factor_847_50_52.json").write_text(json.dumps(factors))
    write_neutral(folder / "1_neutral.obj", mean.reshape(-1, 3), uv, triangles)
    return FacescapeStandIn(core.astype(np.float32), id_mean, id_var, rows, triangles, uv)


def write_neutral(path: Path, vertices: NDArray, uv: NDArray, triangles: NDArray) -> None:
    """An OBJ with the atlas, triangles as f v/t."""
    lines = [("v %.6f %.6f %.6f\n" * len(vertices)) % tuple(vertices.ravel().tolist())]
    lines.append(("vt %.6f %.6f\n" * len(uv)) % tuple(uv.ravel().tolist()))
    pairs = np.repeat(triangles + 1, 2, axis=1)
    lines.append(("f %d/%d %d/%d %d/%d\n" * len(pairs)) % tuple(pairs.ravel().tolist()))
    path.write_text("".join(lines))


def _outward(triangles: NDArray, disc: NDArray) -> NDArray[np.int64]:
    """Counter-clockwise seen from the front; x to the right, y up."""
    first, second = (
        disc[triangles[:, 1]] - disc[triangles[:, 0]],
        disc[triangles[:, 2]] - disc[triangles[:, 0]],
    )
    clockwise = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] < 0
    result = triangles.astype(np.int64)
    result[clockwise] = result[clockwise][:, ::-1]
    return result
