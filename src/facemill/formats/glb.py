"""GLB, the binary form of glTF 2.0: metres, texture coordinates with v down; ours are millimetres, v up."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from PIL import Image

from facemill.geometry.mesh import Mesh, vertex_normals
from facemill.geometry.tangents import tangent_frames
from facemill.runtime.files import write_bytes
from facemill.runtime.inputs import decoding, read_content

MOST_LEVELS = 64  # of nodes within nodes
MILLIMETRES_PER_METRE = 1000.0
_FLOAT, _UINT16, _UINT32 = 5126, 5123, 5125
_VERTEX_BUFFER, _INDEX_BUFFER = 34962, 34963


class TexturedMesh(NamedTuple):
    """mesh: millimetres; texture: (H, W, 3) uint8, row 0 is v = 1, or None."""

    mesh: Mesh
    texture: NDArray[np.uint8] | None


def write_glb(
    path: str | Path,
    mesh: Mesh,
    texture: NDArray[np.uint8] | None = None,
    texture_format: Literal["JPEG", "PNG"] = "JPEG",
    quality: int = 92,
    normal_map: NDArray[np.uint8] | None = None,
) -> None:
    """Write a mesh with normals, and its texture or vertex colours; equal input gives equal bytes.

    The material is matt (metallic 0, roughness 1) and seen from both sides, because a face is an open
    surface: Blender and web viewers then show form and texture under their own light. Vertices are split
    along the seams of the atlas. Colours are file values (sRGB); glTF stores vertex colours linear.

    Args:
        mesh: millimetres, head frame (y up, z out of the face), which is glTF's frame too.
        texture: (H, W, 3) uint8, row 0 is v = 1.
        quality: of the JPEG.
        normal_map: (H, W, 3) uint8, row 0 is v = 1, in the tangent space of `tangent_frames` (green is up);
            stored as PNG, with the tangents, so that every viewer uses the same.
    Raises:
        ValueError: a texture or a normal map without uv.
    """
    if (texture is not None or normal_map is not None) and (mesh.uv is None or mesh.uv_triangles is None):
        raise ValueError("texture: expected a mesh with uv, found none; give uv and uv_triangles too")
    vertex, uv, triangles = split_at_seams(mesh)
    writer = _Writer()
    normals = _unit_normals(mesh)[vertex]
    positions = (mesh.vertices / MILLIMETRES_PER_METRE)[vertex]
    attributes = {
        "POSITION": writer.add(positions, "VEC3", bounds=True),
        "NORMAL": writer.add(normals, "VEC3"),
    }
    if uv is not None:
        attributes["TEXCOORD_0"] = writer.add(np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1), "VEC2")
    material: dict[str, Any] = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}}
    if texture is not None:
        picture = writer.add_image(texture, "photo", texture_format, quality)
        material["pbrMetallicRoughness"]["baseColorTexture"] = {"index": picture}
    elif mesh.colors is not None:
        attributes["COLOR_0"] = writer.add(_linear(np.clip(mesh.colors, 0, 1))[vertex], "VEC3")
    if normal_map is not None and uv is not None:
        frames = tangent_frames(mesh.vertices[vertex], normals, uv, triangles)
        attributes["TANGENT"] = writer.add(np.column_stack([frames.tangents, frames.signs]), "VEC4")
        material["normalTexture"] = {"index": writer.add_image(normal_map, "normals", "PNG", quality)}
    primitive = {
        "attributes": attributes,
        "indices": writer.add_indices(triangles, len(vertex)),
        "material": 0,
    }
    document = {
        "asset": {"version": "2.0", "generator": "Facemill"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "face"}],
        "meshes": [{"primitives": [primitive], "name": "face"}],
        "materials": [{"name": "face", **material, "doubleSided": True}],
        **writer.pictures(),
        "accessors": writer.accessors,
        "bufferViews": writer.views,
        "buffers": [{"byteLength": len(writer.binary)}],
    }
    write_bytes(path, _container(document, bytes(writer.binary)))


def read_glb(path: str | Path) -> TexturedMesh:
    """Read the surfaces of a GLB file as one mesh, in millimetres, with the transforms of its scene applied.

    Texture and uv are read when the file holds exactly one surface.

    Raises:
        FormatError: the file is missing, is not GLB, or holds no triangle mesh.
    """
    expected, remedy = "a glTF 2.0 binary with a surface of triangles", "export it again"
    content = read_content(path, expected, remedy)
    with decoding(path, expected, remedy):
        _check_document(content)
        return _joined(trimesh.load_scene(io.BytesIO(content), file_type="glb", process=False))


def _check_document(content: bytes) -> None:
    """Refuse accessors that claim more than the file can hold, and nodes that contain themselves."""
    length = struct.unpack_from("<I", content, 12)[0]
    document = json.loads(content[20 : 20 + length].decode("utf-8"))
    for accessor in document.get("accessors", []):
        if not 0 <= accessor["count"] <= len(content):
            raise ValueError(f"an accessor of {accessor['count']} elements in {len(content)} bytes")
    parents: dict[int, int] = {}
    for number, node in enumerate(document.get("nodes", [])):
        for child in node.get("children", []):
            if parents.setdefault(child, number) != number:
                raise ValueError(f"node {child} has two parents")
    for node in parents:
        above, steps = node, 0
        while above in parents:
            above, steps = parents[above], steps + 1
            if steps > MOST_LEVELS:
                raise ValueError(f"node {node} lies within itself, or {MOST_LEVELS} levels deep")


def _joined(scene: Any) -> TexturedMesh:
    """The surfaces of a scene as one mesh; ValueError when there is none."""
    nodes = [scene.graph[name] for name in scene.graph.nodes_geometry]
    parts = [(transform, scene.geometry[name]) for transform, name in nodes]
    parts = [(transform, part) for transform, part in parts if isinstance(part, trimesh.Trimesh)]
    if not parts:
        raise ValueError("it holds no mesh")
    starts = np.cumsum([0, *(len(part.vertices) for _, part in parts)])
    vertices = np.concatenate(
        [trimesh.transform_points(part.vertices, transform) for transform, part in parts]
    )
    triangles = np.concatenate([part.faces + start for (_, part), start in zip(parts, starts, strict=False)])
    uv = texture = None
    visual = parts[0][1].visual
    if len(parts) == 1 and getattr(visual, "uv", None) is not None:
        uv = np.asarray(visual.uv, dtype=np.float64)
        picture = getattr(visual.material, "baseColorTexture", None)
        texture = None if picture is None else np.asarray(picture.convert("RGB"))
    triangles = np.asarray(triangles, dtype=np.int64)
    if not np.isfinite(vertices).all() or not (uv is None or np.isfinite(uv).all()):
        raise ValueError("positions that are no numbers")
    mesh = Mesh(vertices * MILLIMETRES_PER_METRE, triangles, None, uv, None if uv is None else triangles)
    return TexturedMesh(mesh, texture)


class SplitMesh(NamedTuple):
    """vertex: (N,) which vertex of the mesh each new one is; uv: (N, 2) or None; triangles: (F, 3) into N."""

    vertex: NDArray[np.int64]
    uv: NDArray | None
    triangles: NDArray[np.int64]


def split_at_seams(mesh: Mesh) -> SplitMesh:
    """One vertex per pair of position and uv, as graphics hardware wants it; without uv nothing changes."""
    if mesh.uv is None or mesh.uv_triangles is None:
        return SplitMesh(np.arange(len(mesh.vertices)), None, np.asarray(mesh.triangles, dtype=np.int64))
    pairs = np.asarray(mesh.triangles, dtype=np.int64) * len(mesh.uv) + mesh.uv_triangles
    unique, inverse = np.unique(pairs, return_inverse=True)
    vertex, row = np.divmod(unique, len(mesh.uv))
    return SplitMesh(vertex, mesh.uv[row], inverse.reshape(-1, 3))


class _Writer:
    """Collects arrays in one binary chunk; every view starts at a multiple of four."""

    def __init__(self) -> None:
        self.binary = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []

    def add_view(self, content: bytes, target: int | None = None) -> int:
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(content)}
        if target is not None:
            view["target"] = target
        self.views.append(view)
        self.binary += content + bytes(-len(content) % 4)
        return len(self.views) - 1

    def add_image(self, pixels: NDArray[np.uint8], name: str, kind: str, quality: int) -> int:
        encoded = io.BytesIO()
        options = {"quality": quality, "subsampling": 0} if kind == "JPEG" else {}
        Image.fromarray(pixels).save(encoded, format=kind, **options)
        view = self.add_view(encoded.getvalue())
        self.images.append({"bufferView": view, "mimeType": f"image/{kind.lower()}", "name": name})
        return len(self.images) - 1

    def pictures(self) -> dict[str, Any]:
        """The parts of the document about images, none without any; textures are numbered like images."""
        if not self.images:
            return {}
        return {
            "images": self.images,
            "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}],
            "textures": [{"source": number, "sampler": 0} for number in range(len(self.images))],
        }

    def add(self, values: NDArray, kind: str, bounds: bool = False) -> int:
        values = np.ascontiguousarray(values, dtype="<f4")
        accessor: dict[str, Any] = {
            "bufferView": self.add_view(values.tobytes(), _VERTEX_BUFFER),
            "componentType": _FLOAT,
            "count": len(values),
            "type": kind,
        }
        if bounds:
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_indices(self, triangles: NDArray, vertex_count: int) -> int:
        # The largest 16-bit index is reserved by glTF for restarting a strip.
        component, dtype = (_UINT16, "<u2") if vertex_count <= 65535 else (_UINT32, "<u4")
        view = self.add_view(triangles.astype(dtype).tobytes(), _INDEX_BUFFER)
        self.accessors.append(
            {"bufferView": view, "componentType": component, "count": triangles.size, "type": "SCALAR"}
        )
        return len(self.accessors) - 1


def _container(document: dict[str, Any], binary: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode("utf-8")
    text += b" " * (-len(text) % 4)
    chunks = (
        struct.pack("<II", len(text), 0x4E4F534A)
        + text
        + struct.pack("<II", len(binary), 0x004E4942)
        + binary
    )
    return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks


def _unit_normals(mesh: Mesh) -> NDArray:
    vertices = torch.as_tensor(np.asarray(mesh.vertices, dtype=np.float64))
    normals = vertex_normals(vertices, torch.as_tensor(np.asarray(mesh.triangles)), "area").numpy()
    lonely = ~normals.any(axis=1)
    normals[lonely] = (0.0, 0.0, 1.0)  # glTF wants unit vectors, also where no triangle gives a direction
    return normals


def _linear(colors: NDArray) -> NDArray:
    """sRGB file values to linear ones (IEC 61966-2-1)."""
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
