"""Texture of all views: colours, exposure, outliers, blur, what nobody sees, files."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from facemill.faces.face_texture import prepare_atlas
from facemill.faces.pictures import Surface, draw
from facemill.formats.surface_maps import SurfaceMap, write_no_surface, write_surface_map
from facemill.models.files import save_model
from facemill.multiview.displaced_head import displaced_head
from facemill.multiview.fitted_capture import CaptureScan
from facemill.multiview.head_views import HeadView
from facemill.multiview.map_files import make_uv_maps
from facemill.multiview.map_settings import UvMapSettings
from facemill.multiview.texturing.bands import BandBlender
from facemill.multiview.texturing.blend import blend_texture
from facemill.multiview.texturing.consensus import enlarged, reduced_mean, weighted_median
from facemill.multiview.texturing.files import relocated
from facemill.multiview.texturing.held_out import held_out, psnr
from facemill.multiview.texturing.settings import BlendTextureSettings
from facemill.multiview.texturing.views import pixels_per_texel, read_pyramid
from facemill.rendering.rasterize import interpolate
from facemill.rendering.texture import sample_texture
from facemill.runtime.errors import FormatError
from stand_ins.toy_model import make_toy_model
from unit.multiview.atlas_toys import cut_topology
from unit.multiview.map_toys import head_camera, make_capture

TEXELS = 256
PICTURE = (300, 200)
SETTINGS = BlendTextureSettings(size=TEXELS)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def scene():
    """A toy head with a spotted skin that five cameras photograph."""
    model = make_toy_model()
    atlas = prepare_atlas(model.topology, TEXELS)
    head = displaced_head(model.topology, atlas.raster, model.mean_shape.double().numpy())
    random = np.random.default_rng(2)
    spots = cv2.GaussianBlur(random.standard_normal((TEXELS, TEXELS, 3)), (0, 0), 2.0) * 1.0
    skin = np.clip([0.6, 0.45, 0.35] + spots, 0.05, 0.95)
    views = [photographed(str(yaw), head, skin, yaw) for yaw in (0.0, 20.0, -20.0, 40.0, -40.0)]
    return SimpleNamespace(model=model, atlas=atlas, head=head, skin=skin, views=views)


def photographed(name, head, skin, yaw):
    camera = head_camera(yaw).cropped(torch.diag(torch.tensor([2.0, 2.0, 1.0], dtype=torch.float64)))
    topology = head.topology
    layer = torch.from_numpy(skin)

    def shader(fragments):
        at = interpolate(fragments, fragments.barycentrics, topology.uv.double(), topology.uv_triangles)
        return sample_texture(layer[None], at)[0]

    surface = Surface(torch.from_numpy(head.vertices), topology.triangles)
    return HeadView(name, draw(surface, camera, PICTURE, shader).color.numpy().astype(np.float32), camera)


def blended(scene, views, **changed):
    settings = SETTINGS.model_copy(update=changed)
    return blend_texture(views, scene.head, scene.model.albedo_mean, scene.atlas, settings)


def changed_view(view, picture):
    return HeadView(view.name, np.asarray(picture, dtype=np.float32), view.camera)


def error_of(scene, result, least=250):
    there = result.seen >= least
    return np.abs(result.texture[there] / 255 - scene.skin[there]).mean()


def test_texture_is_that_of_the_skin_and_says_what_nobody_saw(scene):
    result = blended(scene, scene.views)
    assert result.texture.shape == (TEXELS, TEXELS, 3) and result.seen.dtype == np.uint8
    assert (result.seen >= 250).mean() > 0.5 and error_of(scene, result) < 0.02
    one = blended(scene, scene.views[3:4])  # from the right: the left side of the head is unseen
    assert one.seen[60:200, :50].max() == 0 and one.seen[100:160, 150:200].min() > 250
    assert one.texture[60:200, :50].min() > 20  # toned albedo, not black
    assert sum(view.share for view in result.views) == pytest.approx(1, abs=1e-5)


def test_border_of_an_island_is_no_border_of_what_was_seen(scene):
    cut = cut_topology(scene.model.topology)  # in the middle of the face, where every view sees it
    atlas = prepare_atlas(cut, TEXELS)
    head = displaced_head(cut, atlas.raster, scene.head.vertices)
    found = blend_texture(scene.views, head, scene.model.albedo_mean, atlas, SETTINGS)
    inside = atlas.raster.mask.numpy()
    for row in (TEXELS // 3, TEXELS // 2):
        left = np.flatnonzero(~inside[row, TEXELS // 4 :])[0] + TEXELS // 4 - 1
        assert not inside[row, left + 1] and found.seen[row, left - 5 : left + 2].min() > 250


def test_same_input_same_bytes(scene):
    first, second = (blended(scene, scene.views[:3]) for _ in range(2))
    assert np.array_equal(first.texture, second.texture) and np.array_equal(first.seen, second.seen)


def test_other_exposure_is_matched(scene):
    dark = changed_view(scene.views[1], scene.views[1].picture * [0.7, 0.75, 0.8])
    views = [scene.views[0], dark, *scene.views[2:]]
    result = blended(scene, views)
    gains = np.array([view.gains for view in result.views])
    assert np.allclose(gains[1] / gains[0], [1 / 0.7, 1 / 0.75, 1 / 0.8], rtol=0.03)
    ratio = result.texture[result.seen > 250] / 255 / scene.skin[result.seen > 250]
    assert ratio.std() < 0.09  # one brightness all over: no step at the border of the dark view


def test_hand_before_one_view_leaves_no_trace(scene):
    picture = scene.views[0].picture.copy()
    spots = np.random.default_rng(0).random((70, 60, 1))  # as sharp as the skin: only its colour is another
    picture[120:190, 70:130] = np.array([0.15, 0.1, 0.6]) * (0.5 + spots)
    views = [changed_view(scene.views[0], picture), *scene.views[1:]]
    robust, plain = blended(scene, views), blended(scene, views, robust=False, field=0.0)
    plainly = blended(scene, scene.views)
    clear = error_of(scene, plainly)
    assert error_of(scene, robust) - clear < 0.2 * (error_of(scene, plain) - clear)
    assert error_of(scene, plain) > 1.5 * clear
    assert robust.views[0].outliers > plainly.views[0].outliers + 0.05


def test_blurred_view_gives_little(scene):
    blur = changed_view(scene.views[0], cv2.GaussianBlur(scene.views[0].picture, (0, 0), 4.0))
    clear, result = blended(scene, scene.views), blended(scene, [blur, *scene.views[1:]])
    assert result.views[0].sharpness < 0.4 < clear.views[0].sharpness
    assert result.views[0].share < 0.5 * clear.views[0].share
    assert error_of(scene, result) < 0.025


def test_held_out_view_is_shown_well_and_another_face_would_not_be(scene):
    found = held_out(scene.views, "0.0", scene.head, scene.model.albedo_mean, scene.atlas, SETTINGS)
    assert found.psnr > 28 and found.matched_psnr >= found.psnr and found.mask.mean() > 0.1
    shown, seen = found.rendered[found.mask], found.picture[found.mask]
    assert psnr(shown, seen) == pytest.approx(found.psnr, abs=1e-3)
    assert psnr(shown, np.roll(seen, 20, axis=0)) < found.psnr - 5


def test_a_view_must_be_there(scene):
    with pytest.raises(ValueError, match="expected one of"):
        held_out(scene.views, "nobody", scene.head, scene.model.albedo_mean, scene.atlas, SETTINGS)
    with pytest.raises(ValueError, match="at least one"):
        blended(scene, [])


def test_pixels_per_texel_is_the_determinant_even_beside_gaps():
    rows, columns = np.mgrid[:5, :6].astype(float)
    pixels = np.stack([2 * columns + 0.5 * rows, 3 * rows], axis=-1)
    filled = np.ones((5, 6), dtype=bool)
    filled[:, 3] = False
    pixels[~filled] = np.nan
    found = pixels_per_texel(pixels, filled)
    assert np.allclose(found[1:, [1, 2]], 6.0) and not found[:, 3].any()
    assert np.allclose(found[:4, 4], 6.0) and found[4, 0] == 0  # (4, 0): nothing below, nothing left


def test_pyramid_reads_pixels_exactly_and_means_where_texels_are_large():
    picture = np.random.default_rng(0).random((16, 16, 3)).astype(np.float32)
    at = np.array([[3.0, 5.0], [8.0, 2.0]])
    assert np.allclose(read_pyramid(picture, at, np.zeros(2)), picture[[5, 2], [3, 8]], atol=1e-5)
    stripes = np.tile((np.arange(16) % 2)[None, :, None], (16, 1, 3)).astype(np.float32)
    flat = read_pyramid(stripes, np.array([[7.0, 7.0], [8.0, 8.0]]), np.full(2, 2.0))
    assert np.abs(flat - 0.5).max() < 0.1


def test_weighted_median_and_means_by_hand():
    values = np.array([0.1, 0.9, 0.3], dtype=np.float32).reshape(3, 1, 1, 1)
    weights = np.array([1.0, 5.0, 1.0], dtype=np.float32).reshape(3, 1, 1)
    assert weighted_median(values, weights)[0, 0, 0] == pytest.approx(0.9)
    assert weighted_median(values, np.ones_like(weights))[0, 0, 0] == pytest.approx(0.3)
    assert weighted_median(values, np.zeros_like(weights))[0, 0, 0] == 0
    tiles = np.zeros((6, 6), dtype=np.float32)
    tiles[0, 0], tiles[0, 1] = 2.0, 8.0
    known = np.zeros((6, 6), dtype=np.float32)
    known[0, 0], known[0, 1] = 3.0, 1.0
    assert reduced_mean(tiles, known).tolist() == [[3.5, 0], [0, 0]]  # (3 * 2 + 1 * 8) / 4
    assert enlarged(np.full((2, 2), 4.0, dtype=np.float32), 6).shape == (6, 6)


def test_bands_give_one_view_back_and_join_two_without_a_step():
    random = np.random.default_rng(1)
    image = random.random((33, 33, 3)).astype(np.float32)
    weight = random.random((33, 33)).astype(np.float32) + 0.1
    single = BandBlender(33, 3, 1)
    single.add(image, weight, weight)
    assert np.allclose(single.blended(), image, atol=1e-5)
    left = np.zeros((64, 64), dtype=np.float32)
    left[:, :32] = 1
    pair = BandBlender(64, 4, 1)
    for value, weight in ((0.2, left), (0.8, 1 - left)):
        pair.add(np.full((64, 64, 3), value, dtype=np.float32), weight + 1e-6, weight + 1e-6)
    row = pair.blended()[32, :, 0]
    assert np.abs(np.diff(row)).max() < 0.1 and row[0] < 0.25 and row[-1] > 0.75


def test_relocated_frame_begins_and_ends_where_the_original_does():
    ramp = np.zeros((2048, 2048, 3), dtype=np.uint8)
    ramp[..., 0] = np.arange(2048)[None] // 8
    ramp[..., 1] = np.arange(2048)[:, None] // 8
    frame = relocated(ramp).astype(float)
    # 2048 texels: FaceScape's window begins at column 512 and row 284 and is 1024 wide: a texel is a texel.
    assert frame.shape == (1024, 1024, 3)
    assert frame[0, 0, 0] == pytest.approx((512 + 38) / 8, abs=1) == frame[900, 0, 0]
    assert frame[0, 0, 1] == pytest.approx((284 + 12) / 8, abs=1)
    assert frame[1023, 1023, 0] == pytest.approx((512 + 987) / 8, abs=1)
    assert frame[1023, 1023, 1] == pytest.approx((284 + 961) / 8, abs=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A capture with maps, a surface 1 mm outside its base mesh, and a model file."""
    folder = tmp_path_factory.mktemp("capture")
    toy = make_capture(folder)
    for name in ("toy", "lost"):
        make_uv_maps(
            toy.read(name),
            toy.model.topology,
            CaptureScan(None),
            UvMapSettings(size=256),
            "toy",
            folder / f"{name}.npz",
            folder / f"{name}.png",
        )
    with np.load(folder / "toy.npz") as maps:
        face = maps["face"]
    flat = np.ones(face.shape, dtype=np.float32)
    write_surface_map(folder / "surface.npz", SurfaceMap(256, (0, 0, 256, 256), flat, flat, face))
    write_no_surface(folder / "none.npz", "no_face", "no view shows a face")
    save_model(folder / "model.npz", toy.model)
    return folder


def run_script(files, name, surface, output, **settings):
    capture, arrays, report = (files / part for part in ("capture.json", "person.npz", "person.json"))
    snakemake = SimpleNamespace(
        input=SimpleNamespace(
            capture=capture,
            views=files / "views",
            arrays=arrays,
            report=report,
            model=files / "model.npz",
            maps=files / f"{name}.npz",
            regularized=files / surface,
        ),
        output=SimpleNamespace(
            texture=output / "texture.png",
            seen=output / "texture_seen.png",
            views_table=output / "blend_texture" / "views.csv",
        ),
        params=SimpleNamespace(settings={"size": 128} | settings, model_name="toy"),
        wildcards=SimpleNamespace(capture=name),
        threads=1,
        log=[str(output / "log")],
    )
    runpy.run_path(str(ROOT / "scripts" / "blend_texture.py"), init_globals={"snakemake": snakemake})
    return pd.read_csv(output / "blend_texture" / "views.csv", keep_default_na=False)


def test_files_of_a_capture(files, tmp_path):
    table = run_script(files, "toy", "surface.npz", tmp_path)
    assert table["view"].astype(str).tolist() == ["0", "1", "2", "blurred"]
    assert table["status"].tolist() == ["ok", "ok", "ok", "unreadable"] and table["share"].tolist()[3] == ""
    with Image.open(tmp_path / "texture.png") as texture, Image.open(tmp_path / "texture_seen.png") as seen:
        assert texture.size == seen.size == (128, 128) and texture.mode == "RGB" and seen.mode == "L"
        assert np.array(seen)[40:80, 40:88].min() > 200


def test_a_capture_without_a_mesh_or_a_surface_gets_files_that_say_why(files, tmp_path):
    for name, surface in (("lost", "none.npz"), ("toy", "none.npz")):
        table = run_script(files, name, surface, tmp_path / name)
        assert table["status"].tolist() == ["no_face"] * 3 + ["unreadable"]
        assert (tmp_path / name / "texture.png").exists() and (tmp_path / name / "texture_seen.png").exists()


def test_relocated_frame_is_refused_for_other_models(files, tmp_path):
    with pytest.raises(FormatError, match="facescape"):
        run_script(files, "toy", "surface.npz", tmp_path, relocated=True)
