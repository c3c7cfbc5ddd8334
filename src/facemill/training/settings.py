"""Settings that all trainings share; no torch here."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from facemill.runtime.settings import Settings


def _of_levels(value: tuple[int, ...]) -> tuple[int, ...]:
    if not 2 <= len(value) <= 5 or min(value) < 1:
        raise ValueError(f"expected 2 to 5 positive numbers, found {value}")
    return value


#: Channels of the levels of a U-net, finest first.
LevelWidths = Annotated[tuple[int, ...], AfterValidator(_of_levels)]


class TrainerSettings(Settings):
    """How long, how fast and on what a network is trained."""

    seed: int = Field(0, ge=0, description="of the first weights, the order of images and augmentation")
    batch: int = Field(32, ge=1, description="images per step over all processes")
    epochs: float = Field(20.0, gt=0, description="passes over the training images")
    learning_rate: float = Field(1e-4, gt=0, description="of Adam, at the start")
    schedule: Literal["step", "cosine"] = Field(
        "step", description="step: a fifth after each `decay_epochs`; cosine: to 0 at the end"
    )
    decay_epochs: float = Field(10.0, gt=0, description="epochs between two steps of the schedule")
    warmup_steps: int = Field(0, ge=0, description="steps over which the rate rises from 0")
    weight_decay: float = Field(0.0, ge=0, description="decoupled (AdamW)")
    clip_gradient: float = Field(10.0, gt=0, description="largest norm of all gradients together")
    average: float = Field(
        0.999, ge=0, lt=1, description="decay of the running mean of the weights that is validated and kept"
    )
    precision: Literal["auto", "32", "bf16", "16"] = Field(
        "auto", description="auto: bf16 on GPUs that have it, 16 on others, 32 on CPUs"
    )
    processes: int = Field(1, ge=1, description="processes per node (GPUs, or CPU processes)")
    nodes: int = Field(1, ge=1, description="nodes")
    workers: int = Field(0, ge=0, description="loader processes per training process")
    log_interval: int = Field(20, ge=1, description="steps between two rows of the log")
    validation_interval: int = Field(1000, ge=1, description="steps between validations")
    validation_images: int = Field(2000, ge=1, description="images per validation, evenly over the sets")
    checkpoint_interval: int = Field(500, ge=1, description="steps between checkpoints")
    pictures: int = Field(4, ge=0, le=16, description="faces drawn at each validation")


class ShortTrainerSettings(TrainerSettings):
    """Defaults of trainings of some hundred steps, as they are without a GPU."""

    schedule: Literal["step", "cosine"] = Field(
        "cosine", description="step: a fifth after each `decay_epochs`; cosine: to 0 at the end"
    )
    warmup_steps: int = Field(50, ge=0, description="steps over which the rate rises from 0")
    clip_gradient: float = Field(5.0, gt=0, description="largest norm of all gradients together")
    average: float = Field(
        0.99, ge=0, lt=1, description="decay of the running mean of the weights that is validated and kept"
    )
    validation_interval: int = Field(200, ge=1, description="steps between validations")
    checkpoint_interval: int = Field(100, ge=1, description="steps between checkpoints")
