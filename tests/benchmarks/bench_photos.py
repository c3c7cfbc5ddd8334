"""Photo stages: processor time per photo of the whole chain, against what it cannot avoid.

The chain runs as the rules run it, each stage in a worker process that holds photos to their limits; parent
and worker count. The peer is one full decoding of each photo by Pillow plus the time inside dlib's own calls,
measured in the same round; loading the models (once per shard) is a row of its own. (Two stages need the
pixels: a PNG is decoded whole and then down to the crop's last row, a large JPEG twice at a smaller scale,
for less than one full decoding.)

    python tests/benchmarks/run_all.py photos
"""

import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
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
from facemill.runtime.settings import PhotoLimits
from facemill.runtime.tables import OK, map_photos

STAGES = ("index_photos", "detect_faces", "align_faces", "detect_landmarks", "segment_skin")
ROUNDS = 3
COPIES = 256  # a shard's default: what a stage does once per shard (starting a worker) counts as in a run
LARGE_COPIES = 16
MEMORY = Path("/dev/shm")  # where there is one, files lie in memory: disks are not what is measured
PLANNED = 100_000
WATCHED = 2000
DECODING, DLIB = "decoding once, by Pillow", "dlib's calls"


def clock_cost() -> float:
    """Seconds that one look at the processor clock takes: a system call, up to 0.3 ms on virtual machines."""
    looks = [time.process_time() for _ in range(200)]
    return (looks[-1] - looks[0]) / (len(looks) - 1)


class Clock:
    """Seconds of processor time spent inside wrapped functions, without the looks at the clock.

    Workers that are forked while it runs add to the same clock.
    """

    def __init__(self) -> None:
        self._seconds_looks = multiprocessing.RawArray("d", 2)
        self.cost = clock_cost()

    @property
    def seconds(self) -> float:
        """Processor time inside the functions."""
        return self._seconds_looks[0]

    @property
    def looks(self) -> float:
        """How often the processor clock was looked at."""
        return self._seconds_looks[1]

    def wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, timed."""

        def timed(*arguments: Any, **named: Any) -> Any:
            start = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                self._seconds_looks[0] += time.process_time() - start - self.cost
                self._seconds_looks[1] += 2

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


def processor_seconds() -> float:
    """Seconds of processor time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def measure_chain(folder: Path, label: str) -> list[dict]:
    """Rows for the photos of `folder`, each with a face: the best of several rounds, their median ratio."""
    rows: list[dict] = []
    for suffix, limits in (("", PhotoLimits()), (", unwatched", None)):
        rounds = [_measure_round(folder, limits) for _ in range(ROUNDS)]
        best = {name: min(round_[name] for round_ in rounds) for name in rounds[0]}
        chains = [sum(round_[name] for name in STAGES) for round_ in rounds]
        ratios = [
            chain / (round_[DECODING] + round_[DLIB]) for chain, round_ in zip(chains, rounds, strict=True)
        ]
        rows.append(
            {
                "name": f"{label}: chain per photo{suffix}",
                "value": 1000 * min(chains),
                "unit": "ms",
                "peer": "decoding once + dlib's calls",
                "ratio": statistics.median(ratios),
            }
        )
        if limits:
            for name, seconds in best.items():
                rows.append({"name": f"{label}: {name}", "value": 1000 * seconds, "unit": "ms"})
    return rows


def _measure_round(folder: Path, limits: PhotoLimits | None) -> dict[str, float]:
    """Seconds per photo of each stage, of decoding and of dlib's calls; seconds of loading dlib's models."""
    files = sorted(folder.iterdir())
    start = processor_seconds()
    for file in files:
        with Image.open(file) as image:
            np.asarray(image.convert("RGB"))
    seconds = {DECODING: (processor_seconds() - start) / len(files)}
    with tempfile.TemporaryDirectory(dir=folder.parent) as work, timed_dlib() as (calls, loading):
        plan = plan_photo_set("bench", folder, Path(work, "plan"), len(files))
        crops, masks = Path(work, "crops"), Path(work, "masks")
        crops.mkdir()
        masks.mkdir()
        stages = (
            lambda _: index_photos(plan.manifest("0000"), folder, IndexSettings(), limits=limits),
            lambda table: detect_faces(table, folder, DetectSettings(), limits=limits),
            lambda table: align_faces(table, folder, crops, AlignSettings(), limits=limits),
            lambda table: detect_landmarks(table, crops, LandmarkSettings(), limits=limits),
            lambda table: segment_skin(table, crops, masks, SkinSettings(), limits=limits),
        )
        table: Any = None
        for name, stage in zip(STAGES, stages, strict=True):
            looked = calls.looks + loading.looks
            start, before = processor_seconds(), loading.seconds
            table = stage(table)
            spent = processor_seconds() - start - (loading.seconds - before)
            spent -= (calls.looks + loading.looks - looked + 1) * calls.cost
            seconds[name] = spent / len(files)
        assert (table["status"] == OK).all(), table[["photo", "status", "reason"]]
    seconds[DLIB] = calls.seconds / len(files)
    seconds["loading dlib's models, per shard"] = loading.seconds
    return seconds


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


def measure_watching() -> list[dict]:
    """Rows for what the worker process costs that holds photos to their limits, all processes together."""
    points = np.linspace(0.0, 224.0, 136)
    rows = [{"photo": f"{number}", "status": OK, "reason": ""} for number in range(WATCHED)]
    found = {}
    for name, limits in (("here", None), ("watched", PhotoLimits())):
        start = sum(os.times()[:4])
        map_photos(pd.DataFrame(rows), lambda row: {"points": points.tolist()}, ["points"], limits=limits)
        found[name] = (sum(os.times()[:4]) - start) / WATCHED
    cost = 1000 * (found["watched"] - found["here"])
    return [
        {"name": "watching a photo, per rule", "value": cost, "unit": "ms"},
    ]


def run() -> list[dict]:
    """Measure the chain on JPEG, PNG and 12-megapixel copies of a portrait, watching, and a large plan."""
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
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
            first = Path(folder, f"0.{suffix}")
            image.save(first, quality=92)
            for number in range(1, copies):
                Path(folder, f"{number}.{suffix}").write_bytes(first.read_bytes())
            rows += measure_chain(Path(folder), label)
    return rows + measure_watching() + measure_plan()


if __name__ == "__main__":
    for measured in run():
        ratio = f"   {measured['ratio']:.2f}x of {measured['peer']}" if measured.get("ratio") else ""
        print(f"{measured['name']:<52} {measured['value']:>9.3f} {measured['unit']}{ratio}")
