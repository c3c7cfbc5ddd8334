"""Mesh files: processor time to write and read a head-sized surface, against trimesh in the same run.

python tests/benchmarks/run_all.py mesh_files
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from facemill.formats.meshes import read_mesh, write_mesh
from facemill.geometry.mesh import Mesh

SIDE = 206  # 42,436 vertices, about as many as the embedded head
ROUNDS = 3


def surface() -> Mesh:
    """A wavy sheet with colours."""
    x, y = np.meshgrid(np.linspace(-90, 90, SIDE), np.linspace(90, -90, SIDE))
    vertices = np.stack([x, y, 20 * np.sin(x / 20) * np.cos(y / 30)], axis=-1).reshape(-1, 3)
    corner = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    triangles = np.concatenate(
        [np.stack([a, d, c], -1).reshape(-1, 3), np.stack([a, c, b], -1).reshape(-1, 3)]
    )
    return Mesh(vertices, triangles, np.random.default_rng(0).random(vertices.shape))


def seconds(action: Callable[[], Any]) -> float:
    """Least processor time of a few rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def run() -> list[dict]:
    """A row per format and direction."""
    mesh = surface()
    peer = trimesh.Trimesh(mesh.vertices, mesh.triangles, vertex_colors=mesh.colors, process=False)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("obj", "ply", "glb"):
            ours, theirs = Path(folder, f"ours.{suffix}"), Path(folder, f"theirs.{suffix}")
            pairs = {
                "write": (lambda path=ours: write_mesh(path, mesh), lambda path=theirs: peer.export(path)),
                "read": (
                    lambda path=ours: read_mesh(path),
                    lambda path=ours: trimesh.load(path, process=False),
                ),
            }
            for verb, (own, other) in pairs.items():
                value = seconds(own)
                rows.append(
                    {
                        "name": f"{verb} {suffix}, {len(mesh.vertices)} vertices with colours",
                        "value": value,
                        "unit": "s",
                        "peer": "trimesh",
                        "ratio": value / seconds(other),
                    }
                )
    return rows
