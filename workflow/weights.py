"""Which weights the rules use: those that the configuration names, those that ship, or those of this run."""

from pathlib import Path
from typing import Any

from facemill.runtime.digests import file_digest

#: Rule → morphable model → weights that ship for it; `*`: networks that know no morphable model.
SHIPPED = {
    "reconstruct_coarse": {"head": "coarse"},
    "train_image_set": {"head": "coarse"},
    "reconstruct_detail": {"head": "detail"},
    "predict_implicit": {"*": "implicit"},
    "predict_mesoscopic": {"head": "mesoscopic"},
}
#: Settings that name weights.
WEIGHTS = (
    ("reconstruct_coarse", "network"),
    ("reconstruct_person", "confidence_network"),
    ("reconstruct_detail", "network"),
    ("predict_implicit", "network"),
    ("regularize_surface", "network"),
    ("predict_mesoscopic", "network"),
)


class Weights:
    """The part of `planning.Plan` that knows weights."""

    settings: Any
    root: Path
    model_source: str
    stage: Any
    own_weights: Any

    def shipped_weights(self, rule: str) -> str:
        """The weights that ship for a rule and the model of the run, relative to the repository; or none."""
        shipped = SHIPPED.get(rule, {})
        name = shipped.get(self.settings.model, shipped.get("*"))
        return "" if name is None else f"resources/weights/{name}.safetensors"

    def stage_with_weights(self, rule: str, *keys: str) -> dict[str, Any]:
        """The settings of a rule; the weights at `keys` are looked up here, then in the repository.

        Absent ones are those that ship for the model.
        """
        values = self.stage(rule)
        for key in keys:
            if values[key] is None:
                values[key] = self.shipped_weights(rule)
            place = Path(values[key]).expanduser()
            elsewhere = not place.is_absolute() and not place.exists() and not self.own_weights(rule, key)
            if values[key] and elsewhere:
                values[key] = str(self.root / place)
        return values

    def weights_digest(self, rule: str, *keys: str) -> str:
        """A digest of the weights files that the settings of a rule name: other weights rerun it.

        Those that this run makes count by their time, as inputs.
        """
        values, own = self.stage_with_weights(rule, *keys), self.own_weights(rule, *keys)
        return file_digest(values[key] for key in keys if values[key] and values[key] not in own)

    @property
    def named_files(self) -> list[str]:
        """The source of the morphable model, and all weights that the settings name or that ship for it."""
        files = {self.model_source}
        for rule, key in WEIGHTS:
            files.add(self.stage_with_weights(rule, key)[key])
        return sorted(files - {""})
