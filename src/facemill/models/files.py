"""Model files: `facemill-model-1`, one `.npz` of plain arrays per model (keys in docs/architecture.md)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.models.morphable import BilinearModel, LinearModel, MorphableModel
from facemill.models.topology import Topology
from facemill.runtime.errors import FormatError
from facemill.runtime.files import load_arrays, save_arrays
from facemill.runtime.inputs import decoding

FORMAT = "facemill-model-1"

_SHARED_KEYS = (
    "albedo_mean",
    "albedo_basis",
    "triangles",
    "uv",
    "uv_triangles",
    "landmarks68",
    "contour_candidates",
    "now_landmarks",
    "region_names",
    "regions",
)
_KIND_KEYS = {
    "linear": ("mean_shape", "identity_basis", "expression_basis"),
    "bilinear": ("core", "identity_mean", "identity_deviation"),
}


def save_model(path: str | Path, model: MorphableModel, half_bases: bool = False) -> None:
    """Write a model, atomically and compressed.

    Args:
        half_bases: store the bases (or the core) as float16: half the size, about 0.05 % of each entry lost.
    """
    kind = "bilinear" if isinstance(model, BilinearModel) else "linear"
    basis_type = np.float16 if half_bases else np.float32
    arrays: dict[str, NDArray] = {"format": np.array(FORMAT), "kind": np.array(kind)}
    for key in (*_KIND_KEYS[kind], "albedo_mean", "albedo_basis"):
        halved = key in ("identity_basis", "expression_basis", "albedo_basis", "core")
        arrays[key] = getattr(model, key).cpu().numpy().astype(basis_type if halved else np.float32)
    arrays |= topology_arrays(model.topology)
    if model.blendshape_names:
        arrays["blendshape_names"] = np.array(model.blendshape_names)
        arrays["blendshape_coefficients"] = model.blendshape_coefficients.cpu().numpy().astype(np.float32)
    save_arrays(path, arrays, compressed=True)


def load_model(path: str | Path) -> LinearModel | BilinearModel:
    """Read a model, float32 on the CPU.

    Raises:
        FormatError: the file is missing, is another format, lacks a key, or its arrays do not fit together.
    """
    arrays = load_arrays(path, required=("format", "kind"))
    check_format(path, arrays, FORMAT)
    kind = str(arrays["kind"])
    if kind not in _KIND_KEYS:
        raise FormatError(f"{path}: unknown kind of model", "linear or bilinear", kind, "use save_model")
    missing = [key for key in (*_KIND_KEYS[kind], *_SHARED_KEYS) if key not in arrays]
    if missing:
        raise FormatError(
            f"{path} lacks {', '.join(missing)}",
            "the keys of docs/architecture.md",
            ", ".join(sorted(arrays)),
            "write it with facemill.models.files.save_model",
        )
    with decoding(path, "arrays that fit together, of one vertex count", "write it again"):
        require_numbers(arrays)
        return _model_from(kind, arrays)


def require_numbers(arrays: Mapping[str, NDArray]) -> None:
    """ValueError when an array holds NaN or infinity, or an array of numbers holds something else."""
    texts = ("format", "kind", "region_names", "blendshape_names")
    for name, values in arrays.items():
        if name in texts:
            continue
        if values.dtype.kind not in "fiub" or not np.isfinite(values).all():
            raise ValueError(f"{name} holds values that are no numbers")


def check_format(path: str | Path, arrays: dict[str, NDArray], expected: str) -> None:
    """Raise FormatError unless the file names the format `expected`."""
    found = str(arrays["format"])
    if found != expected:
        raise FormatError(
            f"{path} is not a file of format {expected}",
            f"format {expected}",
            f"format {found}",
            "give the model to the loader of its own format, or write it again with this version",
        )


def topology_arrays(topology: Topology) -> dict[str, NDArray]:
    """The keys of a topology as they lie on disk: ids int32, uv float32, regions as one bool matrix."""
    ids = ("triangles", "uv_triangles", "landmarks68", "contour_candidates", "now_landmarks")
    arrays: dict[str, NDArray] = {key: getattr(topology, key).cpu().numpy().astype(np.int32) for key in ids}
    arrays["uv"] = topology.uv.cpu().numpy().astype(np.float32)
    arrays["region_names"] = np.array(list(topology.regions))
    arrays["regions"] = np.stack([region.cpu().numpy() for region in topology.regions.values()])
    return arrays


def topology_from(arrays: dict[str, NDArray]) -> Topology:
    """The inverse of `topology_arrays`."""
    names = [str(name) for name in arrays["region_names"]]
    return Topology(
        triangles=_ids(arrays["triangles"]),
        uv=_floats(arrays["uv"]),
        uv_triangles=_ids(arrays["uv_triangles"]),
        landmarks68=_ids(arrays["landmarks68"]),
        contour_candidates=_ids(arrays["contour_candidates"]),
        now_landmarks=_ids(arrays["now_landmarks"]),
        regions={n: torch.from_numpy(r.astype(bool)) for n, r in zip(names, arrays["regions"], strict=True)},
    )


def _model_from(kind: str, arrays: dict[str, NDArray]) -> LinearModel | BilinearModel:
    topology = topology_from(arrays)
    albedo = (_floats(arrays["albedo_mean"]), _floats(arrays["albedo_basis"]))
    names = tuple(str(name) for name in arrays.get("blendshape_names", ()))
    expressions = arrays["expression_basis"].shape[0] if kind == "linear" else arrays["core"].shape[1] - 1
    empty = np.zeros((0, expressions))
    coefficients = _floats(arrays["blendshape_coefficients"] if names else empty)
    first, second, third = (_floats(arrays[key]) for key in _KIND_KEYS[kind])
    maker = LinearModel if kind == "linear" else BilinearModel
    return maker(first, second, third, *albedo, topology, names, coefficients)


def _ids(array: NDArray) -> Tensor:
    return torch.from_numpy(array.astype(np.int64))


def _floats(array: NDArray) -> Tensor:
    return torch.from_numpy(array.astype(np.float32))
