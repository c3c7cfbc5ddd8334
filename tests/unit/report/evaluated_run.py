"""Evaluations as the evaluation rules leave them on disk."""

import json
from pathlib import Path

import pandas as pd
from PIL import Image

HOSTILE_CASE = "<b>ann</b>/selfie/1"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 470"><path d="M0 470L760 0"/></svg>'


def make_evaluations(results: Path, origin: str = "synthetic") -> tuple[list[Path], list[Path]]:
    """Results `floor`, `mine` (NoW), `wild` (landmarks), `head` (scan); the tables that compare them."""
    folder = results / "evaluation"
    paths = [
        _now(folder, "floor", "mean_face", origin, 1.20),
        _now(folder, "mine", "coarse", origin, 0.96),
        _write(folder, "landmarks", "wild", {"protocol": "landmarks", "nme": 3.5, "faces": 20} | _plain()),
        _write(folder, "scans", "head", {"protocol": "scan", "chamfer": {"mean": 0.21}} | _plain()),
    ]
    (folder / "scans" / "head").mkdir()
    Image.new("RGB", (840, 488), (200, 90, 60)).save(folder / "scans" / "head" / "heat_map.png")
    column = f"here_{origin}_data"
    rows = [
        {"method": "Deep3DFaceRecon PyTorch", "split": "test", "published": 1.11, "source": "a README"},
        {"method": "mine", column: 0.96, "source": "measured here"},
    ]
    names = ("published", "here_original_data", "here_synthetic_data", "here_other_data")
    table = pd.DataFrame(rows).reindex(columns=["method", "split", "source", *names])
    table = table.assign(protocol="now", subset="all", metric="median", unit="mm")
    table.to_csv(folder / "comparison.csv", index=False)
    (folder / "comparison.txt").write_text("Synthetic data are no benchmark.\n")
    ratios = [
        ("mine", "floor", "", "all", 0.96, 1.20, 0.80, 0.021, 3, 6),
        ("mine", "floor", "yaw", "0-15", 0.90, 1.25, 0.72, 0.03, 3, 3),
        ("mine", "floor", "challenge", "selfie", 1.0, 1.1, 0.909, 0.04, 3, 3),
    ]
    columns = ["evaluation", "floor", "column", "group", "median", "floor_median", "ratio", "ratio_error"]
    columns += ["people", "cases"]
    pd.DataFrame(ratios, columns=columns).to_csv(folder / "floor.csv", index=False)
    return paths, [folder / name for name in ("comparison.csv", "comparison.txt", "floor.csv")]


def _plain() -> dict[str, str]:
    return {"origin": "other"}


def _now(folder: Path, name: str, predictions: str, origin: str, median: float) -> Path:
    group = {"median": median, "mean": 1.3, "median_error": 0.05, "cases": 3}
    figures = {
        "protocol": "now",
        "origin": origin,
        "predictions": predictions,
        "dataset": "d",
        "visible_only": True,
        "median": median,
        "mean": 1.4,
        "std": 1.1,
        "errors": {"median": 0.04, "mean": None},
        "cases": 7,
        "scored": 6,
        "missing": 1,
        "failed": 0,
        "not_scored": {HOSTILE_CASE: "missing_prediction: no_face: the detector finds <i>no face</i>"},
        "challenges": {"selfie": group | {"scored": 3}, "multiview_neutral": group | {"scored": 3}},
        "breakdown": {"yaw": {"0-15": group, "60-90": group | {"median_error": None}}},
    }
    path = _write(folder, "now", name, figures)
    maps = path.with_suffix("") / "heat_maps"
    maps.mkdir(parents=True)
    for rank in (10, 2, 0):
        Image.new("RGB", (840, 488), (20 * rank, 140, 150)).save(maps / f"{rank}_ann_selfie_1.png")
    (path.with_suffix("") / "curve.svg").write_text(SVG)
    return path


def _write(folder: Path, kind: str, name: str, figures: dict[str, object]) -> Path:
    path = folder / kind / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures))
    return path
