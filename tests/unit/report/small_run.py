"""A small run as the stages would leave it on disk, with names that try to break the page."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from facemill.formats.meshes import write_glb
from facemill.geometry.mesh import Mesh
from facemill.runtime.tables import write_table

HOSTILE = "<img src=x onerror=alert(1)>"
HOSTILE_REASON = "</script><script>alert(2)</script> \"quoted\" & 'more'"


@dataclass(frozen=True)
class SmallRun:
    """Where the tables of the run are."""

    results: Path
    faces: list[Path]
    coarse: list[Path]

    @property
    def benchmarks(self) -> Path:
        return self.results / "benchmarks"


def make_run(results: Path, more: int = 0, names: Sequence[str] = ()) -> SmallRun:
    """Two sets: `portraits` with 3 + `more` faces (or `names`) and two other photos, `empty` with one, NA."""
    names = names or ["ann", HOSTILE, "wide " + "very" * 30 + "long", *(f"more {k}" for k in range(more))]
    folder = results / "coarse" / "portraits"
    rows = [_face(folder, name, index) for index, name in enumerate(names)]
    rows.append({"photo": "dark", "status": "fit_failed", "reason": "landmark error 0.31 is above 0.25"})
    table = results / "coarse" / "portraits" / "export_coarse" / "0000.parquet"
    write_table(table, pd.DataFrame(rows))
    photos = [{"photo": row["photo"], "status": "ok", "reason": ""} for row in rows]
    photos.append({"photo": "</td><b>007", "status": "unreadable", "reason": HOSTILE_REASON})
    csvs = [results / "photos" / name / "faces.csv" for name in ("portraits", "empty")]
    nothing = [{"photo": "NA", "status": "no_face", "reason": "no face was found"}]
    for path, content in zip(csvs, (photos, nothing), strict=True):
        path.parent.mkdir(parents=True)
        pd.DataFrame(content).assign(width=640).to_csv(path, index=False)
    _benchmark(results, "detect_faces/portraits/0000.tsv", "12.5", "300.5", "20.0")
    _benchmark(results, "detect_faces/portraits/0001.tsv", "7.5", "250.0", "-")
    _benchmark(results, "reconstruct_coarse/portraits/0000.tsv", "100", "900.25", "190")
    return SmallRun(results, csvs, [table])


def _benchmark(results: Path, name: str, seconds: str, memory: str, processor: str) -> None:
    path = results / "benchmarks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\th:m:s\tmax_rss\tio_in\tcpu_time\n{seconds}\t0:00:00\t{memory}\tNA\t{processor}\n")


def _face(parent: Path, name: str, index: int) -> dict[str, object]:
    """The folder of one face, as far as the report reads it."""
    folder = parent / name
    folder.mkdir(parents=True)
    rows, columns = np.mgrid[0:128, 0:128]
    photo = np.stack([rows, columns, np.full_like(rows, 40 * index)], axis=2).astype(np.uint8) + 40
    Image.fromarray(photo).save(folder / "closeup.png")
    Image.fromarray(255 - photo).save(folder / "closeup_overlay.png")
    alpha = (np.hypot(rows - 64, columns - 64) < 50).astype(np.uint8) * 255
    Image.fromarray(np.dstack([photo, alpha])).save(folder / "geometry.png")
    Image.fromarray(np.tile(np.dstack([photo, alpha])[:, 9:119], (1, 5, 1))).save(folder / "turned.png")
    (folder / "camera.json").write_text(
        json.dumps({"closeup_from_crop": [[0.5, 0, 10], [0, 0.5, 10], [0, 0, 1]]})
    )
    points = np.stack([np.linspace(20, 200, 68), np.linspace(30, 180, 68)], axis=1)
    np.savetxt(folder / "landmarks68_crop.txt", points)
    texture = photo[::2, ::2] + photo[::2, ::2] // 2  # red grows downwards, green to the right
    write_glb(folder / "mesh.glb", bump(height=20.0 + 5 * index), texture)
    return {
        "photo": name,
        "status": "ok",
        "reason": "",
        "folder": str(folder),
        "landmarks68": (points + 4).ravel().tolist(),
        "landmark_error": 0.02 + 0.01 * index,
        "photometric_error": 0.1,
    }


def bump(height: float = 20.0, count: int = 17) -> Mesh:
    """A round hill on a square of 100 mm, with an atlas."""
    x, y = np.meshgrid(np.linspace(-50, 50, count), np.linspace(50, -50, count))
    z = height * np.exp(-(x**2 + y**2) / (400 + 20 * height))
    corner = np.arange(count * count).reshape(count, count)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    triangles = np.concatenate(
        [np.stack([a, d, c], -1).reshape(-1, 3), np.stack([a, c, b], -1).reshape(-1, 3)]
    )
    uv = np.stack([x / 100 + 0.5, y / 100 + 0.5], axis=-1).reshape(-1, 2)
    return Mesh(np.stack([x, y, z], axis=-1).reshape(-1, 3), triangles, None, uv, triangles)
