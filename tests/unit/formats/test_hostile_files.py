"""Defects of the readers that came up with the hostile suite, a plain test for each."""

import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from facemill.formats.benchmarks import read_cost
from facemill.formats.bfm09_files import read_expression_basis
from facemill.formats.cameras_json import read_cameras
from facemill.formats.captures import read_capture_file
from facemill.formats.checkpoints import read_pickled, read_weights, write_weights
from facemill.formats.colmap import read_colmap
from facemill.formats.deep3d import read_deep3d
from facemill.formats.displacement import read_displacement, write_displacement
from facemill.formats.exif import read_exif
from facemill.formats.face_boxes import read_face_box
from facemill.formats.facescape_sets import read_ids, read_scales
from facemill.formats.glb import read_glb
from facemill.formats.landmarks import read_picked_points, read_pts
from facemill.formats.meshes import read_mesh
from facemill.formats.mgcnet import read_split
from facemill.formats.now import read_cases
from facemill.formats.now_truth import read_truth
from facemill.formats.stored_pictures import read_grey16
from facemill.formats.surface_maps import read_surface_map
from facemill.formats.true_landmarks import read_aflw2000, read_prediction
from facemill.runtime.errors import FormatError, LicensedFileError
from facemill.runtime.files import save_arrays

K = [[1000.0, 0, 320], [0, 1000.0, 240], [0, 0, 1]]
RT = [[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 600]]


def bad_view(folder, **changes):
    """Status and reason of a view of cameras.json."""
    view = {"file": "a.jpg", "width": 640, "height": 480, "intrinsics": K, "extrinsics": RT, **changes}
    (folder / "cameras.json").write_text(json.dumps({"views": [view]}))
    found = read_cameras(folder / "cameras.json").views[0]
    return found.status, found.reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": float("inf")}, "width is inf"),
        ({"height": 1e300}, "height is 1e\\+300"),
        ({"intrinsics": [[10**39] * 3] * 3}, "intrinsics"),
        ({"file": "../../etc/passwd"}, "not below the folder"),
        ({"file": "/etc/passwd"}, "not below the folder"),
        ({"file": "a\0.jpg"}, "not below the folder"),
    ],
)
def test_values_of_a_view_that_cannot_be(tmp_path, changes, words):
    status, reason = bad_view(tmp_path, **changes)
    assert status == "bad_parameters"
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(reason)


def test_the_name_of_a_photo_may_be_too_long_for_a_file(tmp_path):
    assert bad_view(tmp_path, file="x" * 300 + ".jpg")[0] == "ok"  # its photo is missing, no more
    (tmp_path / "cameras.json").write_text('{"unit_mm": true, "views": [{"file": "a"}]}')
    with pytest.raises(FormatError, match="unit_mm"):
        read_cameras(tmp_path / "cameras.json")


def colmap_of(folder, points=0, camera=(640, 480, 1000.0, 1000.0, 320.0, 240.0), name=b"a.jpg"):
    (folder / "cameras.bin").write_bytes(struct.pack("<QIiQQ4d", 1, 1, 1, *camera))
    image = struct.pack("<I7dI", 1, 1, 0, 0, 0, 0, 0, 600, 1) + name + b"\0" + struct.pack("<Q", points)
    (folder / "images.bin").write_bytes(struct.pack("<Q", 1) + image)
    return read_colmap(folder, folder)


def test_colmap_with_2_to_the_63_points(tmp_path):
    with pytest.raises(FormatError, match="cut off"):
        colmap_of(tmp_path, points=2**63)


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        ((0, 480, 1.0, 1.0, 0.0, 0.0), "width is 0"),
        ((2**63, 480, 1.0, 1.0, 0.0, 0.0), "width"),
        ((640, 480, float("nan"), 1.0, 0.0, 0.0), "not finite"),
    ],
)
def test_colmap_cameras_that_cannot_be(tmp_path, camera, words):
    (view,) = colmap_of(tmp_path, camera=camera)
    assert view.status == "bad_parameters" and words in view.reason


@pytest.mark.parametrize("name", [b"../a.jpg", b"/etc/passwd", b"x" * 300, b".."])
def test_colmap_photos_are_below_the_capture(tmp_path, name):
    (view,) = colmap_of(tmp_path, name=name)
    assert view.file is None and "/" not in view.name and len(view.name) <= 180 and view.name != ".."


@pytest.mark.parametrize(
    "value", [["1.5", RT, 0], ["x", RT], [10**39, [[10**39] * 4] * 2], {"a": 1}, 7, [1.0]]
)
def test_scales_that_are_none(tmp_path, value):
    (tmp_path / "a.json").write_text(json.dumps({"1": {"1": value}}))
    with pytest.raises(FormatError, match="another form"):
        read_scales(tmp_path / "a.json")


def test_a_scale_may_be_written_as_a_text(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"1": {"1": ["1.5", RT]}}))
    assert next(iter(read_scales(tmp_path / "a.json").values())).millimetres == 1.5


def test_numbers_of_people_have_an_end(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"train": ["9" * 5000 + "_1"]}))
    with pytest.raises(FormatError, match="another form"):
        read_ids(tmp_path / "a.json")


def test_weights_that_are_no_numbers(tmp_path):
    write_weights(tmp_path / "a.safetensors", {"w": torch.tensor([1.0, float("nan")])}, {"format": "f"})
    with pytest.raises(FormatError, match="w has weights that are no numbers"):
        read_weights(tmp_path / "a.safetensors", "f")
    torch.save({"net": {"w": torch.tensor([float("inf")])}}, tmp_path / "a.pth")
    with pytest.raises(FormatError, match=r"net\.w has weights that are no numbers"):
        read_pickled(tmp_path / "a.pth")


def test_a_header_of_weights_without_equals_signs(tmp_path):
    from safetensors.torch import save_file

    save_file({"w": torch.ones(2)}, tmp_path / "a.safetensors", {"facemill": "no key\nformat"})
    with pytest.raises(FormatError, match="something else"):
        read_weights(tmp_path / "a.safetensors", "f")


def test_a_checkpoint_that_claims_a_longer_storage_than_it_holds(tmp_path):
    stream = io.BytesIO()
    torch.save({"w": torch.ones(7)}, stream)
    with zipfile.ZipFile(stream) as source, zipfile.ZipFile(tmp_path / "a.pth", "w") as target:
        for name in source.namelist():
            body = source.read(name)
            if name.endswith("data.pkl"):
                assert body.count(b"K\x07") == 2  # elements of the storage, and of the tensor
                body = body.replace(b"K\x07", b"J" + struct.pack("<i", 5000))
            target.writestr(name, body)
    with pytest.raises(FormatError, match=r"a\.pth cannot be read"):
        read_pickled(tmp_path / "a.pth")


def test_a_checkpoint_that_repeats_one_number(tmp_path):
    torch.save({"w": torch.ones(1).expand(1 << 40)}, tmp_path / "a.pth")
    with pytest.raises(FormatError, match="repeats its numbers"):
        read_pickled(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "value", [np.array([["a", 1]], dtype=object), "text", {"x": 1.0}, np.full((1, 80), np.nan)]
)
def test_coefficients_of_another_kind(tmp_path, value):
    savemat(tmp_path / "a.mat", {"id": value, "pt3d_68": value})
    for read in (read_deep3d, read_aflw2000):
        with pytest.raises(FormatError, match=r"of another kind|no numbers|lacks"):
            read(tmp_path / "a.mat")


def test_displacement_with_a_scale_beyond_all_numbers(tmp_path):
    Image.fromarray(np.full((2, 2), 40000, np.uint16)).save(tmp_path / "a.png")
    for scale, words in (("1e300", "no surface has"), ("9" * 400, "digits"), ("[" * 100_000, "deep")):
        (tmp_path / "a.json").write_text(f'{{"scale": {scale}, "zero": 0}}')
        with pytest.raises(FormatError, match=words):
            read_displacement(tmp_path / "a.png")


def test_pictures_of_more_pixels_than_memory(tmp_path):
    write_displacement(tmp_path / "a.png", np.ones((4, 4)))
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    (tmp_path / "a.png").write_bytes(content)
    for read in (read_displacement, read_exif, lambda path: read_grey16(path, "x")):
        with pytest.raises(FormatError, match=r"a\.png cannot be read"):
            read(tmp_path / "a.png")


def test_landmarks_that_are_no_numbers(tmp_path):
    (tmp_path / "a.pts").write_text("version: 1\nn_points: 1\n{\n1 nan\n}\n")
    with pytest.raises(FormatError, match="line 4"):
        read_pts(tmp_path / "a.pts")
    (tmp_path / "a.txt").write_text("1 inf\n" * 68)
    with pytest.raises(FormatError, match="no number"):
        read_prediction(tmp_path / "a.txt")
    (tmp_path / "a.pp").write_text('<PickedPoints><point x="1" y="inf" z="2"/></PickedPoints>')
    with pytest.raises(FormatError, match="no usable x, y, z"):
        read_picked_points(tmp_path / "a.pp")


@pytest.mark.parametrize("entity", ['<!ENTITY x "y">', '<!ENTITY x SYSTEM "file:///etc/passwd">'])
def test_picked_points_with_entities(tmp_path, entity):
    (tmp_path / "a.pp").write_text(f'<!DOCTYPE a [{entity}]><a><point x="1" y="1" z="1" name="&x;"/></a>')
    with pytest.raises(FormatError, match="declares entities"):
        read_picked_points(tmp_path / "a.pp")


class Call:
    """A pickle that calls `function`."""

    def __init__(self, function, *arguments) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("call", [Call(np.ndarray, (1 << 34,)), Call(np.dtype, "f8"), Call(bytes, 1 << 34)])
def test_a_box_calls_nothing_of_numpys(tmp_path, call):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
    (tmp_path / "a.npy").write_bytes(stream.getvalue() + pickle.dumps({"left": call}, protocol=2))
    with pytest.raises(FormatError):
        read_face_box(tmp_path / "a.npy")


def glb_of(**document) -> bytes:
    text = json.dumps({"asset": {"version": "2.0"}, **document}).encode()
    text += b" " * (-len(text) % 4)
    return (
        struct.pack("<III", 0x46546C67, 2, 20 + len(text)) + struct.pack("<II", len(text), 0x4E4F534A) + text
    )


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"accessors": [{"count": 1 << 40, "componentType": 5126, "type": "VEC3"}]}, "an accessor of"),
        ({"nodes": [{"children": [1]}, {"children": [0]}]}, "within itself"),
        ({"nodes": [{"children": [0]}]}, "within itself"),
    ],
)
def test_a_glb_that_cannot_be(tmp_path, document, words):
    (tmp_path / "a.glb").write_bytes(glb_of(**document))
    with pytest.raises(FormatError, match=words):
        read_glb(tmp_path / "a.glb")


def test_meshes_with_indices_beyond_all_numbers(tmp_path):
    for face in ("9" * 30 + " 1 2", f"1 2 {2**62}", f"1/1 2/1 {'9' * 30}/1"):
        (tmp_path / "a.obj").write_text(f"v 0 0 0\nv 1 0 0\nvt 0 0\nf {face}\n")
        with pytest.raises(FormatError, match=r"a\.obj"):
            read_mesh(tmp_path / "a.obj")
    head = "ply\nformat {} 1.0\nelement vertex 2147483647\nproperty float x\nend_header\n"
    for form in ("ascii", "binary_little_endian"):
        (tmp_path / "a.ply").write_text(head.format(form))
        with pytest.raises(FormatError, match="2147483647 elements"):
            read_mesh(tmp_path / "a.ply")


@pytest.mark.parametrize(
    "line", ["a/b/" + "x" * 300 + ".jpg", "a/b/c\x1b[2J.jpg", "a/\x00/c.jpg", "a/../c.jpg"]
)
def test_a_list_with_names_that_no_file_has(tmp_path, line):
    (tmp_path / "imagepathsvalidation.txt").write_text(line + "\n")
    with pytest.raises(FormatError, match="line 1"):
        read_cases(tmp_path, "validation", need_scans=False)


def test_a_list_that_is_no_text(tmp_path):
    (tmp_path / "imagepathsvalidation.txt").write_bytes(b"\xff\xfea/b/c.jpg")
    with pytest.raises(FormatError, match="is not text"):
        read_cases(tmp_path, "validation", need_scans=False)
    (tmp_path / "train.txt").write_text("0 p " + "f" * 300)
    with pytest.raises(FormatError, match="cannot be"):
        read_split(tmp_path / "train.txt")
    (tmp_path / "truth.csv").write_text("subject,challenge,image\na,,c\n")
    with pytest.raises(FormatError, match="every picture"):
        read_truth(tmp_path)


@pytest.mark.parametrize("key", ["status", "unit_deviation", "views"])
def test_a_prepared_capture_that_is_not_whole(tmp_path, key):
    view = {"name": "a", "file": "../../x.png", "size": [4, 4], "gains": [1, 1, 1], "translation": [0, 0, 1]}
    view |= {"rotation": K, "intrinsics": K, "status": "ok", "reason": "", "focal_source": ""}
    content = {
        "format": "facemill-capture-1",
        "status": "ok",
        "reason": "",
        "unit_mm": None,
        "unit_source": "",
    }
    content |= {"unit_deviation": 0.0, "views": [view]}
    with pytest.raises(FormatError, match="not below the folder"):
        (tmp_path / "a.json").write_text(json.dumps(content))
        read_capture_file(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(
        json.dumps({**content, key: None if key != "views" else [{**view, "size": "x"}]})
    )
    with pytest.raises(FormatError, match=r"a\.json"):
        read_capture_file(tmp_path / "a.json")


@pytest.mark.parametrize("window", [[0, 0, 3], [-1, 0, 3, 4], [15, 0, 3, 4], [np.nan, 0, 3, 4]])
def test_a_window_that_is_none(tmp_path, window):
    maps = {"displacement": np.ones((3, 4), np.float32), "confidence": np.ones((3, 4), np.float32)}
    about = {"format": "facemill-surface-map-1", "status": "ok", "reason": "", "size": 16, "window": window}
    save_arrays(tmp_path / "a.npz", {**about, **maps, "known": np.ones((3, 4), bool)})
    with pytest.raises(FormatError, match=r"a\.npz"):
        read_surface_map(tmp_path / "a.npz")


def test_a_benchmark_of_infinite_seconds(tmp_path):
    (tmp_path / "a.tsv").write_text("s\tmax_rss\tcpu_time\ninf\tnan\t2\n")
    assert read_cost(tmp_path / "a.tsv") == (None, 2.0, None)


def test_licensed_files_with_names_that_no_file_has(tmp_path):
    for name in ("x" * 300, "a\0b"):
        with pytest.raises(LicensedFileError, match="is missing"):
            read_expression_basis(tmp_path / name)
