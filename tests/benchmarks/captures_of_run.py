"""The mapped captures of a run, by name: what the tables about captures are made from."""

import json
from pathlib import Path

from facemill.models.files import load_model
from facemill.multiview.capture_files import CaptureFiles, MappedCapture


class CapturesOfRun:
    """Captures of `results/<run>`, which has made `uv_maps.npz` of those that are asked for.

    Attributes:
        model: the embedded head as the run has written it. planned: what its plan says, by capture.
    """

    def __init__(self, results: Path):
        self.results = results
        self.model = load_model(results / "models" / "head.npz")
        plan = json.loads((results / "multiview" / "plan" / "captures.json").read_text())["captures"]
        self.planned = {one["name"]: one for one in plan}

    def folder(self, name: str) -> Path:
        """Where the files of a capture lie."""
        return self.results / "multiview" / name

    def scan(self, name: str) -> Path:
        """The file of its scan."""
        return self.results.parents[1] / self.planned[name]["scan"]

    def open(self, name: str) -> MappedCapture:
        """A capture that is `ok`; its grid is never None."""
        fit = self.results / "multiview" / "fit_base_mesh" / self.planned[name]["person"]
        opened = CaptureFiles(
            name,
            self.folder(name) / "prepare_capture" / "capture.json",
            fit.with_name(f"{fit.name}.npz"),
            fit.with_name(f"{fit.name}.json"),
            self.folder(name) / "uv_maps.npz",
        ).open(self.model)
        assert opened.grid is not None, f"{name} is not ok: {opened.fitted.reason}"
        return opened
