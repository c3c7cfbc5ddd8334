"""Photo stages: time per photo of the whole chain, against what it cannot avoid.

The peer is one full decoding of each photo by Pillow plus the time inside dlib's own calls, measured in the
same run; loading the models (once per shard) is a row of its own.

    python tests/benchmarks/run_all.py photos
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data

from facemill.photos.alignment import align_faces
from facemill.photos.detection import detect_faces
from facemill.photos.dlib_models import BoxDetector, Predictor68
from facemill.photos.index import index_photos
from facemill.photos.landmarks import detect_landmarks
from facemill.photos.plan import plan_photo_set
from facemill.photos.settings import (
    AlignSettings,
    DetectSettings,
    IndexSettings,
    LandmarkSettings,
    SkinSettings,
)
from facemill.photos.skin import segment_skin
from facemill.runtime.tables import OK

COPIES = 24
LARGE_COPIES = 4
PLANNED = 100_000


class Clock:
    """Seconds spent inside wrapped functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, timed."""

        def timed(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds += time.perf_counter() - start

        return timed


@contextmanager
def timed_dlib() -> Iterator[tuple[Clock, Clock]]:
    """Clocks of dlib's calls and of loading its models, while the block runs."""
    calls, loading = Clock(), Clock()
    places = [
        (BoxDetector, "boxes", calls),
        (Predictor68, "landmarks", calls),
        (BoxDetector, "__init__", loading),
        (Predictor68, "__init__", loading),
    ]
    originals = [getattr(owner, name) for owner, name, _ in places]
    try:
        for (owner, name, clock), original in zip(places, originals, strict=True):
            setattr(owner, name, clock.wrapped(original))
        yield calls, loading
    finally:
        for (owner, name, _), original in zip(places, originals, strict=True):
            setattr(owner, name, original)


def measure_chain(folder: Path, label: str) -> list[dict]:
    """Rows for the photos of `folder`, all of which hold a face."""
    files = sorted(folder.iterdir())
    start = time.perf_counter()
    for file in files:
        with Image.open(file) as image:
            np.asarray(image.convert("RGB"))
    decoding = (time.perf_counter() - start) / len(files)
    with tempfile.TemporaryDirectory() as work, timed_dlib() as (calls, loading):
        plan = plan_photo_set("bench", folder, Path(work, "plan"), len(files))
        crops, masks = Path(work, "crops"), Path(work, "masks")
        crops.mkdir()
        masks.mkdir()
        stages = {
            "index_photos": lambda _: index_photos(plan.manifest("0000"), folder, IndexSettings()),
            "detect_faces": lambda table: detect_faces(table, folder, DetectSettings()),
            "align_faces": lambda table: align_faces(table, folder, crops, AlignSettings()),
            "detect_landmarks": lambda table: detect_landmarks(table, crops, LandmarkSettings()),
            "segment_skin": lambda table: segment_skin(table, crops, masks, SkinSettings()),
        }
        table: Any = None
        own: dict[str, float] = {}
        for name, stage in stages.items():
            start, before = time.perf_counter(), loading.seconds
            table = stage(table)
            own[name] = (time.perf_counter() - start - (loading.seconds - before)) / len(files)
        assert (table["status"] == OK).all(), table[["photo", "status", "reason"]]
    chain, dlib_calls = sum(own.values()), calls.seconds / len(files)
    rows = [
        {
            "name": f"{label}: chain per photo",
            "value": 1000 * chain,
            "unit": "ms",
            "peer": "decoding once + dlib's calls",
            "ratio": chain / (decoding + dlib_calls),
        },
        {"name": f"{label}: decoding once, by Pillow", "value": 1000 * decoding, "unit": "ms"},
        {"name": f"{label}: dlib's calls", "value": 1000 * dlib_calls, "unit": "ms"},
    ]
    rows += [{"name": f"{label}: {name}", "value": 1000 * s, "unit": "ms"} for name, s in own.items()]
    rows.append({"name": f"{label}: loading dlib's models, per shard", "value": loading.seconds, "unit": "s"})
    return [{"peer": "", "ratio": None, **row} for row in rows]


def measure_plan() -> list[dict]:
    """Rows for planning a set of 100,000 files, first and again, beside listing it."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work, "photos")
        folder.mkdir()
        for number in range(PLANNED):
            (folder / f"{number:06d}.jpg").touch()
        start = time.perf_counter()
        sum(1 for file in folder.iterdir() if file.stat())
        listing = time.perf_counter() - start
        rows = []
        for label in ("first plan", "unchanged plan"):
            start = time.perf_counter()
            plan_photo_set("bench", folder, Path(work, "plan"), 256)
            seconds = time.perf_counter() - start
            rows.append(
                {
                    "name": f"{label} of {PLANNED} files",
                    "value": seconds,
                    "unit": "s",
                    "peer": "listing the folder with pathlib",
                    "ratio": seconds / listing,
                }
            )
    return rows


def run() -> list[dict]:
    """Measure the chain on JPEG, PNG and 12-megapixel copies of a portrait, and the plan of a large set."""
    portrait = Image.fromarray(data.astronaut())
    large = portrait.resize((3464, 3464), Image.Resampling.BICUBIC)
    kinds = [
        ("512 x 512 JPEG", portrait, "jpg", COPIES),
        ("512 x 512 PNG", portrait, "png", COPIES),
        ("12-megapixel JPEG", large, "jpg", LARGE_COPIES),
        ("12-megapixel PNG", large, "png", LARGE_COPIES),
    ]
    rows: list[dict] = []
    for label, image, suffix, copies in kinds:
        with tempfile.TemporaryDirectory() as folder:
            first = Path(folder, f"0.{suffix}")
            image.save(first, quality=92)
            for number in range(1, copies):
                Path(folder, f"{number}.{suffix}").write_bytes(first.read_bytes())
            rows += measure_chain(Path(folder), label)
    return rows + measure_plan()


if __name__ == "__main__":
    for measured in run():
        ratio = f"   {measured['ratio']:.2f}x of {measured['peer']}" if measured["ratio"] else ""
        print(f"{measured['name']:<52} {measured['value']:>9.3f} {measured['unit']}{ratio}")
