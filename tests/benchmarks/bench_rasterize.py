"""Rasterising, interpolation with gradients and vertex normals on the CPU, one thread, 224 x 224 pixels.

The peer of the rasteriser is a bare z-buffer loop in numba (float32, no tie rule, no perspective, no checks);
pytorch3d is measured where it is installed. Times are the best of several runs of CPU time of this process.

    python tests/benchmarks/bench_rasterize.py
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from facemill.geometry.camera import deep3d_crop_camera
from facemill.geometry.mesh import VertexNormals
from facemill.geometry.primitives import sphere
from facemill.rendering.rasterize import differentiable_barycentrics, interpolate, rasterize

SIZE = (224, 224)
BATCH = 8
HEAD = Path(__file__).resolve().parents[2] / "resources" / "models" / "head.npz"


@njit(nogil=True)
def plain_z_buffer(
    screen: NDArray, triangles: NDArray, height: int, width: int
) -> tuple[NDArray, NDArray]:  # pragma: no cover
    """screen (V, 3): pixel x, y and depth. Affine barycentrics, `>= 0` on all edges."""
    ids = np.full((height, width), -1, np.int32)
    depth = np.full((height, width), np.inf, np.float32)
    for f in range(len(triangles)):
        a, b, c = screen[triangles[f, 0]], screen[triangles[f, 1]], screen[triangles[f, 2]]
        left = max(0, math.ceil(min(a[0], b[0], c[0])))
        right = min(width - 1, math.floor(max(a[0], b[0], c[0])))
        top = max(0, math.ceil(min(a[1], b[1], c[1])))
        bottom = min(height - 1, math.floor(max(a[1], b[1], c[1])))
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0:
            continue
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                v = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
                w = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
                if v >= 0 and w >= 0 and v + w <= 1:
                    z = a[2] + v * (b[2] - a[2]) + w * (c[2] - a[2])
                    if z < depth[y, x]:
                        depth[y, x] = z
                        ids[y, x] = f
    return ids, depth


def best_milliseconds(function: Callable[[], object], repeats: int = 12) -> float:
    """Least CPU time of a call, after two calls to warm up."""
    function()
    function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return 1000 * min(times)


def bumpy_ball() -> tuple[Tensor, Tensor]:
    """About 35,000 vertices and 70,000 triangles, as large in the crop as a face."""
    ball = sphere(95.0, 187, 187)
    vertices = torch.from_numpy(ball.vertices)
    bumps = 1 + 0.05 * torch.sin(vertices[:, :1] / 9) * torch.sin(vertices[:, 1:2] / 11)
    return (vertices * bumps).float(), torch.from_numpy(ball.triangles)


def meshes() -> dict[str, tuple[Tensor, Tensor]]:
    """What is measured: the ball, and the mean of the shipped head when it is there."""
    found = {"ball": bumpy_ball()}
    if HEAD.exists() and importlib.util.find_spec("facemill.models.head"):
        from facemill.models.head import load_head

        head = load_head(HEAD)
        mean = head.shape(torch.zeros(1, head.identity_count), torch.zeros(1, head.expression_count))[0]
        found["head"] = (mean.detach().float().contiguous(), head.topology.triangles)
    return found


def rows_of(name: str, points: Tensor, triangles: Tensor) -> list[dict]:
    """Rows for one mesh."""
    camera = deep3d_crop_camera()
    vertices = camera.points_in_camera(points)[None].contiguous()
    intrinsics = camera.intrinsics[None]
    label = f"{name} ({len(points)} vertices, {len(triangles)} triangles)"
    forward = best_milliseconds(lambda: rasterize(vertices, triangles, intrinsics, SIZE))
    culled = best_milliseconds(lambda: rasterize(vertices, triangles, intrinsics, SIZE, cull_backfaces=True))

    z = vertices[0, :, 2]
    pixels = vertices[0, :, :2] / z[:, None] * 1015 + torch.tensor([112.0, 111.0])
    screen = torch.cat([pixels, z[:, None]], dim=1).numpy()
    table = triangles.numpy()
    plain = best_milliseconds(lambda: plain_z_buffer(screen, table, *SIZE))
    rows = [
        row(f"{label}: rasterize", forward, "plain numba loop without projection", plain),
        row(f"{label}: rasterize, back faces culled", culled, "plain numba loop without projection", plain),
    ]
    if importlib.util.find_spec("pytorch3d"):
        from facemill.rendering.pytorch3d_backend import rasterize_pytorch3d

        start = time.process_time()
        rasterize_pytorch3d(vertices, triangles, intrinsics, SIZE)
        rows.append(
            row(f"{label}: rasterize", forward, "pytorch3d on the CPU", 1000 * (time.process_time() - start))
        )
    return rows + differentiable_rows(label, vertices, triangles, intrinsics)


def differentiable_rows(label: str, vertices: Tensor, triangles: Tensor, intrinsics: Tensor) -> list[dict]:
    """Forward and backward of a batch."""
    batch = vertices.repeat(BATCH, 1, 1).requires_grad_()
    cameras = intrinsics.expand(BATCH, 3, 3)
    colors = torch.rand(batch.shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    fragments = rasterize(batch, triangles, cameras, SIZE)
    normals_of = VertexNormals(triangles, vertices.shape[1])

    def picture() -> Tensor:
        barycentrics = differentiable_barycentrics(fragments, batch, triangles, cameras)
        return interpolate(fragments, barycentrics, colors, triangles)

    def both(function: Callable[[], Tensor]) -> Callable[[], None]:
        def run_once() -> None:
            batch.grad = colors.grad = None
            function().square().sum().backward()

        return run_once

    def gathered_normals() -> Tensor:
        corners = [batch[:, triangles[:, corner]] for corner in range(3)]
        normals = torch.nn.functional.normalize(
            torch.linalg.cross(corners[1] - corners[0], corners[2] - corners[0]), dim=-1
        )
        total = torch.zeros_like(batch)
        for corner in range(3):
            total = total.index_add(1, triangles[:, corner], normals)
        return torch.nn.functional.normalize(total, dim=-1)

    rasterizing = best_milliseconds(lambda: rasterize(batch, triangles, cameras, SIZE), 5)
    forward = best_milliseconds(picture, 5)
    normals, gathered = (
        best_milliseconds(lambda: normals_of(batch), 5),
        best_milliseconds(gathered_normals, 5),
    )
    backward_normals = best_milliseconds(both(lambda: normals_of(batch)), 5)
    backward_gathered = best_milliseconds(both(gathered_normals), 5)
    return [
        row(f"{label}, batch of {BATCH}: rasterize", rasterizing),
        row(f"{label}, batch of {BATCH}: interpolate, forward", forward),
        row(
            f"{label}, batch of {BATCH}: interpolate, forward + backward", best_milliseconds(both(picture), 5)
        ),
        row(f"{label}, batch of {BATCH}: normals, forward", normals, "index_add", gathered),
        row(
            f"{label}, batch of {BATCH}: normals, forward + backward",
            backward_normals,
            "index_add",
            backward_gathered,
        ),
    ]


def row(name: str, milliseconds: float, peer: str | None = None, peer_milliseconds: float = 0.0) -> dict:
    """`ratio` below 1: ours is faster."""
    ratio = milliseconds / peer_milliseconds if peer else None
    return {"name": name, "value": milliseconds, "unit": "ms", "peer": peer, "ratio": ratio}


def run() -> list[dict]:
    """All rows, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [line for name, mesh in meshes().items() for line in rows_of(name, *mesh)]
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    for line in run():
        peer = f"{line['ratio']:6.2f} x {line['peer']}" if line["peer"] else ""
        print(f"{line['name']:<86} {line['value']:8.2f} {line['unit']}  {peer}")
