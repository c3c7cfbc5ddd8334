"""Captures whose surface a run makes, and captures that the multi-view networks are trained on."""

import sys
from typing import Any

#: Rules whose jobs `evaluate_surface` tells the cost of.
SURFACE_RULES = (
    "match_surface",
    "predict_implicit",
    "regularize_surface",
    "blend_texture",
    "predict_mesoscopic",
)


class SurfaceSets:
    """The part of `planning.Plan` that knows what follows the base mesh of a capture."""

    settings: Any
    results: str
    captures: Any
    fit_of: Any
    scan_files_of: Any

    @property
    def surface_captures(self) -> list[str]:
        """Names of the captures that a whole run takes from the base mesh to a displaced mesh."""
        return [
            name for name, capture in self.captures.items() if self.settings.captures[capture.entry].surface
        ]

    @property
    def surface_results(self) -> list[str]:
        """The last files of those captures, and what is measured of them against their scans."""
        made = [self.multiview_file(name, "mesh.obj") for name in self.surface_captures]
        return made + self.surface_evaluations

    @property
    def surface_evaluations(self) -> list[str]:
        """What `evaluate_surface` writes of each of them that has a scan."""
        return [
            self.multiview_file(name, "evaluate_surface/result.json")
            for name in self.surface_captures
            if self.captures[name].scan
        ]

    @property
    def regularized_surfaces(self) -> dict[str, str]:
        """Capture → its regularized.npz, of those that a whole run takes so far."""
        return {name: self.multiview_file(name, "regularized.npz") for name in self.surface_captures}

    def surface_benchmarks(self, capture: str) -> dict[str, str]:
        """Rule → what its job for a capture cost."""
        return {rule: f"{self.results}/benchmarks/{rule}/{capture}.tsv" for rule in SURFACE_RULES}

    def multiview_file(self, capture: str, name: str) -> str:
        """A result of one capture, by its name in the capture's folder."""
        return f"{self.results}/multiview/{capture}/{name}"

    def training_captures(self, rule: str, part: str) -> list[str]:
        """Names of the captures that a network is trained on (`train`) or validated on (`validation`, or
        those that it is trained on)."""
        settings = getattr(self.settings, rule)
        names = []
        for entry in getattr(settings, part) or settings.train:
            if entry not in self.settings.captures:
                known = ", ".join(self.settings.captures) or "none"
                sys.exit(f"{rule}.{part} names {entry}, which is not in captures: {known}")
            names += [name for name, capture in self.captures.items() if capture.entry == entry]
        return names

    def training_capture_files(self, rule: str, part: str, name: str) -> list[str]:
        """One file of each capture of a training, by its name in the folder of the capture."""
        return [self.multiview_file(capture, name) for capture in self.training_captures(rule, part)]

    def training_fits(self, rule: str, part: str, suffix: str) -> list[str]:
        """The base mesh of each capture of a training: `suffix` is npz or json."""
        return [self.fit_of(capture, suffix) for capture in self.training_captures(rule, part)]

    def training_scans(self, rule: str, part: str) -> list[str]:
        """The scan of each capture of a training, empty where there is none."""
        return [self.captures[name].scan for name in self.training_captures(rule, part)]

    def training_scan_files(self, rule: str) -> list[str]:
        """What the scans of all captures of a training come from, each once."""
        names = {*self.training_captures(rule, "train"), *self.training_captures(rule, "validation")}
        return sorted({file for name in names for file in self.scan_files_of(name)})

    def training_capture_inputs(self, rule: str, **more: str) -> dict[str, list[str]]:
        """What a training reads of its captures, those that it is validated on with the prefix `held_`.

        Args:
            more: further files in the folder of each capture, by the name of the input.
        """
        files = {
            "captures": "prepare_capture/capture.json",
            "views": "prepare_capture/views",
            "maps": "uv_maps.npz",
        }
        inputs = {}
        for part, prefix in (("train", ""), ("validation", "held_")):
            for key, name in {**files, **more}.items():
                inputs[prefix + key] = self.training_capture_files(rule, part, name)
            inputs[f"{prefix}arrays"] = self.training_fits(rule, part, "npz")
            inputs[f"{prefix}reports"] = self.training_fits(rule, part, "json")
        return inputs
