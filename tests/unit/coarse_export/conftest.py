"""A small bulging face with an atlas, a photo whose colours tell the place, and one export of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from facemill.coarse.export import export_coarse
from facemill.coarse.export_settings import ExportSettings
from facemill.faces.photo_source import PhotoSource
from facemill.models.morphable import LinearModel
from facemill.models.topology import NOW_FROM_LANDMARKS68, REGION_NAMES, Topology
from facemill.runtime.errors import PhotoError

ROWS, COLUMNS = 31, 25
PHOTO_SIZE = (300, 400)  # height, width
PHOTO_FROM_CROP = np.array([[1.2, 0.0, 60.0], [0.0, 1.2, 20.0], [0.0, 0.0, 1.0]])
SETTINGS = ExportSettings(texture_size=128, overlay_side=200, closeup_side=96, turned_yaws=(-40.0, 0.0, 40.0))


def make_model() -> LinearModel:
    """775 vertices on a bulging sheet with a nose; 3 identity, 2 expression and 2 albedo coefficients."""
    x, y = np.meshgrid(np.linspace(-70, 70, COLUMNS), np.linspace(90, -90, ROWS))
    z = 60 - 60 * (x / 80) ** 2 - 40 * (y / 110) ** 2 + 25 * np.exp(-(x**2 + y**2) / 200)
    mean = torch.from_numpy(np.stack([x, y, z], -1).reshape(-1, 3)).float()
    corner = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    triangles = np.concatenate(
        [np.stack([a, d, c], -1).reshape(-1, 3), np.stack([a, c, b], -1).reshape(-1, 3)]
    )
    count = len(mean)
    uv = torch.stack([(mean[:, 0] + 80) / 160, (mean[:, 1] + 100) / 200], dim=1)
    regions = {name: torch.zeros(count, dtype=torch.bool) for name in REGION_NAMES}
    regions["face"] = mean[:, 1] < 60  # the top of the sheet is scalp
    landmarks = torch.from_numpy(np.linspace(30, count - 30, 68).astype(np.int64))
    topology = Topology(
        torch.from_numpy(triangles),
        uv,
        torch.from_numpy(triangles),
        landmarks,
        landmarks[:17, None],
        landmarks[list(NOW_FROM_LANDMARKS68)],
        regions,
    )
    draw = torch.Generator().manual_seed(4)
    identity = 3 * torch.randn(3, 1, 3, generator=draw) * torch.cos(mean / 40)
    expression = 2 * torch.randn(2, 1, 3, generator=draw) * torch.sin(mean / 30)
    albedo = torch.full((2, count, 3), 0.05) * torch.tensor([1.0, 0.5, -0.5])
    return LinearModel(
        mean, identity, expression, torch.full((count, 3), 0.5) + mean[:, :1] / 400, albedo, topology
    )


def gradient_photo() -> NDArray[np.uint8]:
    """Red grows to the right, green grows downwards."""
    height, width = PHOTO_SIZE
    photo = np.full((height, width, 3), 90, dtype=np.uint8)
    photo[..., 0] = np.linspace(40, 240, width).round()[None]
    photo[..., 1] = np.linspace(40, 240, height).round()[:, None]
    return photo


@dataclass(frozen=True)
class DecodedPicture:
    pixels: NDArray[np.uint8]


def read_or_fail(path: Path) -> DecodedPicture:
    """Stands for facemill.photos.reading.read_photo."""
    if path.name == "gone.jpg":
        raise PhotoError("unreadable", "the file was removed after the photo set was planned")
    return DecodedPicture(gradient_photo())


@dataclass(frozen=True)
class Exported:
    """One run of export_coarse over four photos, of which two are whole."""

    table: pd.DataFrame
    folder: Path
    rows: pd.DataFrame
    arrays: dict[str, NDArray]
    again: Callable[..., pd.DataFrame]


def make_rows() -> pd.DataFrame:
    transform = PHOTO_FROM_CROP.ravel().tolist()
    rows = [
        {"photo": "ann", "file": "ann.jpg", "status": "ok", "reason": "", "photo_from_crop": transform},
        {"photo": "cat", "file": "cat.jpg", "status": "no_face", "reason": "no face was found"},
        {"photo": "gone", "file": "gone.jpg", "status": "ok", "reason": "", "photo_from_crop": transform},
        {"photo": "Zoë #1", "file": "z.jpg", "status": "ok", "reason": "", "photo_from_crop": transform},
    ]
    return pd.DataFrame(rows)


def make_arrays() -> dict[str, NDArray]:
    draw = np.random.default_rng(8).normal
    return {
        "photo": np.array(["ann", "gone", "Zoë #1"]),
        "identity": draw(0, 0.5, (3, 3)),
        "expression": draw(0, 1, (3, 2)),
        "albedo": draw(0, 0.5, (3, 2)),
        "rotation": np.array([[0.05, -0.1, 0.08], [0, 0, 0], [0.1, 0.2, 0.0]]),
        "translation": np.array([[1.0, 2.0, -15.0], [0, 0, 0], [0, 3.0, 10.0]]),
        "lighting": draw(0, 0.05, (3, 27)),
    }


@pytest.fixture(scope="session")
def model() -> LinearModel:
    torch.set_num_threads(1)
    return make_model()


@pytest.fixture(scope="session")
def exported(model: LinearModel, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    base = tmp_path_factory.mktemp("export")
    (base / "crops").mkdir()
    rows, arrays = make_rows(), make_arrays()
    for name in rows["photo"]:
        Image.new("RGB", (224, 224), (10, 20, 30)).save(base / "crops" / f"{name}.png")

    def run(folder: str, table: pd.DataFrame = rows, values: dict = arrays, **options) -> pd.DataFrame:
        source = PhotoSource(str(base), lambda name: name, read_or_fail)
        return export_coarse(
            table,
            values,
            options.pop("model", model),
            base / "crops",
            source,
            base / folder,
            SETTINGS,
            **options,
        )

    return Exported(run("faces", strict=True), base / "faces", rows, arrays, run)
