"""What a run says it was made of."""

import hashlib
import json
import subprocess

from facemill.runtime.provenance import commit_of, digest_of, installed_packages, write_provenance


def git(folder, *words):
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)


def repository(folder):
    git(folder, "init", "-q")
    git(folder, "config", "user.email", "nobody@example.org")
    git(folder, "config", "user.name", "Nobody")
    (folder / "constraints.txt").write_text("numpy==0.1\nno-such-package-at-all==1.0\n# a comment\n")
    git(folder, "add", "constraints.txt")
    git(folder, "commit", "-qm", "Begin")
    return folder


def test_commit_and_changes_are_told(tmp_path):
    folder = repository(tmp_path)
    told = commit_of(folder)
    assert len(told["commit"]) == 40 and told["changed"] is False
    (folder / "constraints.txt").write_text("numpy==0.2\n")
    assert commit_of(folder) == {**told, "changed": True}


def test_an_archive_without_repository_says_so(tmp_path):
    told = commit_of(tmp_path / "nowhere")
    assert told["commit"] is None and told["reason"]


def test_packages_are_those_that_are_installed(tmp_path):
    import numpy

    assert installed_packages(repository(tmp_path) / "constraints.txt") == {"numpy": numpy.__version__}


def test_digests_of_files_and_of_files_to_be(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1_000_000)
    expected = hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    assert digest_of(tmp_path / "a") == {"sha256": expected, "bytes": 3_000_000}
    assert digest_of(tmp_path / "b") == {"sha256": None, "bytes": None}


def test_equal_runs_leave_equal_bytes_and_another_configuration_another_digest(tmp_path):
    folder = repository(tmp_path)
    (folder / "plan.json").write_text("{}")
    places = [tmp_path / name for name in ("one.json", "two.json", "three.json")]
    for place, seed in zip(places, (0, 0, 1), strict=True):
        write_provenance(place, folder, {"seed": seed}, [folder / "plan.json"], [folder / "absent"])
    assert places[0].read_bytes() == places[1].read_bytes()
    one, three = (json.loads(places[k].read_text()) for k in (0, 2))
    assert (one["seed"], three["seed"]) == (0, 1)
    assert one["configuration_sha256"] != three["configuration_sha256"]
    assert one["plans"][str(folder / "plan.json")]["bytes"] == 2
