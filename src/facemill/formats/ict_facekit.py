"""ICT-FaceKit's folder of OBJ files, the light stage face model of Li et al. 2020: centimetres, y up."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facemill.formats.matlab import recognise_bytes, require_file
from facemill.formats.meshes import read_obj
from facemill.geometry.mesh import Mesh
from facemill.runtime.errors import LicensedFileError
from facemill.runtime.inputs import is_plain_file, read_content

log = logging.getLogger(__name__)

VERTICES = 26719
IDENTITIES = 100
MILLIMETRES_PER_CENTIMETRE = 10.0
NEUTRAL_FILE = "generic_neutral_mesh.obj"
#: Outer corners of the eyes of an adult lie this far apart, centimetres; tells a folder in other units.
EYE_CORNERS = (5.0, 15.0)

#: Landmarks that lie on the midline, and how far from it at most, centimetres.
MIDLINE = (8, 27, 28, 29, 30, 33, 51, 57, 62, 66)
LARGEST_ASIDE = 0.5

#: First and last vertex of each geometry (the model's README).
GEOMETRIES = {
    "face": (0, 9408),
    "head and neck": (9409, 11247),
    "mouth socket": (11248, 13293),
    "eye socket left": (13294, 13677),
    "eye socket right": (13678, 14061),
    "gums and tongue": (14062, 17038),
    "teeth": (17039, 21450),
    "eyeball left": (21451, 23020),
    "eyeball right": (23021, 24590),
    "lacrimal fluid left": (24591, 24794),
    "lacrimal fluid right": (24795, 24998),
    "eye blend left": (24999, 25022),
    "eye blend right": (25023, 25046),
    "eye occlusion left": (25047, 25198),
    "eye occlusion right": (25199, 25350),
    "eyelashes left": (25351, 26034),
    "eyelashes right": (26035, 26718),
}

#: Vertices of the 68 points in Multi-PIE's order, which is iBUG's (the model's README).
LANDMARKS68 = (
    *(1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966),
    *(3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443),
    *(268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509),
    *(978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360),
    *(1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732),
    *(5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841),
    *(5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966),
)

_SIDED = (
    *("browDown", "browInnerUp", "browOuterUp", "cheekPuff", "cheekSquint", "eyeBlink", "eyeLookDown"),
    *("eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown"),
    *("mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer"),
)
_WHOLE = (
    *("jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel", "mouthLeft"),
    *("mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
)
#: ARKit has one shape where the model has one for each side.
_JOINED = ("browInnerUp", "cheekPuff")

_REMEDY = (
    "copy the folder FaceXModel of github.com/ICT-VGL/ICT-FaceKit (MIT licence) to this place, whole; "
    "see resources/README.md"
)


@dataclass(frozen=True)
class IctFaceKit:
    """The model as its files hold it, in millimetres.

    Attributes:
        mesh: the mean face, neutral: 26,719 vertices, triangles, uv in tiles: the whole part of u is a tile.
        identity: (K, 26719, 3) what each mode adds at one standard deviation.
        blendshapes: ARKit name -> (26719, 3) what it adds at strength 1; `tongueOut` is not among them.
        landmarks68: (68,) vertices.
    """

    mesh: Mesh
    identity: NDArray[np.float32]
    blendshapes: dict[str, NDArray[np.float32]]
    landmarks68: NDArray[np.int64]


def arkit_files() -> dict[str, tuple[str, ...]]:
    """ARKit name -> the files (without suffix) whose movements together are that blendshape."""
    files: dict[str, tuple[str, ...]] = {name: (name,) for name in _WHOLE}
    for name in _SIDED:
        if name in _JOINED:
            files[name] = (f"{name}_L", f"{name}_R")
        else:
            files |= {f"{name}Left": (f"{name}_L",), f"{name}Right": (f"{name}_R",)}
    return files


def model_folder(folder: str | Path) -> Path:
    """The folder of the OBJ files: `folder`, or FaceXModel in it when that is the whole repository."""
    inner = Path(folder) / "FaceXModel"
    return inner if inner.is_dir() else Path(folder)


def needed_files(identities: int = IDENTITIES) -> tuple[str, ...]:
    """Names of the files that `read_ict_facekit` reads."""
    modes = (f"identity{mode:03d}.obj" for mode in range(identities))
    shapes = (f"{name}.obj" for files in arkit_files().values() for name in files)
    return (NEUTRAL_FILE, *modes, *sorted(shapes))


def read_ict_facekit(folder: str | Path, identities: int = IDENTITIES) -> IctFaceKit:
    """Read and check the folder.

    Args:
        identities: how many of its 100 modes to read.
    Raises:
        LicensedFileError: a file is missing, is no OBJ file of this model, or is in other units, mirrored,
            or numbered otherwise.
        FormatError: the neutral mesh cannot be read as OBJ.
    """
    folder = model_folder(folder)
    _require_all(folder, needed_files(identities))
    path = folder / NEUTRAL_FILE
    _positions(path)  # the count, and what is wrong with it, in this model's words
    mesh = read_obj(path)
    if mesh.uv is None or mesh.uv_triangles is None:
        raise LicensedFileError(
            f"{path} has no texture coordinates", "faces like f 1/1 2/2 3/3", "faces without", _REMEDY
        )
    _check_pose(path, mesh.vertices)
    neutral = mesh.vertices

    def movement(name: str) -> NDArray[np.float32]:
        moved = (_positions(folder / f"{name}.obj") - neutral) * MILLIMETRES_PER_CENTIMETRE
        return moved.astype(np.float32)

    identity = np.stack([movement(f"identity{mode:03d}") for mode in range(identities)])
    blendshapes = {
        name: np.asarray(sum(movement(file) for file in files), dtype=np.float32)
        for name, files in arkit_files().items()
    }
    log.info("%s: %d identity modes, %d blendshapes", folder, identities, len(blendshapes))
    for name, moved in (*blendshapes.items(), *((f"mode {i}", mode) for i, mode in enumerate(identity))):
        if not moved.any():
            log.warning("%s: %s moves nothing", folder, name)
    scaled = mesh.with_vertices(neutral * MILLIMETRES_PER_CENTIMETRE)
    return IctFaceKit(scaled, identity, blendshapes, np.array(LANDMARKS68, dtype=np.int64))


def _require_all(folder: Path, names: tuple[str, ...]) -> None:
    require_file(folder / names[0], "the neutral mesh of ICT-FaceKit", _REMEDY)
    missing = [name for name in names if not is_plain_file(folder / name)]
    if missing:
        raise LicensedFileError(
            f"{folder} lacks {len(missing)} files of ICT-FaceKit, the first {missing[0]}",
            f"{len(names)} OBJ files: {names[0]}, identity000.obj and on, one per expression",
            f"{len(names) - len(missing)} of them",
            _REMEDY,
        )


def _positions(path: Path) -> NDArray[np.float64]:
    """(26719, 3) the `v` lines of an OBJ file, centimetres."""
    content = read_content(path, "an OBJ file of ICT-FaceKit", _REMEDY, LicensedFileError)
    text = content.decode("utf-8", "replace")
    lines = [line[2:] for line in text.splitlines() if line.startswith("v ")]
    try:
        values = np.array(" ".join(lines).split(), dtype=np.float64)
    except ValueError:
        values = np.empty(0)
    if len(lines) != VERTICES or values.size != 3 * VERTICES or not np.isfinite(values).all():
        found = recognise_bytes(content[:512]) or f"{len(lines)} v lines with {values.size} numbers"
        raise LicensedFileError(
            f"{path} is no mesh of ICT-FaceKit", f"{VERTICES} lines v x y z of finite numbers", found, _REMEDY
        )
    return values.reshape(-1, 3)


def _check_pose(path: Path, vertices: NDArray) -> None:
    """The face looks along +z with +y up, in centimetres."""
    points = vertices[list(LANDMARKS68)]
    width = float(np.linalg.norm(points[45] - points[36]))
    if not EYE_CORNERS[0] <= width <= EYE_CORNERS[1]:
        raise LicensedFileError(
            f"{path} is in other units",
            f"centimetres: {EYE_CORNERS[0]:g} to {EYE_CORNERS[1]:g} between the outer corners of the eyes",
            f"{width:.4g}",
            _REMEDY,
        )
    across, up = points[45] - points[36], points[27] - points[8]
    out = points[30, 2] - points[[36, 45], 2].mean()
    aside = float(np.abs(points[list(MIDLINE), 0]).max())
    upright = across[0] > 2 * np.abs(across[1:]).max() and up[1] > 2 * np.abs(up[[0, 2]]).max() and out > 0
    if not upright or aside > LARGEST_ASIDE:
        raise LicensedFileError(
            f"{path} is turned or mirrored, or its vertices are in another order",
            "the person's left at +x, the forehead at +y, the nose at +z, "
            f"landmarks of the midline within {LARGEST_ASIDE:g} cm of x = 0",
            f"left towards {np.round(across, 1)}, forehead towards {np.round(up, 1)}, nose at z {out:+.3g}, "
            f"midline up to {aside:.3g} aside; early commits of the repository number otherwise",
            _REMEDY,
        )
