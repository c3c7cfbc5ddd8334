"""Acceptance of blend_texture: a view that the texture was made without, shown from its own camera."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facemill.faces.face_texture import prepare_atlas
from facemill.formats.base_meshes import BaseMesh, write_base_meshes
from facemill.formats.captures import read_capture_file, write_capture
from facemill.models.head import expand, read_compact_head
from facemill.multiview.capture_plan import expand_entry
from facemill.multiview.capture_settings import CaptureEntry, PrepareCaptureSettings
from facemill.multiview.displaced_head import displaced_head
from facemill.multiview.fitted_capture import read_fitted
from facemill.multiview.head_views import read_head_views
from facemill.multiview.prepare import Readers, prepare_capture
from facemill.multiview.texturing.held_out import held_out
from facemill.multiview.texturing.settings import BlendTextureSettings
from facemill.photos.reading import read_photo
from facemill.photos.settings import IMAGE_SUFFIXES
from facemill.synthesis.captures import synthesize_captures
from facemill.synthesis.identities import Population
from facemill.synthesis.settings import CaptureTask

MODELS = Path(__file__).resolve().parents[3] / "resources" / "models"
TEXELS = 512


@pytest.mark.slow
def test_held_out_view_of_a_hard_capture_is_shown_to_thirty_decibels(tmp_path):
    population = Population(None, MODELS / "head.npz", 0, MODELS / "anthropometry.csv")
    task = CaptureTask(difficulty="hard", level=0, views=8, width=432, height=648)
    folders = {name: tmp_path / name for name in ("images", "meshes", "truth")}
    synthesize_captures(population, population.person(30), task, *folders.values())
    entry = CaptureEntry(folder=str(folders["images"] / "1_neutral"), unit_mm=1.0)
    planned = replace(expand_entry("one", entry, IMAGE_SUFFIXES)[0], select=tuple(range(8)))
    prepared = prepare_capture(
        planned,
        Readers(read_photo, IMAGE_SUFFIXES),
        PrepareCaptureSettings(longer_side=648),
        views_folder=tmp_path / "views",
        calibrated=(),
    )
    write_capture(tmp_path / "capture.json", prepared)
    assert read_capture_file(tmp_path / "capture.json").status == "ok"
    with np.load(next(folders["truth"].rglob("truth.npz"))) as truth:
        compact = read_compact_head(MODELS / "head.npz")
        model = expand(replace(compact, mean_shape=truth["base_shape"]))
        turn, shift = truth["world_from_head_rotation"], truth["world_from_head_translation"]
    shape = model.mean_shape.double().numpy()
    nothing = np.zeros_like(shape)
    mesh = BaseMesh(
        "one", np.zeros(0), np.zeros(0), 1.0, turn, shift, nothing, shape @ turn.T + shift, nothing[:, 0]
    )
    told = {"one": {"status": "ok", "reason": ""}}
    write_base_meshes(tmp_path / "fit.npz", tmp_path / "fit.json", "person", [mesh], told)
    fitted = read_fitted("one", tmp_path / "capture.json", tmp_path / "fit.npz", tmp_path / "fit.json", model)
    atlas = prepare_atlas(model.topology, TEXELS)
    head = displaced_head(model.topology, atlas.raster, fitted.head)
    views = read_head_views(fitted)
    settings = BlendTextureSettings(size=TEXELS)
    for name in ("0", "1"):  # the two that are nearest to the front
        found = held_out(views, name, head, model.albedo_mean, atlas, settings)
        assert found.psnr >= 30 and found.mask.mean() > 0.2
