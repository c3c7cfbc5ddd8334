"""The model of a run from either format."""

import numpy as np
import pytest

from facemill.models.files import load_model, save_model
from facemill.models.head import load_head
from facemill.models.sources import load_models, prepare_model
from facemill.runtime.errors import FormatError
from facemill.runtime.files import save_arrays


def test_compact_head_is_expanded(repository, tmp_path):
    source = repository / "resources" / "models" / "head.npz"
    prepare_model(source, tmp_path / "model.npz")
    assert load_model(tmp_path / "model.npz").vertex_count == load_head(source).vertex_count


def test_model_file_is_taken_as_it_is(repository, tmp_path):
    head = load_head(repository / "resources" / "models" / "head.npz")
    save_model(tmp_path / "source.npz", head.subset(head.topology.landmarks68))
    prepare_model(tmp_path / "source.npz", tmp_path / "runs" / "model.npz")
    assert (tmp_path / "runs" / "model.npz").read_bytes() == (tmp_path / "source.npz").read_bytes()


@pytest.mark.parametrize("name", ["facemill-model-1", "something else"])
def test_other_files_are_refused(tmp_path, name):
    save_arrays(tmp_path / "source.npz", {"format": np.array(name), "kind": np.array("linear")})
    with pytest.raises(FormatError):
        prepare_model(tmp_path / "source.npz", tmp_path / "model.npz")
    assert not (tmp_path / "model.npz").exists()


def test_models_are_read_once_per_path(repository, tmp_path):
    head = load_head(repository / "resources" / "models" / "head.npz")
    save_model(tmp_path / "a.npz", head.subset(head.topology.landmarks68))
    save_model(tmp_path / "b.npz", head.subset(head.topology.landmarks68[17:]))
    a, again, b = load_models(tmp_path / "a.npz", str(tmp_path / "a.npz"), tmp_path / "b.npz")
    assert a is again and (a.vertex_count, b.vertex_count) == (68, 51)
