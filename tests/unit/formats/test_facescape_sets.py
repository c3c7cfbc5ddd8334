"""FaceScape's ids, selected views and scales: what the files say, and every way to be wrong."""

import json

import pytest

from facemill.formats.facescape_sets import CaptureId, read_ids, read_scales, read_selection
from facemill.runtime.errors import FormatError

RT = [[0.0, 1.0, 0.0, 3.0], [0.0, 0.0, 1.0, -4.0], [1.0, 0.0, 0.0, 900.0]]


def written(tmp_path, value):
    path = tmp_path / "file.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_ids_have_zeros_and_keys_have_none(tmp_path):
    found = read_ids(written(tmp_path, {"train": ["001_02", "122_20"], "eval": []}))
    assert found == {"train": {CaptureId(1, 2), CaptureId(122, 20)}, "eval": frozenset()}
    assert read_selection(written(tmp_path, {"122": {"20": [5, 0]}})) == {CaptureId(122, 20): (5, 0)}


def test_a_scale_is_millimetres_per_unit_with_a_pose(tmp_path):
    (scale,) = read_scales(written(tmp_path, {"1": {"3": [98.5, RT]}})).values()
    assert scale.millimetres == 98.5
    assert scale.canonical_from_world == ((0, 1, 0, 3), (0, 0, 1, -4), (1, 0, 0, 900))


@pytest.mark.parametrize(
    ("read", "value", "words"),
    [
        (read_ids, "[", "cannot be read as JSON"),
        (read_ids, [], "a JSON object"),
        (read_ids, {"train": ["1-2"]}, "1-2"),
        (read_ids, {"train": "001_01"}, "a list of names"),
        (read_selection, {"1": {"1": []}}, "a list of view numbers"),
        (read_selection, {"1": {"1": [0.5]}}, "a list of view numbers"),
        (read_selection, {"1": [0]}, "an object by expression"),
        (read_selection, {"ann": {"1": [0]}}, "numbers of people"),
        (read_scales, {"1": {"1": [0.0, RT]}}, "scale 0"),
        (read_scales, {"1": {"1": [2.0, RT[:2]]}}, "3x4"),
        (read_scales, {"1": {"1": 2.0}}, "3x4"),
        (read_scales, '{"1": {"1": [NaN, [[0,0,0,0],[0,0,0,0],[0,0,0,0]]]}}', "3x4"),
    ],
)
def test_other_files_are_refused_with_what_was_expected(tmp_path, read, value, words):
    with pytest.raises(FormatError) as caught:
        read(written(tmp_path, value))
    assert words in str(caught.value) and "file.json" in str(caught.value)
