"""Packing for the detail network: what the picture shows arrives at the right texels."""

import numpy as np
import pytest
import torch
from PIL import Image

from facemill.detail.training.batches import PackedFaces, batch_from, collate, decode_scale, encode_scale
from facemill.detail.training.packing import PictureFolders, pack_detail, read_displacement_picture
from facemill.runtime.errors import FormatError, PhotoError
from facemill.runtime.storage import DamagedFileError
from unit.detail.face_folder import make_faces, projected, truth_at

NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def faces(tmp_path_factory, head_model):
    return make_faces(tmp_path_factory.mktemp("faces"), head_model, NAMES)


def folders(faces, with_truth=True):
    place = faces.place
    truth = place / "displacement" if with_truth else None
    return PictureFolders(place / "crops", place / "masks", faces.originals, truth)


@pytest.fixture(scope="module")
def packed(faces, head_model, small_atlas, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    table = pack_detail(faces.table, faces.arrays, head_model, small_atlas, folders(faces), folder, True)
    return folder, table


def test_the_displacement_is_that_of_the_pixel_that_shows_the_texel(packed, faces, head_model, small_atlas):
    folder, _ = packed
    batch = batch_from(collate([PackedFaces([folder])[1]]), torch.device("cpu"))
    row = {name: faces.arrays[name][1] for name in ("rotation", "translation")}
    shape = head_model.shape(
        torch.from_numpy(faces.arrays["identity"][1:2]), torch.from_numpy(faces.arrays["expression"][1:2])
    )
    positions = small_atlas.smooth_positions(shape[0])
    known = batch.known[0]
    pixels = projected(positions[known].double().numpy(), row)
    assert int(known.sum()) > 5000
    found = batch.target[0][known].double().numpy()
    assert np.abs(found - truth_at(pixels)).max() < 2e-4  # steps of 1e-4 mm, and float32 positions
    assert pixels[:, 1].min() > 148.9  # the picture knows nothing above row 150


def test_what_is_seen_is_packed(packed, small_atlas):
    folder, table = packed
    assert table["status"].tolist() == ["ok"] * 3
    faces = PackedFaces([folder])
    assert len(faces) == 3 and faces.photo(2) == "c" and faces.labelled().all()
    assert faces.window == (256, *small_atlas.window)
    batch = batch_from(collate([faces[n] for n in range(3)]), torch.device("cpu"))
    inside = small_atlas.mask > 0
    assert float(batch.weight[:, inside].mean()) > 0.2
    assert float(batch.weight[:, ~inside].max()) == 0
    shares = (batch.weight[:, inside] > 0).float().mean(dim=1)
    assert table["seen_share"].tolist() == pytest.approx(shares.tolist(), abs=0.01)
    known = batch.known[:, inside].float().mean(dim=1)
    assert table["known_share"].tolist() == pytest.approx(known.tolist(), abs=0.01)
    scale = batch.scale[batch.weight > 0]
    assert float(scale.mean()) == pytest.approx(np.log2(1.7 * 1015 / 1000), abs=0.1)
    assert float(batch.crops.mean()) == pytest.approx(128 / 255) and float(batch.attention.min()) == 1
    assert batch.coefficients.identity.shape[0] == 3 and batch.camera_distance.tolist() == [1000] * 3


def test_equal_input_gives_equal_bytes(packed, faces, head_model, small_atlas, tmp_path):
    pack_detail(faces.table, faces.arrays, head_model, small_atlas, folders(faces), tmp_path, True)
    for path in packed[0].glob("*.npy"):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_photos_have_no_labels(faces, head_model, small_atlas, tmp_path):
    table = pack_detail(
        faces.table, faces.arrays, head_model, small_atlas, folders(faces, False), tmp_path, True
    )
    found = PackedFaces([tmp_path])
    assert not found.labelled().any() and (found[0]["target"] == -32768).all()
    assert table["known_share"].tolist() == [0, 0, 0]


def test_a_photo_that_cannot_be_used_becomes_a_row(faces, head_model, small_atlas, tmp_path):
    """One has no truth, one was given up before: the others are packed whole. A damaged mask ends the job."""
    other = make_faces(tmp_path / "faces", head_model, ["p", "q", "r", "s", "t"])
    (other.place / "displacement" / "r.png").unlink()
    table = other.table.copy()
    table.loc[4, ["status", "reason"]] = ["fit_failed", "landmarks"]
    (tmp_path / "packed").mkdir()
    found = pack_detail(table, other.arrays, head_model, small_atlas, folders(other), tmp_path / "packed")
    assert found["status"].tolist() == ["ok", "ok", "no_displacement", "ok", "fit_failed"]
    assert found["reason"][4] == "landmarks"
    packed = PackedFaces([tmp_path / "packed"])
    assert [packed.photo(n) for n in range(len(packed))] == ["p", "q", "s"]
    (other.place / "masks" / "s.png").write_bytes(b"no picture")
    with pytest.raises(DamagedFileError, match=r"s\.png cannot be read"):
        pack_detail(table, other.arrays, head_model, small_atlas, folders(other), tmp_path / "packed")


def test_an_empty_shard_is_packed(faces, head_model, small_atlas, tmp_path):
    found = pack_detail(faces.table[:0], faces.arrays, head_model, small_atlas, folders(faces), tmp_path)
    assert len(found) == 0 and {"seen_share", "known_share"} <= set(found)
    assert len(PackedFaces([tmp_path])) == 0


def test_results_that_do_not_belong_together_are_named(faces, head_model, small_atlas, tmp_path):
    def pack(arrays):
        return pack_detail(faces.table, arrays, head_model, small_atlas, folders(faces), tmp_path)

    with pytest.raises(FormatError, match="lack 1 photos of its table, first b"):
        pack({name: value[[0, 2]] for name, value in faces.arrays.items()})
    with pytest.raises(FormatError, match="lack lighting"):
        pack({name: value for name, value in faces.arrays.items() if name != "lighting"})
    with pytest.raises(FormatError, match="another morphable model"):
        pack({**faces.arrays, "identity": faces.arrays["identity"][:, :-1]})


def test_displacement_pictures_that_are_none_are_named(tmp_path):
    with pytest.raises(PhotoError, match="no_displacement"):
        read_displacement_picture(tmp_path / "x.png")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "y.png")
    with pytest.raises(FormatError, match="16-bit"):
        read_displacement_picture(tmp_path / "y.png")
    Image.fromarray(np.array([[0, 32768, 42768]], np.uint16)).save(tmp_path / "z.png")
    assert read_displacement_picture(tmp_path / "z.png")[0] == pytest.approx([np.nan, 0, 1], nan_ok=True)


def test_scales_are_kept_to_a_fiftieth():
    given = torch.tensor([0.0, 0.1, 1.0, 2.7, 11.0, 1000.0])
    found = decode_scale(encode_scale(given))
    assert found[0] == 0
    assert torch.allclose(2 ** found[1:5], given[1:5], rtol=0.02)
    assert found[5] == pytest.approx(127 / 32)
