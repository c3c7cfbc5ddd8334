"""Every reader of the repository: a valid small input of its own, and how it is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from scipy.io import savemat

from facemill.configuration import Configuration, check_configuration
from facemill.evaluation.floor import NowFiles
from facemill.evaluation.floor import _read as read_floor_files
from facemill.evaluation.histograms import KEYS, STEPS, read_histograms
from facemill.evaluation.published import COLUMNS, read_published
from facemill.faces.crops import read_crop
from facemill.formats import (
    base_meshes,
    benchmarks,
    bfm09_files,
    cameras_json,
    captures,
    checkpoints,
    colmap,
    deep3d,
    displacement,
    dlib_network,
    exif,
    face_boxes,
    facescape,
    facescape_model,
    facescape_sets,
    facescape_views,
    glb,
    ict_facekit,
    landmarks,
    matlab,
    meshes,
    mgcnet,
    now,
    now_predictions,
    now_truth,
    stored_pictures,
    surface_maps,
    true_landmarks,
)
from facemill.geometry.camera import Camera
from facemill.geometry.mesh import Mesh
from facemill.models.files import load_model, save_model
from facemill.photos.plan import plan_photo_set, read_manifest
from facemill.photos.reading import read_photo
from facemill.photos.settings import IMAGE_FORMATS
from facemill.report.inputs import read_times
from facemill.report.training_inputs import _courses as read_courses
from facemill.runtime.files import load_arrays, save_arrays
from facemill.runtime.tables import read_table, write_table

Write = Callable[[Path], Path]
Read = Callable[[Path], Any]


@dataclass(frozen=True)
class Reader:
    """A reader under attack.

    name: in the table of counts. kind: how its file is taken apart for mutants and attacks.
    write: leaves a valid input in a folder; returns the file that is to be spoiled. read: of that file.
    share: of the number of inputs that it gets, less for slow ones. may_be_nan: NaN has a meaning there.
    names_file: whether refusals must name the file; a photo's reason stands in a row that does.
    """

    name: str
    kind: str
    write: Write
    read: Read
    share: float = 1.0
    may_be_nan: bool = False
    names_file: bool = True


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


def _file(name: str, write: Callable[[Path], object]) -> Write:
    """A valid input that is one file."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
        return path

    return make


def _text(name: str, text: str) -> Write:
    return _file(name, lambda path: path.write_text(text))


def _json(name: str, value: Any) -> Write:
    return _text(name, json.dumps(value))


def _picture(pixels: np.ndarray, **options: Any) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(pixels).save(path, **options)


def _noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 255, shape).astype(dtype)


def _save_npy(array: np.ndarray) -> Callable[[Path], object]:
    return lambda path: np.save(path, array)


def _colmap(binary: bool, victim: str) -> Write:
    """A COLMAP model of two images."""

    def make(folder: Path) -> Path:
        if binary:
            import struct

            camera = struct.pack("<QIiQQ4d", 1, 1, 1, 640, 480, 1000, 1000, 320, 240)
            image = struct.pack("<I7dI", 1, 1, 0, 0, 0, 0, 0, 600, 1) + b"a.jpg\0" + struct.pack("<Q", 0)
            (folder / "cameras.bin").write_bytes(camera)
            (folder / "images.bin").write_bytes(struct.pack("<Q", 2) + image + image)
        else:
            (folder / "cameras.txt").write_text("# c\n1 OPENCV 640 480 1000 1000 320 240 0.1 0 0 0\n")
            (folder / "images.txt").write_text("1 1 0 0 0 0 0 600 1 a.jpg\n\n2 1 0 0 0 0 0 600 1 b/b.jpg\n\n")
        return folder / victim

    return make


def _triplet(victim: str) -> Write:
    def make(folder: Path) -> Path:
        views = _noise(3, 224, 224, 3)
        intrinsics = np.stack([mgcnet.mgcnet_intrinsics()] * 3)
        triplet = mgcnet.Triplet(views, views[..., 0], intrinsics, np.stack([POINTS] * 3))
        mgcnet.write_triplet(folder, mgcnet.TripletName(0, "p", "f"), triplet)
        return folder / "p" / victim

    return make


def _read_triplet(place: Path) -> Any:
    return mgcnet.read_triplet(place.parent.parent, mgcnet.TripletName(0, place.parent.name, "f"))


def _facescape_captures(folder: Path) -> Path:
    camera = Camera(torch.eye(3).double(), torch.tensor([0.0, 0, 600]).double(), torch.tensor(K).double())
    views = [
        facescape.CaptureView(n, folder / f"{n}.jpg", camera, facescape.Lens(), (480, 640), True)
        for n in (0, 1)
    ]
    facescape.write_capture_parameters(folder, views)
    return folder / "params.json"


def _prepared(path: Path) -> None:
    camera = Camera(torch.eye(3).double(), torch.tensor([0.0, 0, 600]).double(), torch.tensor(K).double())
    view = captures.PreparedView("a", "views/a.png", camera, (480, 640))
    captures.write_capture(path, captures.Capture("ok", "", 1.0, "given", 0.0, (view, view)))


def _base_mesh(victim: str) -> Write:
    def make(folder: Path) -> Path:
        points = np.random.default_rng(1).normal(size=(5, 3))
        mesh = base_meshes.BaseMesh(
            "a", np.ones(2), np.ones(3), 1.0, np.eye(3), np.zeros(3), points, points, np.ones(5)
        )
        told = {"a": {"status": "ok", "reason": ""}, "b": {"status": "no_face", "reason": "none"}}
        base_meshes.write_base_meshes(folder / "p.npz", folder / "p.json", "p", [mesh], told)
        return folder / victim

    return make


def _facescape_model(victim: str) -> Write:
    def make(folder: Path) -> Path:
        from stand_ins.facescape import write_facescape_model

        write_facescape_model(folder, vertices=300)
        return folder / victim

    return make


def _ict(folder: Path) -> Path:
    from stand_ins.ict_facekit import write_ict_facekit

    write_ict_facekit(folder, identities=1)
    return folder / ict_facekit.NEUTRAL_FILE


def _model(path: Path) -> None:
    from stand_ins.toy_model import make_toy_model

    save_model(path, make_toy_model())


def _expression_basis(path: Path) -> None:
    with path.open("wb") as file:
        file.write(np.array(bfm09_files.EXPRESSIONS, dtype="<i4").tobytes())
        file.truncate(4 + 12 * bfm09_files.TRIMMED * (1 + bfm09_files.EXPRESSIONS))


def _dlib(path: Path) -> None:
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


def _box(path: Path) -> None:
    np.save(path, np.array({"left": 1, "top": 2.0, "right": np.float64(30), "bottom": 40}, dtype=object))


def _now_list(folder: Path) -> Path:
    (folder / "imagepathsvalidation.txt").write_text("a/selfie/b.jpg\na/selfie/c.jpg\n")
    return folder / "imagepathsvalidation.txt"


def _read_now_list(place: Path) -> Any:
    cases = now.read_cases(place.parent, "validation", need_scans=False)
    files = [(now.picture_file(place.parent, case), now.face_box_file(place.parent, case)) for case in cases]
    return cases, [now_predictions.prediction_files(place.parent, case) for case in cases], files


def _floor(victim: str) -> Write:
    from facemill.evaluation.floor import ALIKE

    def make(folder: Path) -> Path:
        (folder / "s.json").write_text(json.dumps(dict.fromkeys((*ALIKE, "predictions"), 1)))
        (folder / "c.csv").write_text("case,challenge,median\na/b/c,b,1.5\n")
        _histograms(folder / "h.npz")
        return folder / victim

    return make


def _read_floor(place: Path) -> Any:
    folder = place.parent
    parts = [place if name == place.name else folder / name for name in ("s.json", "c.csv", "h.npz")]
    read_floor_files(NowFiles("n", *parts))


def _histograms(path: Path) -> None:
    values = (np.array(["a"]), np.array(["p"]), np.ones((1, STEPS + 1)), np.ones(1), np.array(0.1))
    save_arrays(path, dict(zip(KEYS, values, strict=True)))


def _published(folder: Path) -> Path:
    row = ["1" if name in ("value", "images") else "x" for name in COLUMNS]
    (folder / "p.csv").write_text(",".join(COLUMNS) + "\n" + ",".join(row) + "\n")
    return folder / "p.csv"


def _manifest(folder: Path) -> Path:
    photos = folder / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"x")
    plan = plan_photo_set("s", photos, folder / "plan", 10)
    return plan.manifest(plan.shards[0])


def _photos(suffix: str, kind: str) -> list[Reader]:
    modes = {"GIF": "P", "XBM": "1", "MSP": "1"}
    picture = Image.fromarray(_noise(24, 32, 3)).convert(modes.get(kind, "RGB"))
    return [
        Reader(
            f"photo {kind}",
            "picture",
            _file(f"photo{suffix}", lambda path: picture.save(path, format=kind)),
            lambda place: read_photo(place).pixels,
            1.0 if kind in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF") else 0.3,
            names_file=False,
        )
    ]


WRITABLE = (
    "AVIF BLP BMP DDS DIB GIF ICNS ICO IM JPEG JPEG2000 MPO MSP PCX PNG PPM QOI SGI TGA TIFF WEBP XBM"
).split()
PHOTOS = [one for kind in WRITABLE for one in _photos(IMAGE_FORMATS[kind][-1], kind)]
GREY16 = _noise(20, 20, dtype=np.uint16) * 200
WEIGHTS = {"a": torch.ones(3, 4), "b": torch.arange(5)}
TABLE = pd.DataFrame(
    {"photo": ["a", "b"], "status": ["ok", "no_face"], "reason": ["", "none"], "x": [1.0, 2.0]}
)
MAT_ARRAYS = {"idx": matlab.Expected((20, 1), 1, 99, distinct=True), "w": matlab.Expected((4, 3))}
DEEP3D = {
    "id": np.ones((1, 80)), "exp": np.ones((1, 64)), "tex": np.ones((1, 80)), "angle": np.ones((1, 3)),
    "gamma": np.ones((1, 27)), "trans": np.ones((1, 3)), "lm68": POINTS[None],
}  # fmt: skip


def _mat(arrays: dict[str, np.ndarray]) -> Callable[[Path], object]:
    return lambda path: savemat(path, arrays)


READERS: list[Reader] = [
    *PHOTOS,
    Reader("exif", "picture", _file("a.jpg", _picture(_noise(16, 16, 3))), exif.read_exif),
    Reader("crop (png)", "picture", _file("a.png", _picture(_noise(224, 224, 3))), lambda p: read_crop(p.parent, p.stem)),
    Reader("grey16 (png)", "picture", _file("a.png", _picture(GREY16)), lambda p: stored_pictures.read_grey16(p, "x")),
    Reader("displacement (png)", "picture", _file("a.png", lambda p: displacement.write_displacement(p, np.ones((9, 9)), False)), displacement.read_displacement),
    Reader("displacement (json)", "json", lambda f: (displacement.write_displacement(f / "a.png", np.ones((9, 9))), f / "a.json")[1], lambda p: displacement.read_displacement(p.with_suffix(".png"))),
    Reader("landmarks (txt)", "text", _file("a.txt", lambda p: landmarks.write_points_text(p, POINTS[:5])), landmarks.read_points_text, may_be_nan=True),
    Reader("landmarks68 (txt)", "text", _file("a.txt", lambda p: landmarks.write_points_text(p, POINTS)), true_landmarks.read_prediction),
    Reader("landmarks (pts)", "text", _file("a.pts", lambda p: landmarks.write_pts(p, POINTS)), landmarks.read_pts),
    Reader("picked points (pp)", "text", _file("a.pp", lambda p: landmarks.write_picked_points(p, landmarks.PickedPoints(list("abcdefg"), np.ones((7, 3))))), landmarks.read_picked_points, may_be_nan=True),
    Reader("points 3-D (txt)", "text", _file("a.txt", lambda p: p.write_text("1 2 3\n4 5 6\n")), landmarks.read_points_3d),
    Reader("points 3-D (npy)", "npy", _file("a.npy", _save_npy(np.ones((7, 3)))), landmarks.read_points_3d),
    Reader("NoW landmarks (npy)", "npy", _file("a.npy", _save_npy(np.ones((7, 3)))), now_predictions.read_prediction_landmarks),
    Reader("NoW landmarks (txt)", "text", _text("a.txt", "1 2 3\n" * 7), now_predictions.read_prediction_landmarks),
    Reader("NoW list", "text", _now_list, _read_now_list),
    Reader("NoW predictions (csv)", "text", _text("predictions.csv", "case,status,reason\na/b/c,ok,\na/b/d,no_face,none\n"), lambda p: now_predictions.read_prediction_reasons(p.parent)),
    Reader("NoW truth (csv)", "text", _text("truth.csv", "subject,challenge,image,yaw\na,b,c,1.5\na,b,d,2\n"), lambda p: now_truth.read_truth(p.parent)),
    Reader("NoW face box (npy)", "box", _file("a.npy", _box), face_boxes.read_face_box),
    Reader("AFLW2000 (mat)", "mat", _file("a.mat", _mat({"pt3d_68": np.ones((3, 68)), "Pose_Para": np.ones((1, 7))})), true_landmarks.read_aflw2000, may_be_nan=True),
    Reader("Deep3D (mat)", "mat", _file("a.mat", _mat(DEEP3D)), deep3d.read_deep3d),
    Reader("Deep3D TensorFlow (mat)", "mat", _file("a.mat", _mat({"coeff": np.ones((1, 257)), "lm_68p": POINTS})), deep3d.read_deep3d),
    Reader("BFM indices (mat)", "mat", _file("a.mat", _mat({"idx": np.arange(1.0, 21)[:, None], "w": np.ones((4, 3))})), lambda p: matlab.read_matlab(p, "BFM", MAT_ARRAYS, "x")),
    Reader("BFM std_exp.txt", "text", _text("std_exp.txt", " ".join(["4539.5"] * 79)), bfm09_files._read_deviations),
    Reader("BFM Exp_Pca.bin", "large", _file("Exp_Pca.bin", _expression_basis), bfm09_files.read_expression_basis, 0.05),
    Reader("FaceScape core (npy)", "npy", _facescape_model("core_847_50_52.npy"), lambda p: facescape_model.read_facescape_model(p.parent), 0.2),
    Reader("FaceScape factors (json)", "json", _facescape_model("factor_847_50_52.json"), lambda p: facescape_model.read_facescape_model(p.parent), 0.2),
    Reader("FaceScape neutral (obj)", "text", _facescape_model("1_neutral.obj"), lambda p: facescape_model.read_facescape_model(p.parent), 0.2),
    Reader("ICT-FaceKit neutral (obj)", "text", _ict, lambda p: ict_facekit.read_ict_facekit(p.parent, 1), 0.05),
    Reader("FaceScape params.json", "json", _facescape_captures, lambda p: facescape.read_capture(p.parent, need_photos=False)),
    Reader("FaceScape params.json by view", "json", _facescape_captures, lambda p: facescape_views.read_views(p.parent)),
    Reader("FaceScape id.json", "json", _json("id.json", {"train": ["001_01", "002_03"], "eval": []}), facescape_sets.read_ids),
    Reader("FaceScape select_dict.json", "json", _json("select.json", {"1": {"1": [0, 3], "2": [4]}}), facescape_sets.read_selection),
    Reader("FaceScape Rt_scale_dict.json", "json", _json("scale.json", {"1": {"1": [1.5, RT]}}), facescape_sets.read_scales),
    Reader("cameras.json", "json", _json("cameras.json", {"unit_mm": 1.0, "views": [{"file": "a.jpg", "width": 640, "height": 480, "intrinsics": K, "extrinsics": RT, "distortion": [0.1, 0, 0, 0, 0]}]}), cameras_json.read_cameras),
    *(Reader(f"COLMAP {name}", "text" if name.endswith("txt") else "binary", _colmap(name.endswith("bin"), name), lambda p: colmap.read_colmap(p.parent, p.parent)) for name in ("cameras.txt", "images.txt", "cameras.bin", "images.bin")),
    Reader("mesh (obj)", "text", _file("a.obj", lambda p: meshes.write_obj(p, MESH)), meshes.read_mesh),
    Reader("mesh (ascii ply)", "text", _file("a.ply", lambda p: meshes.write_ply(p, MESH, binary=False)), meshes.read_mesh),
    Reader("mesh (binary ply)", "text", _file("a.ply", lambda p: meshes.write_ply(p, MESH)), meshes.read_mesh),
    Reader("mesh (glb)", "glb", _file("a.glb", lambda p: glb.write_glb(p, MESH, _noise(8, 8, 3))), glb.read_glb),
    Reader("safetensors", "binary", _file("a.safetensors", lambda p: checkpoints.write_weights(p, WEIGHTS, {"format": "f", "n": "1"})), lambda p: checkpoints.read_weights(p, "f")),
    Reader("checkpoint (pth)", "pth", _file("a.pth", lambda p: checkpoints.write_pickled(p, WEIGHTS)), checkpoints.read_pickled),
    Reader("old checkpoint (pth)", "pth", _file("a.pth", lambda p: torch.save(WEIGHTS, p, _use_new_zipfile_serialization=False)), checkpoints.read_pickled),
    Reader("dlib network", "binary", _file("a.dat", _dlib), dlib_network.read_dlib_network),
    Reader("MGCNet list", "text", _text("train.txt", "0 p f\n1 q/r g\n2 p h\n"), mgcnet.read_split),
    Reader("MGCNet cameras (txt)", "text", _triplet("f_cam.txt"), _read_triplet),
    Reader("MGCNet views (jpg)", "picture", _triplet("f.jpg"), _read_triplet, 0.5),
    Reader("face model (npz)", "npz", _file("m.npz", _model), load_model, 0.3),
    Reader("arrays (npz)", "npz", _file("a.npz", lambda p: save_arrays(p, {"a": np.ones((3, 3)), "b": np.array(["x"])}, True)), lambda p: load_arrays(p, ("a",)) and None),
    Reader("surface map (npz)", "npz", _file("a.npz", lambda p: surface_maps.write_surface_map(p, surface_maps.SurfaceMap(16, (1, 2, 3, 4), np.ones((3, 4)), np.ones((3, 4)), np.ones((3, 4), bool)))), surface_maps.read_surface_map, may_be_nan=True),
    *(Reader(f"base mesh ({name[2:]})", name[2:], _base_mesh(name), lambda p: base_meshes.read_base_mesh(p.with_suffix(".npz"), p.with_suffix(".json"), "a").mesh) for name in ("p.npz", "p.json")),
    Reader("prepared capture (json)", "json", _file("capture.json", _prepared), captures.read_capture_file),
    Reader("histograms (npz)", "npz", _file("h.npz", _histograms), read_histograms),
    Reader("NoW result (json)", "json", _floor("s.json"), _read_floor),
    Reader("NoW result (csv)", "text", _floor("c.csv"), _read_floor),
    Reader("published figures (csv)", "text", _published, lambda p: read_published(p.parent)),
    Reader("photo plan (json)", "json", _manifest, read_manifest),
    Reader("table (parquet)", "parquet", _file("a.parquet", lambda p: write_table(p, TABLE)), read_table),
    Reader("benchmark (tsv)", "text", _text("b.tsv", "s\tcpu_time\tmax_rss\n1.5\t1.0\t20\n"), benchmarks.read_cost),
    Reader("benchmarks of a run (tsv)", "text", _file("rule/set/b.tsv", lambda p: p.write_text("s\tcpu_time\tmax_rss\n1.5\t1.0\t20\n")), lambda p: read_times(p.parents[2])),
    Reader("training course (csv)", "text", _text("metrics.csv", "step,kind,epoch,loss\n1,train,0.1,2.5\n2,validation,0.2,2\n"), read_courses),
    Reader("configuration", "json", _json("config.json", json.loads(Configuration().model_dump_json())), lambda p: check_configuration(json.loads(p.read_bytes())), names_file=False),
]  # fmt: skip
