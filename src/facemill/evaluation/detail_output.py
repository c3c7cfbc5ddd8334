"""Files of an evaluation of detail: figures, tables, and pictures of the three surfaces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from facemill.evaluation.detail import DetailEvaluation, ShardFiles, relief_of
from facemill.evaluation.detail_case import Relief
from facemill.evaluation.detail_files import TrueSurface
from facemill.formats.stored_pictures import PNG_OR_JPEG, opened_picture
from facemill.geometry.camera import Camera, project
from facemill.geometry.sampling import warp
from facemill.models.morphable import MorphableModel
from facemill.rendering.render import render_geometry
from facemill.runtime.files import atomic_folder, write_json, write_text
from facemill.runtime.tables import OK

SIDE = 360  # px of each of the pictures in a row
TITLE = 22
NAMES = ("photo", "true skin", "coarse", "fine")


def write_detail(
    evaluation: DetailEvaluation,
    shards: Sequence[ShardFiles],
    model: MorphableModel,
    dataset: str,
    summary: str | Path,
    cases: str | Path,
    regions: str | Path,
    pictures: str | Path,
) -> None:
    """Write figures (JSON), a row per photo and per region (CSV), and `<rank>_<photo>.png` into a folder.

    Args:
        shards, model: what `evaluate_detail` had.
        dataset: its name in the configuration.
    """
    write_json(summary, evaluation.summary(dataset))
    for path, table in ((cases, evaluation.cases), (regions, evaluation.regions)):
        write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    with atomic_folder(pictures) as folder:
        for rank, (photo, words) in enumerate(chosen_photos(evaluation)):
            shard = next(one for one in shards if photo in set(one.table["photo"]))
            relief, truths = relief_of(shard, photo, model, evaluation.settings)
            picture = Path(shard.pictures) / f"{photo}.png"
            draw_row(picture, relief, truths[photo], f"{photo}   {words}").save(
                folder / f"{rank}_{photo}.png"
            )


def chosen_photos(evaluation: DetailEvaluation) -> list[tuple[str, str]]:
    """Photos and words, evenly from the best to the worst ratio; by what was added where none has a ratio."""
    good = evaluation.cases[evaluation.cases["status"] == OK]
    ratio = good["fine_distance"] / good["coarse_distance"].where(good["coarse_distance"] > 0)
    measured = ratio.notna().any()
    ordered = good.assign(order=ratio if measured else good["predicted_rms"]).dropna(subset="order")
    rows = ordered.sort_values("order", kind="stable").to_dict("records")
    count = min(evaluation.settings.pictures, len(rows))
    places = sorted({round(place) for place in np.linspace(0, len(rows) - 1, count)})
    words = "fine/coarse %.2f" if measured else "added %.3f mm rms"
    return [(str(rows[place]["photo"]), words % rows[place]["order"]) for place in places]


def draw_row(picture: Path, relief: Relief, truth: TrueSurface, title: str) -> Image.Image:
    """The photo and the three surfaces in its pose, under one light, cut to the face."""
    square_from_photo = _framing(truth.camera, relief.smooth)
    camera = truth.camera.cropped(torch.from_numpy(square_from_photo))
    with opened_picture(picture, "a photo of synthesize_photos", "make it again", PNG_OR_JPEG) as photo:
        seen = warp(np.array(photo.convert("RGB")), square_from_photo, (SIDE, SIDE))
    views = [Image.fromarray(seen)]
    triangles = torch.from_numpy(truth.triangles)
    for surface in (relief.scan, relief.smooth, relief.fine):
        grey = render_geometry(torch.from_numpy(surface), triangles, camera, (SIDE, SIDE))
        views.append(_picture(grey))
    page = Image.new("RGB", (SIDE * len(views), SIDE + TITLE), "white")
    draw = ImageDraw.Draw(page)
    for place, (name, view) in enumerate(zip(NAMES, views, strict=True)):
        page.paste(view, (place * SIDE, TITLE))
        draw.text((place * SIDE + 6, 5), f"{title}   {name}" if place == 0 else name, fill="#26282c")
    return page


def _framing(camera: Camera, vertices: NDArray) -> NDArray[np.float64]:
    """(3, 3): pixels of the photo -> pixels of a square picture around the face."""
    pixels = project(torch.from_numpy(vertices), camera).pixels.numpy()
    low, high = np.nanmin(pixels, axis=0), np.nanmax(pixels, axis=0)
    scale = (SIDE - 1) / (1.04 * float((high - low).max()))
    shift = (SIDE - 1) / 2 - 0.5 * (low + high) * scale
    return np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]], [0.0, 0.0, 1.0]])


def _picture(values: NDArray) -> Image.Image:
    return Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))
