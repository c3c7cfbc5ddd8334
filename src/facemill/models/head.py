"""The shipped head: a compact file of base-level bases, expanded by subdivision when it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from facemill.models.files import check_format, require_numbers, topology_arrays, topology_from
from facemill.models.head_surface import HeadSurface, mixed_surface
from facemill.models.morphable import LinearModel
from facemill.models.topology import Topology
from facemill.runtime.errors import FormatError
from facemill.runtime.files import load_arrays, save_arrays
from facemill.runtime.inputs import decoding

HEAD_FORMAT = "facemill-head-1"

_KEYS = (
    "format",
    "quads",
    "refined",
    "mean_shape",
    "identity_basis",
    "expression_basis",
    "albedo_mean",
    "albedo_basis",
    "albedo_scales",
    "uv",
    "uv_triangles",
    "landmarks68",
    "contour_candidates",
    "now_landmarks",
    "region_names",
    "regions",
    "blendshape_names",
    "blendshape_coefficients",
)


@dataclass(frozen=True)
class CompactHead:
    """The head before subdivision: N base vertices, L vertices of level 1, V of the model.

    Attributes:
        quads: (Q, 4) base vertex ids; refined: (Q,) which are subdivided twice.
        mean_shape: (N, 3); identity_basis: (K, N, 3); expression_basis: (E, N, 3); millimetres.
        albedo_mean: (V, 3); albedo_basis: (A, L, 3), 0..1.
        topology: of the model, after subdivision.
        blendshape_names, blendshape_coefficients: S names and (S, E).
    """

    quads: NDArray[np.int64]
    refined: NDArray[np.bool_]
    mean_shape: NDArray[np.floating]
    identity_basis: NDArray[np.floating]
    expression_basis: NDArray[np.floating]
    albedo_mean: NDArray[np.floating]
    albedo_basis: NDArray[np.floating]
    topology: Topology
    blendshape_names: tuple[str, ...]
    blendshape_coefficients: NDArray[np.floating]


_REMEDY = "restore resources/models/head.npz or build it again (docs/build_head_model.md)"


def load_head(path: str | Path) -> LinearModel:
    """The embedded head as a linear model, float32 on the CPU.

    Raises:
        FormatError: the file is missing, is another format or lacks a key.
    """
    arrays = _read(path)
    with decoding(path, "arrays of one head", _REMEDY):
        surface = _surface_of(arrays)
        return _expand(_compact_from(arrays, surface), surface)


def expand(head: CompactHead) -> LinearModel:
    """Subdivide the bases of a compact head."""
    return _expand(head, mixed_surface(head.quads, head.refined, len(head.mean_shape)))


def write_compact_head(path: str | Path, head: CompactHead) -> None:
    """Write a compact head, atomically: bases float16, albedo basis in 255 steps per component."""
    scales = np.abs(head.albedo_basis).max(axis=(1, 2)) / 127.0
    topology = topology_arrays(head.topology)
    # Triangles follow from the quads; ids of the atlas compress well as differences.
    del topology["triangles"]
    topology["uv_triangles"] = np.diff(topology["uv_triangles"].ravel(), prepend=0).astype(np.int32)
    topology["regions"] = np.packbits(topology["regions"], axis=1)
    arrays = {
        "format": np.array(HEAD_FORMAT),
        "quads": head.quads.astype(np.int16),
        "refined": head.refined,
        "mean_shape": head.mean_shape.astype(np.float32),
        "identity_basis": head.identity_basis.astype(np.float16),
        "expression_basis": head.expression_basis.astype(np.float16),
        "albedo_mean": head.albedo_mean.astype(np.float16),
        "albedo_basis": np.rint(head.albedo_basis / scales[:, None, None]).astype(np.int8),
        "albedo_scales": scales.astype(np.float32),
        "blendshape_names": np.array(head.blendshape_names),
        "blendshape_coefficients": head.blendshape_coefficients.astype(np.float32),
        **topology,
    }
    save_arrays(path, arrays, compressed=True)


def read_compact_head(path: str | Path) -> CompactHead:
    """The inverse of `write_compact_head`, up to the rounding of the bases.

    Raises:
        FormatError: the file is missing, is another format or lacks a key.
    """
    arrays = _read(path)
    with decoding(path, "arrays of one head", _REMEDY):
        return _compact_from(arrays, _surface_of(arrays))


def _read(path: str | Path) -> dict[str, NDArray]:
    arrays = load_arrays(path, ("format",), _REMEDY)
    check_format(path, arrays, HEAD_FORMAT)
    missing = [key for key in _KEYS if key not in arrays]
    if missing:
        raise FormatError(
            f"{path} lacks {', '.join(missing)}",
            ", ".join(_KEYS),
            ", ".join(sorted(arrays)),
            _REMEDY,
        )
    with decoding(path, "arrays of finite numbers", _REMEDY):
        require_numbers(arrays)
    return arrays


def _surface_of(arrays: dict[str, NDArray]) -> HeadSurface:
    return mixed_surface(arrays["quads"].astype(np.int64), arrays["refined"], len(arrays["mean_shape"]))


def _compact_from(arrays: dict[str, NDArray], surface: HeadSurface) -> CompactHead:
    return CompactHead(
        arrays["quads"].astype(np.int64),
        arrays["refined"],
        arrays["mean_shape"],
        arrays["identity_basis"].astype(np.float32),
        arrays["expression_basis"].astype(np.float32),
        arrays["albedo_mean"].astype(np.float32),
        arrays["albedo_basis"].astype(np.float32) * arrays["albedo_scales"][:, None, None],
        _topology(arrays, surface),
        tuple(str(name) for name in arrays["blendshape_names"]),
        arrays["blendshape_coefficients"],
    )


def _expand(head: CompactHead, surface: HeadSurface) -> LinearModel:
    shapes = np.concatenate([head.mean_shape[None], head.identity_basis, head.expression_basis])
    expanded = _apply(surface.operator, shapes)
    count = len(head.identity_basis)
    return LinearModel(
        mean_shape=expanded[0],
        identity_basis=expanded[1 : 1 + count],
        expression_basis=expanded[1 + count :],
        albedo_mean=torch.from_numpy(head.albedo_mean.astype(np.float32)),
        albedo_basis=_apply(surface.middle_operator, head.albedo_basis),
        topology=head.topology,
        blendshape_names=head.blendshape_names,
        blendshape_coefficients=torch.from_numpy(head.blendshape_coefficients.astype(np.float32)),
    )


def _topology(arrays: dict[str, NDArray], surface: HeadSurface) -> Topology:
    count = surface.operator.shape[0]
    restored = {
        **arrays,
        "triangles": surface.triangles,
        "uv_triangles": np.cumsum(arrays["uv_triangles"]).reshape(-1, 3),
        "regions": np.unpackbits(arrays["regions"], axis=1, count=count).astype(bool),
    }
    return topology_from(restored)


def _apply(operator: sparse.csr_matrix, fields: NDArray) -> torch.Tensor:
    """(n, N, 3) -> (n, V, 3) float32."""
    count = len(fields)
    columns = np.ascontiguousarray(np.swapaxes(fields, 0, 1).reshape(fields.shape[1], -1), dtype=np.float32)
    moved = operator.astype(np.float32) @ columns
    return torch.from_numpy(np.ascontiguousarray(np.swapaxes(moved.reshape(-1, count, 3), 0, 1)))
