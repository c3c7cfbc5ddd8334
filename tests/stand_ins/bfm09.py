"""Files with the names, keys, shapes, dtypes, units and index bases of the Basel Face Model 2009 and the
expression files of Deep3DFaceRecon, holding our own embedded head: no number of a licensed file is in them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat
from scipy.spatial import ConvexHull, Delaunay

from stand_ins.surface import SampledHead, landmark_directions, sample, spread_in_disc

ALL, TRIMMED, CROP, FRONT = 53490, 53215, 35709, 27660
WHOLE_TRIANGLES, CROP_TRIANGLES, FRONT_TRIANGLES = 106466, 70789, 54681
SKIN, HULL = 9642, 627
REACH = np.radians([118.0, 80.0])  # half angles which the crop spans, sideways and up
SHIFT = np.array([5.0, -7.0, 11.0])  # mm, BFM's own origin

#: From facemodel_info.mat, counted from 1.
KEYPOINTS = (
    *(16645, 16889, 16468, 16265, 32245, 32940, 33376, 33655, 33839, 34023, 34313, 34767, 35473, 27817),
    *(27609, 27209, 27441, 28112, 28788, 29178, 29383, 29550, 30289, 30455, 30663, 31057, 31717, 8162, 8178),
    *(8188, 8193, 6516, 7244, 8205, 9164, 9884, 2216, 3887, 4921, 5829, 4802, 3641, 10456, 11354, 12384),
    *(14067, 12654, 11493, 5523, 6026, 7496, 8216, 8936, 10396, 10796, 9556, 8837, 8237, 7637, 6916, 5910),
    *(7385, 8224, 9065, 10538, 8830, 8230, 7630),
)


@dataclass(frozen=True)
class Bfm09StandIn:
    """What the files say, in millimetres, 0..1 and from 0.

    trim (53215,), crop (35709,), front (27660,): indices as in the files. head: fields of the 53,490 vertices
    before BFM's origin is added. triangles (70789, 3) of the crop, front_triangles (54681, 3) of the crop's
    vertices, skin (35709,).
    """

    head: SampledHead
    trim: NDArray
    crop: NDArray
    front: NDArray
    triangles: NDArray
    front_triangles: NDArray
    skin: NDArray


def write_bfm09(folder: Path) -> Bfm09StandIn:
    """Write all files of the conversion into `folder`."""
    random = np.random.default_rng(9)
    disc, in_crop = _disc()
    triangles = _delaunay(disc)
    directions = np.concatenate([_directions(disc), _elsewhere(ALL - CROP)])
    # Rows of the crop come anywhere in the model, and in another order in the expression basis.
    place = random.permutation(ALL)
    trim = place[:TRIMMED]
    order = random.permutation(TRIMMED)
    trim, crop = trim[np.argsort(order)], order[:CROP]
    whole = np.empty_like(directions)
    whole[place] = directions
    head = sample(whole, place[in_crop])
    front, front_triangles = _front(disc, triangles)
    skin = np.flatnonzero(head.regions["skin"][place[:CROP]])[:SKIN]
    folder.mkdir(parents=True, exist_ok=True)
    _write_model(folder / "01_MorphableModel.mat", head, _closed(whole))
    _write_expressions(folder, head, trim)
    savemat(folder / "BFM_front_idx.mat", {"idx": (crop[:, None] + 1).astype(np.float64)})
    savemat(folder / "BFM_exp_idx.mat", {"trimIndex": (trim[:, None] + 1).astype(np.int32)})
    within = np.full(CROP, -1)
    within[front] = np.arange(FRONT)
    mask = np.zeros(CROP, dtype=np.uint8)
    mask[skin] = 1
    savemat(
        folder / "facemodel_info.mat",
        {
            "tri": (triangles + 1).astype(np.int32),
            "point_buf": _incident(triangles),
            "tri_mask2": (within[front_triangles] + 1).astype(np.int32),
            "keypoints": np.array([KEYPOINTS], dtype=np.int32),
            "frontmask2_idx": (front[:, None] + 1).astype(np.int32),
            "frontmask2": (within[None] >= 0).astype(np.uint8),
            "skinmask": mask[None],
        },
    )
    return Bfm09StandIn(head, trim, crop, front, triangles, front_triangles, mask == 1)


def _disc() -> tuple[NDArray, NDArray]:
    """Places (35709, 2) in the unit disc, landmarks at their indices, and those indices (68,)."""
    towards = landmark_directions()
    angle = np.arccos(towards[:, 2])
    aside = towards[:, :2] / np.linalg.norm(towards[:, :2], axis=1, keepdims=True)
    landmarks = angle[:, None] * aside / REACH
    turn = np.arange(HULL) / HULL * 2 * np.pi
    border = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    rows = np.array(KEYPOINTS) - 1
    disc = np.empty((CROP, 2))
    others = np.setdiff1d(np.arange(CROP), rows)
    disc[others] = np.concatenate([border, 0.998 * spread_in_disc(len(others) - HULL)])
    disc[rows] = landmarks
    return disc, rows


def _directions(disc: NDArray) -> NDArray:
    flat = disc * REACH
    angle = np.linalg.norm(flat, axis=1)
    aside = flat / np.maximum(angle, 1e-12)[:, None]
    return np.concatenate([np.sin(angle)[:, None] * aside, np.cos(angle)[:, None]], axis=1)


def _elsewhere(count: int) -> NDArray:
    """Directions spread evenly over the rest of the sphere."""
    tried = 4 * count
    z = 1 - 2 * (np.arange(tried) + 0.5) / tried
    turn = np.arange(tried) * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - z**2)
    sphere = np.stack([ring * np.cos(turn), ring * np.sin(turn), z], axis=1)
    aside = sphere[:, :2] / np.maximum(np.linalg.norm(sphere[:, :2], axis=1, keepdims=True), 1e-12)
    outside = np.linalg.norm(np.arccos(z)[:, None] * aside / REACH, axis=1) > 1.02
    free = sphere[outside]
    return free[np.linspace(0, len(free) - 1, count).astype(int)]


def _delaunay(disc: NDArray) -> NDArray:
    """(70789, 3) counter-clockwise triangles: 2 V - 2 - border."""
    triangles = Delaunay(disc).simplices.astype(np.int64)
    assert len(triangles) == CROP_TRIANGLES
    corners = disc[triangles]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    clockwise = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] < 0
    triangles[clockwise] = triangles[clockwise][:, ::-1]
    return triangles


def _closed(directions: NDArray) -> NDArray:
    """(106466, 3) triangles round the head, open below, counted from 1 and clockwise from outside."""
    hull = ConvexHull(directions).simplices.astype(np.int64)
    corners = directions[hull]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outwards = (normal * corners.mean(axis=1)).sum(axis=1) > 0
    hull[outwards] = hull[outwards][:, ::-1]
    from_below = np.argsort(corners.mean(axis=1)[:, 1])
    return (hull[np.sort(from_below[len(hull) - WHOLE_TRIANGLES :])] + 1).astype(np.int32)


def _front(disc: NDArray, triangles: NDArray) -> tuple[NDArray, NDArray]:
    """The 27,660 vertices next to the middle and exactly 54,681 of their triangles, some twice if need be."""
    front = np.sort(np.argsort(np.linalg.norm(disc, axis=1))[:FRONT])
    inside = np.isin(triangles, front).all(axis=1)
    return front, np.resize(triangles[inside], (FRONT_TRIANGLES, 3))


def _incident(triangles: NDArray) -> NDArray:
    """(35709, 8) triangles of each vertex counted from 1, padded with 70790."""
    table = np.full((CROP, 8), CROP_TRIANGLES + 1, dtype=np.int32)
    corners = triangles.ravel()
    order = np.argsort(corners, kind="stable")
    vertex = corners[order]
    rank = np.arange(len(vertex)) - np.searchsorted(vertex, vertex)
    kept = rank < 8
    table[vertex[kept], rank[kept]] = order[kept] // 3 + 1
    return table


def _write_model(path: Path, head: SampledHead, triangles: NDArray) -> None:
    shape, shape_deviations = _columns(head.identity * 1000)
    colour, colour_deviations = _columns(head.albedo_basis * 255)
    arrays = {
        "shapePC": shape,
        "shapeEV": shape_deviations,
        "shapeMU": ((head.mean + SHIFT) * 1000).reshape(-1, 1).astype(np.float32),
        "texPC": colour,
        "texEV": colour_deviations,
        "texMU": (head.albedo_mean * 255).reshape(-1, 1).astype(np.float32),
        "tl": triangles,
        "segbin": np.zeros((ALL, 4), dtype=np.uint8),
    }
    savemat(path, arrays)


def _columns(basis: NDArray) -> tuple[NDArray, NDArray]:
    """Unit columns (3 V, 199) and deviations (199, 1); columns past the basis are zero."""
    flat = basis.reshape(len(basis), -1)
    lengths = np.linalg.norm(flat, axis=1)
    columns = np.zeros((flat.shape[1], 199), dtype=np.float32)
    columns[:, : len(flat)] = (flat / lengths[:, None]).T
    deviations = np.ones((199, 1), dtype=np.float64)
    deviations[: len(flat), 0] = lengths
    return columns, deviations


def _write_expressions(folder: Path, head: SampledHead, trim: NDArray) -> None:
    flat = (head.expression[:, trim] * 1000).reshape(len(head.expression), -1)
    lengths = np.linalg.norm(flat, axis=1)
    rows = np.zeros((79, 3 * TRIMMED), dtype="<f4")
    rows[: len(flat)] = flat / lengths[:, None]
    deviations = np.ones(79)
    deviations[: len(flat)] = lengths
    mean = np.full(3 * TRIMMED, 1e6, dtype="<f4")  # never to be added
    content = np.array([79], dtype="<i4").tobytes() + mean.tobytes() + rows.tobytes()
    (folder / "Exp_Pca.bin").write_bytes(content)
    (folder / "std_exp.txt").write_text(" ".join(f"{value:.6f}" for value in deviations) + "\n")
