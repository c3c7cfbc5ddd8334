"""Checkpoints in PyTorch's format: equal content gives equal bytes."""

import torch

from facemill.formats.checkpoints import read_pickled, write_pickled


def test_bytes_say_nothing_of_where_content_came_from(tmp_path):
    state = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.zeros(2)}
    content = {"network": state, "step": 3, "history": [("train", 0.5), ("train", 0.25)], "name": "train"}
    write_pickled(tmp_path / "first.pth", content)
    read = read_pickled(tmp_path / "first.pth")
    assert read["history"] == content["history"] and torch.equal(read["network"]["weight"], state["weight"])
    # Texts that are equal and not the same object, as a journal that was read again has them.
    again = read | {"history": [("".join(["tr", "ain"]), value) for _, value in read["history"]]}
    write_pickled(tmp_path / "second.pth", again)
    assert (tmp_path / "first.pth").read_bytes() == (tmp_path / "second.pth").read_bytes()
