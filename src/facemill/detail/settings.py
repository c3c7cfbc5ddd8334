"""Settings of the detail layer's reconstruction and export; no torch here."""

from pydantic import Field

from facemill.runtime.settings import Settings


class ReconstructDetailSettings(Settings):
    """Settings of the rule `reconstruct_detail`."""

    network: str | None = Field(
        None,
        description="weights of the detail network (.safetensors of train_detail); null: those that ship for "
        "the model; empty: none, photos get no detail",
    )
