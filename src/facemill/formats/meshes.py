"""Triangle meshes in OBJ, PLY and GLB files; OBJ and PLY in the units of the mesh (ours: millimetres)."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image

from facemill.formats.glb import read_glb, write_glb
from facemill.geometry.mesh import Mesh
from facemill.runtime.errors import FormatError
from facemill.runtime.files import write_bytes
from facemill.runtime.inputs import decoding, read_content

__all__ = [
    "read_glb",
    "read_mesh",
    "read_obj",
    "read_ply",
    "write_glb",
    "write_mesh",
    "write_obj",
    "write_ply",
]

_LARGEST_INDEX = 1 << 40
_REMEDY = "export the mesh again, as OBJ, PLY or GLB"


def read_mesh(path: str | Path, need_triangles: bool = True, need_numbers: bool = True) -> Mesh:
    """Read an OBJ, PLY or GLB file, chosen by its suffix; arguments as for `read_obj`.

    Raises:
        FormatError: see `read_obj`; or the suffix is another one.
    """
    reader = _by_suffix(path, {".obj": read_obj, ".ply": read_ply, ".glb": _read_glb_mesh})
    return reader(path, need_triangles, need_numbers)


def write_mesh(path: str | Path, mesh: Mesh) -> None:
    """Write OBJ, binary PLY or GLB, chosen by the suffix, without a texture."""
    writers: dict[str, Callable] = {".obj": write_obj, ".ply": write_ply, ".glb": write_glb}
    _by_suffix(path, writers)(path, mesh)


def write_obj(
    path: str | Path, mesh: Mesh, texture: NDArray[np.uint8] | str | None = None, decimals: int = 4
) -> None:
    """Write Wavefront OBJ: `v x y z`, or `v x y z r g b` (0..1) as MeshLab reads it; `vt` when there is uv.

    Four decimals of a millimetre are 0.1 micrometres. With `texture` (H, W, 3; row 0 is v = 1) `<stem>.mtl`
    and `<stem>.png` are written beside it; Blender, Unity and web viewers show such a texture, but no vertex
    colours. A texture that is a file already is given by its path from the folder of the OBJ.

    Raises:
        ValueError: a texture without uv.
    """
    path = Path(path)
    if texture is not None and mesh.uv is None:
        raise ValueError("texture: expected a mesh with uv, found none; give uv and uv_triangles too")
    parts = []
    position = " ".join([f"%.{decimals}f"] * 3)
    if texture is not None:
        parts.append(f"mtllib {path.stem}.mtl\nusemtl photo\n")
        _write_material(path, texture)
    if mesh.colors is None:
        parts.append(_lines(f"v {position}\n", mesh.vertices))
    else:
        colors = np.clip(mesh.colors, 0, 1)
        parts.append(_lines(f"v {position} %.4f %.4f %.4f\n", np.hstack([mesh.vertices, colors])))
    if mesh.uv is None or mesh.uv_triangles is None:
        parts.append(_lines("f %d %d %d\n", mesh.triangles + 1))
    else:
        parts.append(_lines("vt %.6f %.6f\n", mesh.uv))
        corners = np.stack([mesh.triangles, mesh.uv_triangles], axis=2).reshape(-1, 6) + 1
        parts.append(_lines("f %d/%d %d/%d %d/%d\n", corners))
    write_bytes(path, "".join(parts).encode("ascii"))


def read_obj(path: str | Path, need_triangles: bool = True, need_numbers: bool = True) -> Mesh:
    """Read Wavefront OBJ: positions, vertex colours and uv; polygons become fans of triangles.

    Colours above 1 are taken as 0..255. Normals, groups and materials are passed over.

    Args:
        need_triangles: whether a file without triangles (a point cloud) is an error.
        need_numbers: whether a position that is not finite is an error; else it comes through as it is.
    Raises:
        FormatError: the file is missing or empty; a line cannot be read; a coordinate is not a finite number;
            an index points nowhere.
    """
    rows: dict[str, list[str]] = {"v": [], "vt": []}
    faces: list[_FaceLine] = []
    for number, line in enumerate(_text(path).replace("\\\n", " ").splitlines(), start=1):
        kind, _, rest = line.strip().partition(" ")
        if kind in rows:
            rows[kind].append(rest)
        elif kind == "f":
            faces.append((rest, number, len(rows["v"]), len(rows["vt"])))
    indices = _plain_triangles(faces)
    if indices is None:
        indices = _polygons(path, faces)
    table = _table(path, rows["v"], "v", (3, 4, 6, 7))
    uv = uv_triangles = None
    if rows["vt"] and len(indices) and (indices[:, 3:] >= 0).all():
        uv, uv_triangles = _table(path, rows["vt"], "vt", (1, 2, 3))[:, :2], indices[:, 3:]
    colors = table[:, -3:] if table.shape[1] >= 6 else None
    if colors is not None and colors.max(initial=0) > 1:
        colors = colors / 255
    mesh = (table[:, :3], indices[:, :3], colors, uv, uv_triangles)
    return checked_mesh(path, need_triangles, need_numbers, *mesh)


def write_ply(path: str | Path, mesh: Mesh, binary: bool = True) -> None:
    """Write PLY: float positions, 8-bit vertex colours when there are any; uv is left out."""
    columns = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]
    if mesh.colors is not None:
        columns += [("red", "u1"), ("green", "u1"), ("blue", "u1")]
    vertices = np.empty(len(mesh.vertices), dtype=columns)
    for axis, name in enumerate("xyz"):
        vertices[name] = mesh.vertices[:, axis]
    if mesh.colors is not None:
        colors = np.round(np.clip(mesh.colors, 0, 1) * 255).astype(np.uint8)
        for channel, name in enumerate(("red", "green", "blue")):
            vertices[name] = colors[:, channel]
    faces = np.empty(len(mesh.triangles), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.triangles
    names = {"<f4": "float", "u1": "uchar"}
    header = [
        "ply",
        f"format {'binary_little_endian' if binary else 'ascii'} 1.0",
        f"element vertex {len(vertices)}",
        *(f"property {names[kind]} {name}" for name, kind in columns),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    if binary:
        body = vertices.tobytes() + faces.tobytes()
    else:
        colors_format = " %d %d %d" if mesh.colors is not None else ""
        numbers = np.array(vertices.tolist(), dtype=np.float64).reshape(len(vertices), -1)
        body = (
            _lines(f"%.9g %.9g %.9g{colors_format}\n", numbers) + _lines("3 %d %d %d\n", mesh.triangles)
        ).encode("ascii")
    write_bytes(path, "\n".join(header).encode("ascii") + body)


def read_ply(path: str | Path, need_triangles: bool = True, need_numbers: bool = True) -> Mesh:
    """Read ascii or binary PLY: positions, vertex colours, triangles (polygons become fans).

    Raises:
        FormatError: as in `read_obj`.
    """
    expected = "an ascii or binary PLY file"
    content = read_content(path, expected, _REMEDY)
    with decoding(path, expected, _REMEDY):
        _check_counts(content)
        loaded: Any = trimesh.load(io.BytesIO(content), file_type="ply", process=False)
        return _mesh_of_ply(path, loaded, need_triangles, need_numbers)


def _check_counts(content: bytes) -> None:
    """Refuse headers that claim more elements than the file has bytes: trimesh makes room for them."""
    header = content[: content.find(b"end_header")]
    for line in header.splitlines():
        words = line.split()
        if words[:1] == [b"element"] and not 0 <= int(words[2]) <= len(content):
            raise ValueError(f"{int(words[2])} elements in {len(content)} bytes")


def _mesh_of_ply(path: str | Path, loaded: Any, need_triangles: bool, need_numbers: bool) -> Mesh:
    if isinstance(loaded, trimesh.Scene):  # what trimesh makes of a file without vertices
        empty = np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
        return checked_mesh(path, need_triangles, need_numbers, *empty, None, None, None)
    faces = getattr(loaded, "faces", None)
    triangles = np.zeros((0, 3), dtype=np.int64) if faces is None else np.asarray(faces, dtype=np.int64)
    colors = None
    if isinstance(loaded, trimesh.PointCloud):
        has_colors = loaded.colors is not None and len(loaded.colors) == len(loaded.vertices)
        colors = np.asarray(loaded.colors)[:, :3] / 255 if has_colors else None
    elif loaded.visual.kind == "vertex":
        colors = np.asarray(loaded.visual.vertex_colors)[:, :3] / 255
    vertices = np.asarray(loaded.vertices, dtype=np.float64)
    mesh = (vertices, triangles.reshape(-1, 3), colors, None, None)
    return checked_mesh(path, need_triangles, need_numbers, *mesh)


def checked_mesh(
    path: str | Path,
    need_triangles: bool,
    need_numbers: bool,
    vertices: NDArray,
    triangles: NDArray,
    colors: NDArray | None,
    uv: NDArray | None,
    uv_triangles: NDArray | None,
) -> Mesh:
    """A mesh from a file, or a FormatError that names what is wrong with the file."""
    if len(vertices) == 0:
        raise FormatError(f"{path} holds no vertex", "a triangle mesh", "an empty one", _REMEDY)
    if need_triangles and len(triangles) == 0:
        raise FormatError(
            f"{path} holds no triangle",
            "a triangle mesh",
            f"{len(vertices)} points without triangles",
            _REMEDY,
        )
    for name, values in (("position", vertices if need_numbers else None), ("colour", colors), ("uv", uv)):
        if values is not None and not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values).all(axis=1)))
            raise FormatError(
                f"{path}: the {name} of vertex {row + 1} is no number",
                "finite numbers",
                str(values[row]),
                _REMEDY,
            )
    try:
        return Mesh(vertices, triangles, colors, uv, uv_triangles)
    except ValueError as error:
        raise FormatError(
            f"{path} does not hold together", "indices of vertices", str(error), _REMEDY
        ) from error


def _by_suffix(path: str | Path, choices: dict[str, Callable]) -> Callable:
    suffix = Path(path).suffix.lower()
    if suffix not in choices:
        raise FormatError(
            f"{path}: unknown kind of mesh",
            " or ".join(choices),
            suffix or "no suffix",
            "convert it, with MeshLab say",
        )
    return choices[suffix]


def _read_glb_mesh(path: str | Path, need_triangles: bool, need_numbers: bool) -> Mesh:
    mesh = read_glb(path).mesh
    parts = (mesh.vertices, mesh.triangles, mesh.colors, mesh.uv, mesh.uv_triangles)
    return checked_mesh(path, need_triangles, need_numbers, *parts)


def _lines(line: str, table: NDArray) -> str:
    """All rows of `table` in the printf format `line`: one call, which is what makes the writers fast."""
    return (line * len(table)) % tuple(table.ravel().tolist())


def _write_material(path: Path, texture: NDArray[np.uint8] | str) -> None:
    name = texture if isinstance(texture, str) else f"{path.stem}.png"
    if not isinstance(texture, str):
        picture = io.BytesIO()
        Image.fromarray(texture).save(picture, format="PNG")
        write_bytes(path.with_suffix(".png"), picture.getvalue())
    material = f"newmtl photo\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {name}\n"
    write_bytes(path.with_suffix(".mtl"), material.encode("utf-8"))


#: Text of an `f` line, its number, and how many positions and uv the file held before it.
_FaceLine = tuple[str, int, int, int]


def _plain_triangles(faces: list[_FaceLine]) -> NDArray[np.int64] | None:
    """Corners (F, 6) when all faces are `f a b c`, the common case, in one go; else None."""
    if not all(face[0].count(" ") == 2 for face in faces):
        return None
    try:
        corners = np.array(" ".join([face[0] for face in faces]).split(), dtype=np.int64)
    except (ValueError, OverflowError):
        return None
    if corners.size != 3 * len(faces) or corners.min(initial=1) < 1:
        return None
    corners = corners.reshape(-1, 3) - 1
    return np.hstack([corners, np.full_like(corners, -1)])


def _polygons(path: str | Path, faces: list[_FaceLine]) -> NDArray[np.int64]:
    """Corners (F, 6) of faces of any kind: three vertices and their uv, -1 where the file gives none."""
    corners: list[tuple[int, ...]] = []
    for text, number, vertex_count, uv_count in faces:
        try:
            corners += _fan(text.split(), vertex_count, uv_count)
        except ValueError as error:
            raise FormatError(
                f"{path}: line {number} is no face", "f 1 2 3 or f 1/1 2/2 3/3", f"f {text[:78]}", _REMEDY
            ) from error
    return np.array(corners, dtype=np.int64).reshape(-1, 6)


def _fan(tokens: list[str], vertex_count: int, uv_count: int) -> list[tuple[int, ...]]:
    """Triangles (a, b, c, uv of a, b, c) of a polygon; 0-based, uv -1 where the file gives none."""
    if len(tokens) < 3:
        raise ValueError("fewer than three corners")
    pairs = []
    for token in tokens:
        vertex, _, rest = token.partition("/")
        uv = rest.partition("/")[0]
        pairs.append((_index(vertex, vertex_count), _index(uv, uv_count) if uv else -1))
    (a, at), *others = pairs
    return [(a, b, c, at, bt, ct) for (b, bt), (c, ct) in pairwise(others)]


def _index(text: str, count: int) -> int:
    """0-based index; negative ones in the file count back from the latest line. 0 is no index."""
    number = int(text)
    if number == 0 or not -count <= number <= _LARGEST_INDEX:
        raise ValueError(f"index {number}")
    return number - 1 if number > 0 else count + number


def _table(path: str | Path, rows: list[str], kind: str, widths: tuple[int, ...]) -> NDArray[np.float64]:
    fields = [row.split() for row in rows]
    width = len(fields[0]) if fields else widths[0]
    odd = next((i for i, row in enumerate(fields) if len(row) != width), 0 if width not in widths else None)
    if odd is not None:
        raise FormatError(
            f"{path}: the {kind} line {odd + 1} is of another width",
            f"{' or '.join(map(str, widths))} numbers in each {kind} line, always as many",
            f"{kind} {rows[odd][:60]}",
            _REMEDY,
        )
    try:
        return np.array(fields, dtype=np.float64).reshape(-1, width)
    except (ValueError, OverflowError) as error:
        raise FormatError(
            f"{path}: a {kind} line holds no numbers", "numbers", str(error), _REMEDY
        ) from error


def _text(path: str | Path) -> str:
    return (
        read_content(path, "a mesh", "check the path")
        .decode("utf-8", "replace")
        .replace("\r\n", "\n")
        .replace("\t", " ")
    )
