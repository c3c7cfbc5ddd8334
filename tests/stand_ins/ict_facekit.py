"""A folder with the file names, vertex order, units and texture tiles of ICT-FaceKit, holding our own head.

No number of theirs is in it but the public indices. Polygons are quads and triangles, as there.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from stand_ins.surface import SampledHead, landmark_directions, sample, template

#: Sizes of the geometries in their order: face, head and neck, mouth socket, eye sockets, gums and tongue,
#: teeth, eyeballs, then the helpers (fluid, blend, occlusion, lashes).
SIZES = (9409, 1839, 2046, 384, 384, 2977, 4412, 1570, 1570, 204, 204, 24, 24, 152, 152, 684, 684)
TILES = (0, 0, 1, 1, 1, 2, 3, 5, 5, 6, 6, 6, 6, 6, 6, 7, 7)
LANDMARKS = (
    *(1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443),
    *(268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147),
    *(4269, 3360, 1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081),
    *(0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966),
)
#: Their expression files.
EXPRESSIONS = (
    *("browDown_L", "browDown_R", "browInnerUp_L", "browInnerUp_R", "browOuterUp_L", "browOuterUp_R"),
    *("cheekPuff_L", "cheekPuff_R", "cheekSquint_L", "cheekSquint_R", "eyeBlink_L", "eyeBlink_R"),
    *("eyeLookDown_L", "eyeLookDown_R", "eyeLookIn_L", "eyeLookIn_R", "eyeLookOut_L", "eyeLookOut_R"),
    *("eyeLookUp_L", "eyeLookUp_R", "eyeSquint_L", "eyeSquint_R", "eyeWide_L", "eyeWide_R", "jawForward"),
    *("jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthDimple_L", "mouthDimple_R", "mouthFrown_L"),
    *("mouthFrown_R", "mouthFunnel", "mouthLeft", "mouthLowerDown_L", "mouthLowerDown_R", "mouthPress_L"),
    *("mouthPress_R", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower"),
    *("mouthShrugUpper", "mouthSmile_L", "mouthSmile_R", "mouthStretch_L", "mouthStretch_R"),
    *("mouthUpperUp_L", "mouthUpperUp_R", "noseSneer_L", "noseSneer_R"),
)
HALVED = ("browInnerUp", "cheekPuff")  # one shape in ARKit
OFFSET = np.array([0.0, 30.0, -20.0])  # mm, their own origin


@dataclass(frozen=True)
class IctStandIn:
    """What the files say, millimetres: mean (26719, 3), identity (K, 26719, 3), blendshapes by ARKit name."""

    mean: NDArray
    identity: NDArray
    blendshapes: dict[str, NDArray]
    skin: SampledHead


def write_ict_facekit(folder: Path, identities: int = 4) -> IctStandIn:
    """Write the neutral mesh, `identities` identity files and all expression files."""
    folder.mkdir(parents=True, exist_ok=True)
    ends = np.cumsum(SIZES)
    starts = ends - SIZES
    skin_count = SIZES[0] + SIZES[1]
    directions = _sphere(skin_count)
    # The half towards the face first: geometry 0 is the face, geometry 1 the rest of the head.
    directions = directions[np.argsort(-directions[:, 2], kind="stable")]
    rows = np.array(LANDMARKS)
    directions[rows] = landmark_directions()
    skin = sample(directions, rows, identities)
    head = template()
    shapes = np.einsum("se,enc->snc", head.blendshape_coefficients.numpy(), skin.expression)
    names = dict(zip(head.blendshape_names, shapes, strict=True))
    mean = np.zeros((ends[-1], 3))
    mean[:skin_count] = skin.mean
    uv = [_face_uv(directions)]
    faces = [_unfolded(_hull(directions), uv[0])]
    for geometry in range(2, len(SIZES)):
        ball = _sphere(SIZES[geometry])
        mean[starts[geometry] : ends[geometry]] = _middle(geometry) + _radius(geometry) * ball
        faces.append(_hull(ball) + starts[geometry])
        flat = 0.5 + 0.49 * ball[:, :2]
        uv.append(flat + [TILES[geometry], 0])
    places = mean + OFFSET
    _write(folder / "generic_neutral_mesh.obj", places, np.concatenate(uv), np.concatenate(faces))

    def everywhere(moved: NDArray) -> NDArray:
        result = np.zeros_like(mean)
        result[:skin_count] = moved
        return result

    identity = np.stack([everywhere(mode) for mode in skin.identity])
    for mode, moved in enumerate(identity):
        _write(folder / f"identity{mode:03d}.obj", places + moved)
    for file in EXPRESSIONS:
        name = file.replace("_L", "Left").replace("_R", "Right")
        whole = file[:-2] if file[-2:] in ("_L", "_R") and file[:-2] in HALVED else None
        moved = names[whole] / 2 if whole else names[name]
        _write(folder / f"{file}.obj", places + everywhere(moved))
    return IctStandIn(
        places, identity, {n: everywhere(s) for n, s in names.items() if n != "tongueOut"}, skin
    )


def _middle(geometry: int) -> NDArray:
    """Inner parts lie where the embedded head has them."""
    eyes = {7: 1, 8: -1, 3: 1, 4: -1}
    if geometry in eyes:
        return np.array([31.0 * eyes[geometry], 28.0, -14.0])
    return np.array([0.0, -45.0, -20.0]) if geometry < 7 else np.array([0.0, 28.0, 20.0])


def _radius(geometry: int) -> float:
    return 12.0 if geometry in (3, 4, 7, 8) else 15.0


def _sphere(count: int) -> NDArray:
    z = 1 - 2 * (np.arange(count) + 0.5) / count
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - z**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), z], axis=1)


def _hull(directions: NDArray) -> NDArray:
    """Triangles round the origin, counter-clockwise from outside."""
    hull = ConvexHull(directions).simplices.astype(np.int64)
    corners = directions[hull]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inwards = (normal * corners.mean(axis=1)).sum(axis=1) < 0
    hull[inwards] = hull[inwards][:, ::-1]
    return hull


def _face_uv(directions: NDArray) -> NDArray:
    angle = np.arccos(np.clip(directions[:, 2], -1, 1))
    aside = directions[:, :2] / np.maximum(np.linalg.norm(directions[:, :2], axis=1, keepdims=True), 1e-9)
    return 0.5 + 0.49 * angle[:, None] / np.pi * aside


def _unfolded(triangles: NDArray, uv: NDArray) -> NDArray:
    """Without those that cross the cut of the atlas at the back of the head."""
    corners = uv[triangles]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return triangles[first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] > 0]


def _write(path: Path, mean: NDArray, uv: NDArray | None = None, faces: NDArray | None = None) -> None:
    lines = ["mtllib ICTFaceModelMaterial.mtl\n"]
    lines.append(("v %.9f %.9f %.9f\n" * len(mean)) % tuple((mean / 10).ravel().tolist()))
    if uv is not None and faces is not None:
        lines.append(("vt %.6f %.6f\n" * len(uv)) % tuple(uv.ravel().tolist()))
        quads, triangles = _paired(faces)
        for table in (quads, triangles):
            pairs = np.repeat(table + 1, 2, axis=1)
            form = "f " + " ".join(["%d/%d"] * table.shape[1]) + "\n"
            lines.append((form * len(pairs)) % tuple(pairs.ravel().tolist()))
    path.write_text("".join(lines))


def _paired(faces: NDArray) -> tuple[NDArray, NDArray]:
    """Some pairs of neighbouring triangles as quads, and the rest."""
    edge: dict[tuple[int, int], int] = {}
    used = np.zeros(len(faces), dtype=bool)
    quads = []
    for row, (a, b, c) in enumerate(faces.tolist()):
        for first, second, third in ((a, b, c), (b, c, a), (c, a, b)):
            other = edge.get((second, first))
            if other is not None and not used[other] and not used[row]:
                apex = int(np.setdiff1d(faces[other], [first, second])[0])
                quads.append((first, apex, second, third))
                used[[other, row]] = True
            edge[first, second] = row
        if len(quads) >= 2000:
            break
    return np.array(quads), faces[~used]
