"""Valid small inputs, one for each kind of file that the repository reads, to be spoiled by the suite."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from scipy.io import savemat

from facemill.evaluation.floor import NowFiles
from facemill.evaluation.floor import _read as read_floor_files
from facemill.evaluation.histograms import KEYS, STEPS
from facemill.evaluation.published import COLUMNS
from facemill.formats import (
    base_meshes,
    bfm09_files,
    captures,
    facescape,
    ict_facekit,
    matlab,
    mgcnet,
    now,
    now_predictions,
)
from facemill.geometry.camera import Camera
from facemill.geometry.mesh import Mesh
from facemill.models.files import save_model
from facemill.photos.plan import plan_photo_set
from facemill.runtime.files import save_arrays

Write = Callable[[Path], Path]

K = [[1000.0, 0.0, 320.0], [0.0, 1000.0, 240.0], [0.0, 0.0, 1.0]]
RT = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 600.0]]
POINTS = np.random.default_rng(0).uniform(10, 200, (68, 2))
MESH = Mesh(
    np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    np.array([[0, 1, 2], [0, 2, 3]]),
    np.full((4, 3), 0.5),
    np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]]),
    np.array([[0, 1, 2], [0, 2, 3]]),
)
NOW_CASE = now.NowCase("a", "selfie", "b", "a/selfie/b.jpg")


def file_of(name: str, write: Callable[[Path], object]) -> Write:
    """A valid input that is one file."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
        return path

    return make


def text_of(name: str, text: str) -> Write:
    return file_of(name, lambda path: path.write_text(text))


def json_of(name: str, value: Any) -> Write:
    return text_of(name, json.dumps(value))


def picture_of(pixels: np.ndarray, **options: Any) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(pixels).save(path, **options)


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 255, shape).astype(dtype)


def npy_of(array: np.ndarray) -> Callable[[Path], object]:
    return lambda path: np.save(path, array)


def colmap_model(binary: bool, victim: str) -> Write:
    """A COLMAP model of two images."""

    def make(folder: Path) -> Path:
        if binary:
            camera = struct.pack("<QIiQQ4d", 1, 1, 1, 640, 480, 1000, 1000, 320, 240)
            image = struct.pack("<I7dI", 1, 1, 0, 0, 0, 0, 0, 600, 1) + b"a.jpg\0" + struct.pack("<Q", 0)
            (folder / "cameras.bin").write_bytes(camera)
            (folder / "images.bin").write_bytes(struct.pack("<Q", 2) + image + image)
        else:
            (folder / "cameras.txt").write_text("# c\n1 OPENCV 640 480 1000 1000 320 240 0.1 0 0 0\n")
            (folder / "images.txt").write_text("1 1 0 0 0 0 0 600 1 a.jpg\n\n2 1 0 0 0 0 0 600 1 b/b.jpg\n\n")
        return folder / victim

    return make


def triplet_files(victim: str) -> Write:
    def make(folder: Path) -> Path:
        views = noise(3, 224, 224, 3)
        intrinsics = np.stack([mgcnet.mgcnet_intrinsics()] * 3)
        triplet = mgcnet.Triplet(views, views[..., 0], intrinsics, np.stack([POINTS] * 3))
        mgcnet.write_triplet(folder, mgcnet.TripletName(0, "p", "f"), triplet)
        return folder / "p" / victim

    return make


def read_triplet_of(place: Path) -> Any:
    return mgcnet.read_triplet(place.parent.parent, mgcnet.TripletName(0, place.parent.name, "f"))


def facescape_parameters(folder: Path) -> Path:
    camera = Camera(torch.eye(3).double(), torch.tensor([0.0, 0, 600]).double(), torch.tensor(K).double())
    views = [
        facescape.CaptureView(n, folder / f"{n}.jpg", camera, facescape.Lens(), (480, 640), True)
        for n in (0, 1)
    ]
    facescape.write_capture_parameters(folder, views)
    return folder / "params.json"


def prepared_capture(path: Path) -> None:
    camera = Camera(torch.eye(3).double(), torch.tensor([0.0, 0, 600]).double(), torch.tensor(K).double())
    view = captures.PreparedView("a", "views/a.png", camera, (480, 640))
    captures.write_capture(path, captures.Capture("ok", "", 1.0, "given", 0.0, (view, view)))


def base_mesh_files(victim: str) -> Write:
    def make(folder: Path) -> Path:
        points = np.random.default_rng(1).normal(size=(5, 3))
        mesh = base_meshes.BaseMesh(
            "a", np.ones(2), np.ones(3), 1.0, np.eye(3), np.zeros(3), points, points, np.ones(5)
        )
        told = {"a": {"status": "ok", "reason": ""}, "b": {"status": "no_face", "reason": "none"}}
        base_meshes.write_base_meshes(folder / "p.npz", folder / "p.json", "p", [mesh], told)
        return folder / victim

    return make


def facescape_files(victim: str) -> Write:
    def make(folder: Path) -> Path:
        from stand_ins.facescape import write_facescape_model

        write_facescape_model(folder, vertices=300)
        return folder / victim

    return make


def ict_files(folder: Path) -> Path:
    from stand_ins.ict_facekit import write_ict_facekit

    write_ict_facekit(folder, identities=1)
    return folder / ict_facekit.NEUTRAL_FILE


def face_model(path: Path) -> None:
    from stand_ins.toy_model import make_toy_model

    save_model(path, make_toy_model())


def expression_basis(path: Path) -> None:
    with path.open("wb") as file:
        file.write(np.array(bfm09_files.EXPRESSIONS, dtype="<i4").tobytes())
        file.truncate(4 + 12 * bfm09_files.TRIMMED * (1 + bfm09_files.EXPRESSIONS))


def dlib_file(path: Path) -> None:
    """A network of one layer, as dlib writes it."""

    def whole(value: int) -> bytes:
        return bytes([1, value])

    def text(value: str) -> bytes:
        return whole(len(value)) + value.encode()

    real, empty = whole(1) + whole(0), whole(2) + whole(0) * 4
    values = whole(2) + whole(1) * 3 + whole(4) + np.ones(4, dtype="<f4").tobytes()
    sizes, weights, biases = whole(2) * 2, whole(1) + whole(2) * 2 + whole(1) * 2, whole(1) + whole(0) * 4
    layer = text("fc_no_bias") if False else text("fc")
    layer += sizes + values + weights + biases + whole(0) + real * 4 + b"000" + empty * 3 + whole(0)
    head = whole(1) + text("loss_metric_") + real * 2 + whole(3)
    path.write_bytes(head + text("input_rgb_image_sized") + real * 3 + whole(150) * 2 + layer)


def pickled_box(path: Path) -> None:
    np.save(path, np.array({"left": 1, "top": 2.0, "right": np.float64(30), "bottom": 40}, dtype=object))


def now_list(folder: Path) -> Path:
    (folder / "imagepathsvalidation.txt").write_text("a/selfie/b.jpg\na/selfie/c.jpg\n")
    return folder / "imagepathsvalidation.txt"


def read_now_list_of(place: Path) -> Any:
    cases = now.read_cases(place.parent, "validation", need_scans=False)
    files = [(now.picture_file(place.parent, case), now.face_box_file(place.parent, case)) for case in cases]
    return cases, [now_predictions.prediction_files(place.parent, case) for case in cases], files


def now_result(victim: str) -> Write:
    from facemill.evaluation.floor import ALIKE

    def make(folder: Path) -> Path:
        (folder / "s.json").write_text(json.dumps(dict.fromkeys((*ALIKE, "predictions"), 1)))
        (folder / "c.csv").write_text("case,challenge,median\na/b/c,b,1.5\n")
        histograms_file(folder / "h.npz")
        return folder / victim

    return make


def read_now_result_of(place: Path) -> Any:
    folder = place.parent
    parts = [place if name == place.name else folder / name for name in ("s.json", "c.csv", "h.npz")]
    read_floor_files(NowFiles("n", *parts))


def histograms_file(path: Path) -> None:
    values = (np.array(["a"]), np.array(["p"]), np.ones((1, STEPS + 1)), np.ones(1), np.array(0.1))
    save_arrays(path, dict(zip(KEYS, values, strict=True)))


def published_table(folder: Path) -> Path:
    row = ["1" if name in ("value", "images") else "x" for name in COLUMNS]
    (folder / "p.csv").write_text(",".join(COLUMNS) + "\n" + ",".join(row) + "\n")
    return folder / "p.csv"


def photo_manifest(folder: Path) -> Path:
    photos = folder / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"x")
    plan = plan_photo_set("s", photos, folder / "plan", 10)
    return plan.manifest(plan.shards[0])


GREY16 = noise(20, 20, dtype=np.uint16) * 200
WEIGHTS = {"a": torch.ones(3, 4), "b": torch.arange(5)}
TABLE = pd.DataFrame(
    {"photo": ["a", "b"], "status": ["ok", "no_face"], "reason": ["", "none"], "x": [1.0, 2.0]}
)
MAT_ARRAYS = {"idx": matlab.Expected((20, 1), 1, 99, distinct=True), "w": matlab.Expected((4, 3))}
DEEP3D = {
    "id": np.ones((1, 80)), "exp": np.ones((1, 64)), "tex": np.ones((1, 80)), "angle": np.ones((1, 3)),
    "gamma": np.ones((1, 27)), "trans": np.ones((1, 3)), "lm68": POINTS[None],
}  # fmt: skip


def mat_of(arrays: dict[str, np.ndarray]) -> Callable[[Path], object]:
    return lambda path: savemat(path, arrays)
