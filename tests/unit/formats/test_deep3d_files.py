"""Deep3D's files: units, layout and the direction of y."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.io import loadmat, savemat

from facemill.formats.deep3d import (
    Deep3DCoefficients,
    coefficients_from_vector,
    flip_rows,
    read_deep3d,
    vector_of_coefficients,
    write_deep3d,
)
from facemill.runtime.errors import FormatError


def face(identity: int = 80, expression: int = 64, albedo: int = 80) -> Deep3DCoefficients:
    draw = np.random.default_rng(3).normal
    return Deep3DCoefficients(
        draw(size=identity),
        draw(size=expression),
        draw(size=albedo),
        np.array([0.1, -0.2, 0.3]),
        draw(size=27),
        np.array([12.0, -34.0, 56.0]),
        draw(112, 40, size=(68, 2)),
    )


def test_file_has_the_layout_of_the_pytorch_program(tmp_path):
    write_deep3d(tmp_path / "a.mat", face())
    content = loadmat(tmp_path / "a.mat")
    shapes = {key: value.shape for key, value in content.items() if key[:2] != "__"}
    assert shapes == {
        "id": (1, 80), "exp": (1, 64), "tex": (1, 80), "angle": (1, 3), "gamma": (1, 27), "trans": (1, 3),
        "lm68": (1, 68, 2),
    }  # fmt: skip
    assert_allclose(content["trans"], [[0.12, -0.34, 0.56]], rtol=1e-6)  # decimetres
    assert_allclose(content["lm68"][0], face().landmarks68, rtol=1e-6)  # y down, unchanged


def test_reading_gives_back_what_was_written(tmp_path):
    coefficients = face(identity=5, expression=4, albedo=3)
    write_deep3d(tmp_path / "a.mat", coefficients)
    back = read_deep3d(tmp_path / "a.mat")
    for name in ("identity", "expression", "albedo", "rotation", "lighting", "translation", "landmarks68"):
        assert_allclose(getattr(back, name), getattr(coefficients, name), rtol=1e-6, err_msg=name)


def test_equal_coefficients_give_equal_bytes(tmp_path):
    for name in ("a.mat", "b.mat"):
        write_deep3d(tmp_path / name, face())
    assert (tmp_path / "a.mat").read_bytes() == (tmp_path / "b.mat").read_bytes()
    assert b"written by Facemill" in (tmp_path / "a.mat").read_bytes()[:116]


def test_the_vector_has_the_order_of_both_programs():
    vector = vector_of_coefficients(face())
    assert vector.shape == (257,)
    assert_allclose(vector[80:144], face().expression)
    assert_allclose(vector[144:224], face().albedo)
    assert_allclose(vector[224:227], [0.1, -0.2, 0.3])
    assert_allclose(vector[254:], [0.12, -0.34, 0.56])
    assert_allclose(coefficients_from_vector(vector).lighting, face().lighting)


def test_file_of_the_tensorflow_program_is_read_with_y_turned_over(tmp_path):
    upward = np.stack([np.arange(68.0), np.full(68, 200.0)], axis=1)
    upward[5, 1] = 3.0
    savemat(tmp_path / "tf.mat", {"coeff": vector_of_coefficients(face())[None], "lm_68p": upward})
    coefficients = read_deep3d(tmp_path / "tf.mat")
    assert_allclose(coefficients.translation, [12.0, -34.0, 56.0])
    assert coefficients.landmarks68 is not None
    assert_allclose(coefficients.landmarks68[5], [5.0, 220.0])
    assert_allclose(coefficients.landmarks68[6], [6.0, 23.0])


def test_flipping_twice_changes_nothing_and_leaves_the_input_alone():
    points = np.array([[1.0, 2.0], [3.0, 250.5]])
    assert_allclose(flip_rows(flip_rows(points, 224), 224), points)
    assert points[0, 1] == 2.0


def test_other_counts_have_no_vector():
    with pytest.raises(ValueError, match="identity: the 257-vector holds 80 numbers"):
        vector_of_coefficients(face(identity=79))
    with pytest.raises(ValueError, match="expected 257 numbers, found 256"):
        coefficients_from_vector(np.zeros(256))


def test_wrong_shapes_name_the_field():
    with pytest.raises(ValueError, match=r"lighting: expected shape \(27,\), found \(9,\)"):
        replace(face(), lighting=np.zeros(9))
    with pytest.raises(ValueError, match=r"landmarks68: expected shape \(68, 2\)"):
        replace(face(), landmarks68=np.zeros((5, 2)))


def test_files_that_are_something_else_say_so(tmp_path):
    with pytest.raises(FormatError, match="is missing"):
        read_deep3d(tmp_path / "no.mat")
    (tmp_path / "page.mat").write_text("<html>not found</html>" * 20)
    with pytest.raises(FormatError, match=r"is not coefficients"):
        read_deep3d(tmp_path / "page.mat")
    savemat(tmp_path / "model.mat", {"meanshape": np.zeros(3)})
    with pytest.raises(FormatError, match=r"lacks id, exp.*\n.*\n  found     meanshape"):
        read_deep3d(tmp_path / "model.mat")
    savemat(tmp_path / "two.mat", {"coeff": np.zeros((2, 257))})
    with pytest.raises(FormatError, match="another shape"):
        read_deep3d(tmp_path / "two.mat")
