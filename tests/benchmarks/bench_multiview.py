"""Captures: what each rule costs from photos to the displaced mesh, and how it grows with views and queries.

Processor seconds (all threads, two of them at most) and peak memory of the process (it also holds what rules
before have left to it), files to files, start-up of the process and the model not counted; another case first
lets numba compile. The capture is synthetic and hard. Networks count where their weights ship.

FACEMILL_BENCH_VIEWS="10" measures some numbers of views only, the first being the case that counts.
"""

import os
import shutil
import tempfile
from pathlib import Path

import torch

from benchmarks.multiview_stages import MODEL, NAME, QUERIES, WEIGHTS, CaptureCase, StageCost, cost_of
from facemill.models.head import load_head
from facemill.models.morphable import LinearModel
from facemill.multiview.capture_plan import PlannedCapture, expand_entry
from facemill.multiview.capture_settings import CaptureEntry
from facemill.photos.settings import IMAGE_SUFFIXES
from facemill.synthesis.captures import synthesize_captures
from facemill.synthesis.identities import Population
from facemill.synthesis.settings import CaptureTask

ROOT = Path(__file__).resolve().parents[2]
MODELS, SHIPPED = ROOT / "resources" / "models", ROOT / "resources" / "weights"
SIDE = 1296
#: Numbers of views, the case that counts first.
VIEWS = tuple(map(int, os.environ.get("FACEMILL_BENCH_VIEWS", "10 4 6 20").split()))
WARM_UP = (3, 324)
THREADS = 2
COARSE_MAPS = 256  # texels along a side: a quarter of the queries
LIMIT = 300.0  # seconds on two cores
#: Queries of the published dense volume: a window of 256 x 256 texels times 201 displacements.
PUBLISHED_QUERIES = 256 * 256 * 201


def run() -> list[dict]:
    """Rows for run_all.py."""
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        planned = make_capture(folder)
        model = load_head(MODELS / f"{MODEL}.npz")
        cases = [case_of(planned, model, *size, folder) for size in (WARM_UP, *((n, SIDE) for n in VIEWS))]
        costs = [case.measure() for case in cases][1:]
        rows = rows_of(dict(zip(VIEWS, costs, strict=True)))
        rows += rows_of_queries(cases[1], costs[0])
        rows += rows_of_half(case_of(planned, model, VIEWS[0], SIDE // 2, folder), costs[0])
    return rows


def make_capture(place: Path) -> PlannedCapture:
    """A synthetic capture in FaceScape's layout, as the workflow plans it."""
    population = Population(None, MODELS / "head.npz", 0, MODELS / "anthropometry.csv")
    task = CaptureTask(difficulty="hard", level=1, views=max(VIEWS), width=SIDE * 2 // 3, height=SIDE)
    folders = {name: place / name for name in ("images", "meshes", "truth")}
    synthesize_captures(population, population.person(0), task, **folders)
    entry = CaptureEntry(
        folder=str(folders["images"] / "1_neutral"),
        unit_mm=1.0,
        scan=str(folders["meshes"] / "1_neutral.ply"),
    )
    return expand_entry(NAME, entry, IMAGE_SUFFIXES)[0]


def case_of(planned: PlannedCapture, model: LinearModel, views: int, side: int, place: Path) -> CaptureCase:
    """Some views, reduced to `side` px, in a folder of their own."""
    folder = place / f"{views}-{side}"
    folder.mkdir()
    return CaptureCase(planned, model, views, side, folder, SHIPPED, threads=THREADS)


def rows_of(costs: dict[int, dict[str, StageCost]]) -> list[dict]:
    """Seconds and memory of the first number of views, and the others as ratios to it."""
    (count, first), *others = costs.items()
    what = f"{count} views of {SIDE * 2 // 3} x {SIDE}"
    whole = total(first)
    rows = [
        _row(f"capture of {what}, all rules", whole, "s"),
        _row("… photos to mesh, without evaluation", made(first), "s", made(first) / LIMIT, "five minutes"),
    ]
    for rule, cost in first.items():
        words = without_weights(rule)
        rows.append(_row(f"… {rule}{words}", cost.processor, "s", cost.processor / whole, "the capture"))
        rows.append(_row(f"… {rule}, most memory", cost.memory, "MiB"))
    for views, other in others:
        rows.append(_row(f"{views} views, all rules", total(other), "s", total(other) / whole, what))
        for rule, cost in other.items():
            ratio = cost.processor / max(first[rule].processor, 1e-9)
            rows.append(_row(f"… {rule}", cost.processor, "s", ratio, what))
        most = max(cost.memory for cost in other.values())
        rows.append(_row(f"{views} views, most memory", most, "MiB"))
    return rows


def rows_of_queries(case: CaptureCase, costs: dict[str, StageCost]) -> list[dict]:
    """Seconds per million queries, with maps of a quarter of the texels beside; the published volume's cost.

    Runs the matchers again, in a copy of the folder.
    """
    folder = case.folder.with_name("coarse-maps")
    shutil.copytree(case.folder, folder)
    coarse = CaptureCase(
        case.planned, case.model, case.views, case.side, folder, case.weights, COARSE_MAPS, case.threads
    )
    works = coarse.works()
    works["build_uv_maps"]()
    rows = []
    for rule in QUERIES:
        if without_weights(rule):
            continue
        seconds, queries = costs[rule].processor, case.queries(rule)
        again = cost_of(works[rule]).processor
        fewer = coarse.queries(rule)
        if not queries or not fewer:
            continue
        each = 1e6 * seconds / queries
        rows.append(_row(f"{rule}: queries", queries / 1e6, "million"))
        rows.append(_row(f"{rule}: per million queries", each, "s"))
        quarter = f"maps of {case.maps}"
        rows.append(_row(f"{rule}: maps of {COARSE_MAPS}: queries", fewer / 1e6, "million"))
        rows.append(
            _row("… per million queries", 1e6 * again / fewer, "s", 1e6 * again / fewer / each, quarter)
        )
        published = each * PUBLISHED_QUERIES / 1e6
        rows.append(_row(f"{rule}: {PUBLISHED_QUERIES / 1e6:.1f} million queries, computed", published, "s"))
    return rows


def rows_of_half(case: CaptureCase, first: dict[str, StageCost]) -> list[dict]:
    """The same with pictures of half the side."""
    costs = case.measure()
    ratio = total(costs) / total(first)
    return [_row("the same views, half the resolution, all rules", total(costs), "s", ratio, "full")]


def total(costs: dict[str, StageCost]) -> float:
    """Seconds of all rules."""
    return sum(cost.processor for cost in costs.values())


def made(costs: dict[str, StageCost]) -> float:
    """Seconds from the photos to the mesh."""
    return sum(cost.processor for rule, cost in costs.items() if not rule.startswith("evaluate"))


def without_weights(rule: str) -> str:
    """What a row says of a rule whose weights do not ship."""
    missing = rule in WEIGHTS and not (SHIPPED / f"{WEIGHTS[rule]}.safetensors").is_file()
    return " (no weights ship)" if missing else ""


def _row(name: str, value: float, unit: str, ratio: float | None = None, peer: str = "") -> dict:
    row = {"name": name, "value": value, "unit": unit}
    return row if ratio is None else {**row, "ratio": ratio, "peer": peer}
