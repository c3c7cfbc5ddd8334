"""The readers of what one stage leaves for another: plans, maps, tables and results."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from facemill.evaluation.detail_files import Predictions
from facemill.evaluation.published import _own_rows as own_rows
from facemill.formats.base_meshes import BaseMesh
from facemill.formats.facescape_displacement import read_displacement_map
from facemill.models.head_builder.anthropometry import read_anthropometry
from facemill.multiview import capture_plan
from facemill.multiview.overlays import read_landmarks_of_views
from facemill.multiview.tabulate import _json as read_object
from facemill.multiview.texel_grid import read_texel_grid
from facemill.photos.plan import read_plan
from facemill.report.capture_inputs import read_captures
from facemill.report.costs import MEASURED_COLUMNS, read_costs
from facemill.report.evaluation_inputs import read_evaluations
from facemill.report.inputs import read_inputs
from facemill.report.training_inputs import SUMMARY
from facemill.report.training_inputs import _summary as read_summary
from facemill.runtime.files import save_arrays
from facemill.training.held_out import held_out_photos
from facemill.training.journal import read_rows
from facemill.training.packed_arrays import open_packed
from hostile.inputs import file_of, json_of, noise, picture_of, text_of
from hostile.reader import Reader

POINTS = np.random.default_rng(2).normal(size=(8, 3))
FITTED: Any = SimpleNamespace(
    fitted=BaseMesh("a", np.ones(2), np.ones(3), 1.0, np.eye(3), np.zeros(3), POINTS, POINTS, np.ones(8))
)
RESULT = {"protocol": "now", "origin": "synthetic", "median": 1.0, "mean": 1.2, "std": 0.5, "challenges": {}}
CAPTURE = "capture,person,status,reason,views,views_used\na,p,ok,,3,3\n"
FACES = "photo,status,reason\na,ok,\nb,no_face,none\n"


def uv_maps(path: Path) -> None:
    vectors, face = np.ones((16, 16, 3), np.float32), np.zeros((16, 16), bool)
    face[4:9, 4:9] = True
    maps = {"position": vectors, "normal": vectors, "mask": face, "face": face, "view": np.array(["a"])}
    maps |= {"deviation": vectors[..., 0], "rounding": vectors[..., 0]}
    save_arrays(path, {**maps, "visibility": np.ones((16, 16, 1), np.uint8)})


def detail_maps(path: Path) -> None:
    maps = {"photo": np.array(["a"]), "window": np.array([1, 2, 4, 5]), "size": np.array(16)}
    shape = (1, 4, 5)
    save_arrays(
        path, {**maps, "displacement": np.ones(shape, np.int16), "confidence": np.ones(shape, np.uint8)}
    )


def landmarks_of_views(path: Path) -> None:
    views = {"view": np.array(["a", "b"]), "detections": np.ones((2, 68, 2)), "inliers": np.ones((68, 2))}
    save_arrays(path, views)


def capture_manifest(path: Path) -> None:
    planned = capture_plan.PlannedCapture("a", "p", "/tmp", capture_plan.CAMERAS)
    path.write_text(json.dumps({"format": capture_plan.FORMAT, "capture": asdict(planned)}))


def plan_head(path: Path) -> None:
    head = {"format": "facemill-photo-plan-1", "shards": 3, "count": 9, "shard_by_photo": {"a": "0001"}}
    path.write_text(json.dumps(head))


def read_faces(place: Path) -> Any:
    read_inputs("run", place.parent, place.parent / "none", {}, [place])


COSTS = ",".join(MEASURED_COLUMNS) + "\ndetect_faces" + ",1" * (len(MEASURED_COLUMNS) - 1) + "\n"
STAGE_READERS: list[Reader] = [
    Reader(
        "uv maps (npz)", "npz", file_of("uv_maps.npz", uv_maps), lambda p: read_texel_grid(p, FITTED) and None
    ),
    Reader("detail maps (npz)", "npz", file_of("a.npz", detail_maps), lambda p: Predictions(p) and None),
    Reader(
        "landmarks of views (npz)",
        "npz",
        file_of("a.npz", landmarks_of_views),
        lambda p: read_landmarks_of_views(p) and None,
    ),
    Reader(
        "packed array (npy)",
        "npy",
        file_of("a.npy", lambda p: np.save(p, np.ones((4, 3)))),
        lambda p: open_packed(p.parent, "pack_training", [p.stem])[p.stem].shape,
    ),
    Reader(
        "FaceScape displacement (png)",
        "picture",
        file_of("a.png", picture_of(noise(4096, 4096, dtype=np.uint16))),
        read_displacement_map,
        0.02,
    ),
    Reader("photo plan head (json)", "json", file_of("plan.json", plan_head), lambda p: read_plan(p.parent)),
    Reader(
        "capture manifest (json)", "json", file_of("a.json", capture_manifest), capture_plan.read_manifest
    ),
    Reader(
        "status of a stage (json)",
        "json",
        json_of("a.json", {"status": "ok", "views": []}),
        lambda p: read_object(p) and None,
    ),
    Reader("costs (csv)", "text", text_of("costs.csv", COSTS), lambda p: read_costs(p) is None),
    Reader(
        "split (csv)", "text", text_of("val.csv", "photo,person\na,p\nb,q\n"), lambda p: held_out_photos([p])
    ),
    Reader(
        "own result (json)", "json", json_of("result.json", RESULT), lambda p: list(own_rows("a", p)) and None
    ),
    Reader(
        "report: result (json)",
        "json",
        json_of("result.json", RESULT),
        lambda p: read_evaluations([p]) and None,
    ),
    Reader("report: captures (csv)", "text", text_of("captures.csv", CAPTURE), lambda p: read_captures([p])),
    Reader(
        "report: faces (csv)", "text", file_of("set/faces.csv", lambda p: p.write_text(FACES)), read_faces
    ),
    Reader(
        "report: training (json)",
        "json",
        json_of("summary.json", dict.fromkeys(SUMMARY, 1)),
        lambda p: read_summary(p) and None,
    ),
    Reader(
        "training journal (csv)",
        "text",
        text_of("metrics.csv", "step,epoch,kind\n1,0.1,train\n2,0.2,train\n"),
        lambda p: read_rows(p, 5) and None,
    ),
    Reader(
        "anthropometry (csv)",
        "text",
        text_of("a.csv", "measurement,sex,mean_mm,sd_mm,population,source\nx,male,1,2,y,z\n"),
        lambda p: read_anthropometry(p) is None,
    ),
]
