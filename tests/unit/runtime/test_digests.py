"""Digests that tell when a rule must run again."""

from facemill.runtime.digests import file_digest


def test_the_digest_of_files_follows_their_content(tmp_path):
    weights = tmp_path / "w.safetensors"
    missing = file_digest([weights])
    weights.write_bytes(b"one")
    first = file_digest([weights])
    weights.write_bytes(b"two")
    second = file_digest([weights])
    (tmp_path / "copy").write_bytes(b"two")
    assert len({missing, first, second, file_digest([])}) == 4
    assert file_digest([tmp_path / "copy"]) == second
