"""The objective of the detail network: what it sees, what it asks for, what it forgives."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from facemill.detail.coarse_maps import coarse_maps, light_response
from facemill.detail.inputs import network_inputs
from facemill.detail.networks.spec import INPUT_CHANNELS
from facemill.detail.surface import displaced_normals, displaced_positions
from facemill.detail.training.augmentation import (
    Augmentation,
    degrade,
    draw_augmentation,
    hidden_texels,
    mirror_of,
)
from facemill.detail.training.batches import DetailBatch, PackedFaces, batch_from, collate
from facemill.detail.training.objective import DetailObjective
from facemill.detail.training.published_objective import PublishedObjective
from facemill.detail.training_settings import DetailAugmentationSettings, TrainDetailSettings
from facemill.faces.crop_camera import cameras_of_heads
from facemill.faces.decode import mean_face
from facemill.geometry.camera import deep3d_crop_camera
from facemill.rendering.lighting import irradiance
from facemill.rendering.render import render
from unit.detail.detail_toys import toy_coefficients, toy_relief, write_toy_shard

CPU = torch.device("cpu")
NOTHING = DetailAugmentationSettings(gain=0, flip=0, degraded=0, erased=0)


@pytest.fixture(scope="module")
def shard(tmp_path_factory, head_model, small_atlas):
    folder = tmp_path_factory.mktemp("shards") / "0000"
    return folder, write_toy_shard(folder, head_model, small_atlas, 2)


@pytest.fixture(scope="module")
def photos(tmp_path_factory, head_model, small_atlas):
    folder = tmp_path_factory.mktemp("photos") / "0000"
    write_toy_shard(folder, head_model, small_atlas, 2, labelled=False)
    return folder


def batch_of(folder):
    faces = PackedFaces([folder])
    return batch_from(collate([faces[0], faces[1]]), CPU)


def output_of(displacement, log_scale=-2.0):
    return torch.stack((displacement, torch.full_like(displacement, log_scale)), dim=1)


def test_light_response_is_the_change_of_brightness(head_model, small_atlas):
    """Against the operator that displaces: a ramp along the columns, then one along the rows."""
    maps = coarse_maps(head_model, small_atlas, toy_coefficients(head_model, 1))
    response = light_response(maps, small_atlas.texel)
    inside = small_atlas.mask > 0.9
    height, width = inside.shape
    grey = torch.tensor([0.299, 0.587, 0.114])
    before = irradiance(maps.posed(maps.normals), maps.lighting) @ grey
    ramps = (torch.arange(width).expand(height, width), torch.arange(height)[:, None].expand(height, width))
    for channel, ramp in enumerate(ramps):
        slope = 1e-3
        relief = slope * (ramp - ramp.float().mean())[None]
        after = irradiance(maps.posed(displaced_normals(relief, maps.positions, maps.normals)), maps.lighting)
        change = (after @ grey / before - 1) * small_atlas.texel / slope
        expected, found = change[0, inside], response[0, inside, channel]
        assert np.corrcoef(expected, found)[0, 1] > 0.999
        assert float((expected - found).abs().mean()) < 0.02 * float(expected.abs().mean())


def test_what_is_not_seen_looks_like_the_coarse_face(head_model, small_atlas, shard):
    batch = batch_of(shard[0])
    maps = coarse_maps(head_model, small_atlas, batch.coefficients)
    weight = batch.weight.clone()
    weight[:, 40:60] = 0
    inputs = network_inputs(maps, batch.colours, weight, batch.scale, small_atlas.mask, small_atlas.texel)
    assert inputs.shape[1] == INPUT_CHANNELS and bool(torch.isfinite(inputs).all())
    assert float(inputs[:, :3, 40:60].abs().max()) == 0
    assert float(inputs[:, 9:11, 40:60].abs().max()) == 0
    assert float(inputs[:, :3].abs().max()) > 0.01
    assert float(inputs[:, :, small_atlas.mask == 0].abs().max()) == 0


def test_the_slope_channel_finds_the_relief(head_model, small_atlas, shard):
    folder, relief = shard
    batch = batch_of(folder)
    maps = coarse_maps(head_model, small_atlas, batch.coefficients)
    inputs = network_inputs(
        maps, batch.colours, batch.weight, batch.scale, small_atlas.mask, small_atlas.texel
    )
    inside = (small_atlas.mask > 0.9) & (batch.weight > 0)
    response, slope = inputs[:, 11:13], inputs[:, 13:15]
    true = torch.stack([torch.gradient(relief, dim=axis)[0] for axis in (2, 1)], dim=1) / small_atlas.texel
    seen, asked = (response * slope).sum(1)[inside], (response * true).sum(1)[inside]
    assert np.corrcoef(seen, asked)[0, 1] > 0.9


def test_the_truth_costs_least(head_model, small_atlas, shard):
    folder, relief = shard
    batch = batch_of(folder)
    settings = TrainDetailSettings(supervised={"finer_than": 0})
    objective = DetailObjective(head_model, small_atlas, settings, None)
    maps = coarse_maps(head_model, small_atlas, batch.coefficients)
    true = objective.loss(output_of(relief), maps, batch)
    assert float(true.terms["displacement"]) < 1e-4 and float(true.terms["normals"]) < 1e-4
    flat = objective.loss(output_of(0 * relief), maps, batch)
    wrong = objective.loss(output_of(-relief), maps, batch)
    assert float(true.loss) < float(flat.loss) < float(wrong.loss)


def test_what_is_too_smooth_to_be_seen_is_not_asked_for(head_model, small_atlas, shard):
    """A bump of centimetres goes, ripples of millimetres stay, and what is unknown is not mixed in."""
    height, width = small_atlas.mask.shape
    rows = torch.arange(height)[:, None] * small_atlas.texel
    bump = 0.3 * torch.exp(-0.5 * ((rows - rows.mean()) / 25) ** 2).expand(2, height, width)
    ripples = 0.1 * torch.sin(2 * torch.pi * rows / 6).expand(2, height, width)
    batch = batch_of(shard[0])
    known = torch.ones_like(batch.known)
    known[:, :, :90] = False
    batch = replace(batch, target=torch.where(known, bump + ripples + 5, 0.0), known=known)
    objective = DetailObjective(head_model, small_atlas, TrainDetailSettings(), None)
    found = objective.target(batch)
    inside = (small_atlas.mask > 0.999) & known[0]
    assert float((found - ripples)[:, inside].abs().max()) < 0.035
    assert not found[:, :, :90].any()


def test_photos_without_labels_are_judged_by_their_shading(head_model, small_atlas, shard, photos):
    batch = batch_of(photos)
    assert not batch.labelled.any() and not batch.known.any()
    settings = TrainDetailSettings(unsupervised={"magnitude": 0, "variation": 0})
    objective = DetailObjective(head_model, small_atlas, settings, None)
    maps = coarse_maps(head_model, small_atlas, batch.coefficients)
    found = [float(objective.loss(output_of(share * shard[1]), maps, batch).loss) for share in (0, 1, -1)]
    assert found[1] < 0.5 * found[0] < 0.5 * found[2]
    assert set(objective.loss(output_of(shard[1]), maps, batch).terms) == {
        "shading",
        "magnitude",
        "variation",
    }


def test_a_mixed_batch_is_the_mean_of_its_photos(head_model, small_atlas, shard, photos):
    objective = DetailObjective(head_model, small_atlas, TrainDetailSettings(), None)
    folders = [PackedFaces([shard[0]])[0], PackedFaces([photos])[1]]
    relief = toy_relief(small_atlas, 2, seed=9)
    losses = []
    for rows in ([0, 1], [0], [1]):
        batch = batch_from(collate([folders[row] for row in rows]), CPU)
        maps = coarse_maps(head_model, small_atlas, batch.coefficients)
        losses.append(float(objective.loss(output_of(relief[rows]), maps, batch).loss))
    assert losses[0] == pytest.approx((losses[1] + losses[2]) / 2, rel=1e-4)


def test_the_published_objective_has_all_terms_and_gradients(head_model, small_atlas, shard):
    settings = TrainDetailSettings(objective="published")
    batch = batch_of(shard[0])
    objective = DetailObjective(head_model, small_atlas, settings, None)
    maps = coarse_maps(head_model, small_atlas, batch.coefficients)
    output = output_of(0.1 * shard[1]).requires_grad_()
    found = objective.loss(output, maps, batch)
    assert set(found.terms) == {
        "photometric", "magnitude", "off_limits", "normals", "position_roughness", "normal_roughness",
        "triangle_roughness", "variation",
    }  # fmt: skip
    found.loss.backward()
    assert bool(torch.isfinite(output.grad).all()) and float(output.grad[:, 0].abs().max()) > 0
    flat = objective.loss(output_of(torch.zeros_like(shard[1])), maps, batch)
    for name in ("magnitude", "off_limits", "normals", "variation"):
        assert float(flat.terms[name]) == pytest.approx(0, abs=1e-6)


def test_the_published_render_is_that_of_the_fine_surface(head_model, small_atlas):
    """A crop drawn from the fine surface itself leaves no photometric distance; a flat one does."""
    coefficients = toy_coefficients(head_model, 1)
    maps = coarse_maps(head_model, small_atlas, coefficients)
    relief = toy_relief(small_atlas, 1)
    published = PublishedObjective(small_atlas, TrainDetailSettings().published)
    batch = make_batch(coefficients, small_atlas)
    drawn = render_crop(published, relief, maps, batch)
    assert float((drawn.sum(-1) > 0).float().mean()) > 0.2
    batch = replace(batch, crops=drawn)
    right = published(relief, relief, maps, batch)["photometric"][1]
    flat = published(0 * relief, 0 * relief, maps, batch)["photometric"][1]
    assert float(right) < 0.1 and float(flat) > 5 * float(right)


def make_batch(coefficients, atlas):
    height, width = atlas.mask.shape
    zero = torch.zeros(1, height, width)
    return DetailBatch(
        torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.bool), torch.zeros(1, height, width, 3),
        zero + 1, zero, zero, zero > 1, coefficients, torch.full((1,), 1000.0), torch.zeros(1, 224, 224, 3),
        torch.ones(1, 224, 224),
    )  # fmt: skip


def render_crop(published, relief, maps, batch):
    """What `PublishedObjective` compares with the crop, drawn by the general renderer."""
    fine = displaced_positions(relief, maps.positions, maps.normals).flatten(1, 2)[:, published.texels]
    normals = published.vertex_normals(fine) @ maps.rotation.mT
    albedo = maps.albedo.flatten(1, 2)[:, published.texels]
    camera = cameras_of_heads(deep3d_crop_camera(), batch.coefficients)
    return render(
        fine, published.triangles, albedo, camera, (224, 224), batch.coefficients.lighting, normals
    ).image


def test_a_mirrored_face_comes_back(head_model, small_atlas, shard):
    mirror = mirror_of(small_atlas, mean_face(head_model))
    assert mirror is not None
    batch = batch_of(shard[0])
    objective = DetailObjective(head_model, small_atlas, TrainDetailSettings(), mirror)
    inputs = objective.scene(batch).inputs
    flip = torch.tensor([True, False])
    shown = {}

    def network(given):
        shown["inputs"] = given
        return given[:, 3:5]

    found = objective.output(network, inputs, flip)
    assert torch.equal(shown["inputs"][1], inputs[1])
    assert not torch.equal(shown["inputs"][0], inputs[0])
    inside = small_atlas.mask > 0
    assert torch.allclose(found[:, :, inside], inputs[:, 3:5][:, :, inside])
    # The light of a mirrored face comes from the other side: the maps are those of a mirrored head.
    normals = shown["inputs"][0, 6]
    left, right = normals[:, : normals.shape[1] // 2], normals[:, normals.shape[1] // 2 :]
    assert float(left.mean()) < 0 < float(right.mean())


def test_an_atlas_without_symmetry_is_not_mirrored(head_model, small_atlas):
    shape = mean_face(head_model).clone()
    shape[:, 0] += 0.1 * shape[:, 1]
    assert mirror_of(small_atlas, shape) is None


def test_augmentation_is_drawn_from_its_seed_alone():
    settings = DetailAugmentationSettings()
    many = draw_augmentation(list(range(200)), settings)
    one = draw_augmentation([7], settings)
    for name in Augmentation.__dataclass_fields__:
        assert torch.equal(getattr(many, name)[7:8], getattr(one, name))
    assert 0.4 < float(many.flip.float().mean()) < 0.6
    degraded = (many.blur > 0) | (many.noise > 0) | (many.blocks > 0)
    assert 0.25 < float(degraded.float().mean()) < 0.55
    assert float(many.blur.max()) <= settings.blur and float(many.noise.max()) <= settings.noise
    nothing = draw_augmentation(list(range(50)), NOTHING)
    assert not nothing.flip.any() and float(nothing.hidden[:, 2:].abs().max()) == 0
    assert float((nothing.gain - 1).abs().max()) == 0 and float(nothing.blur.max()) == 0


def drawn(**changes):
    nothing = draw_augmentation([0], NOTHING)
    return Augmentation(**{**vars(nothing), **{n: torch.tensor([v]) for n, v in changes.items()}})


def test_degrading_loses_what_it_says():
    rows = torch.arange(32)
    stripes = (0.5 + 0.02 * torch.where(rows % 2 == 0, 1.0, -1.0))[None, :, None, None].expand(1, 32, 32, 3)
    weight = torch.ones(1, 32, 32)
    assert torch.equal(degrade(stripes, weight, drawn()), stripes)
    blurred = degrade(stripes, weight, drawn(blur=2.0))
    assert float((blurred - 0.5).abs()[:, 8:24].max()) < 1e-3
    blocky = degrade(stripes, weight, drawn(blocks=0.03))
    assert float((blocky - 0.5).abs().max()) < 1e-6
    noisy = degrade(stripes, weight, drawn(noise=0.05))
    assert float((noisy - stripes).std()) == pytest.approx(0.05, rel=0.05)
    assert torch.equal(noisy, degrade(stripes, weight, drawn(noise=0.05)))
    assert torch.equal(degrade(stripes, weight, drawn(gain=(1.1, 1.1, 1.1))), 1.1 * stripes)


def test_blur_does_not_bring_in_what_is_not_seen():
    colours = torch.full((1, 16, 16, 3), 0.6)
    weight = torch.ones(1, 16, 16)
    weight[:, :, 8:] = 0
    colours[:, :, 8:] = 0
    assert torch.allclose(degrade(colours, weight, drawn(blur=3.0)), colours, atol=1e-5)


def test_an_ellipse_is_hidden():
    found = hidden_texels(drawn(hidden=(0.5, 0.25, 0.2, 0.1)), 101, 201, CPU)[0]
    assert bool(found[50, 50]) and not bool(found[50, 75]) and not bool(found[75, 50])
    assert float(found.float().mean()) == pytest.approx(np.pi * 0.2 * 0.1, rel=0.05)
    assert not hidden_texels(drawn(), 101, 201, CPU).any()
