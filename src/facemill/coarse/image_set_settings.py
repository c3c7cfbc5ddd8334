"""Settings of `train_image_set`; no torch here."""

from pydantic import Field, model_validator

from facemill.coarse.training_settings import AugmentationSettings, TrainSettings

OF_START = ("network", "camera_distance", "freeze_norms")  # settings of train_coarse that mean nothing here


class ImageSetSettings(TrainSettings):
    """Settings of the rule `train_image_set`: those of `train_coarse`, and what sets need."""

    start: str | None = Field(  # type: ignore[assignment]
        None,
        description="weights of the coarse network whose features and faces are used, and which stays as it "
        "is; absent: the shipped ones for model: head",
    )
    photos: int = Field(5, ge=2, description="photos in a set; people with fewer are left out")
    channels: int = Field(64, ge=8, description="width of the confidence network")
    augmentation: AugmentationSettings = AugmentationSettings(flip=0)
    batch: int = Field(25, ge=2, description="images per step: a multiple of `photos` (published: 5 sets)")
    learning_rate: float = Field(2e-5, gt=0, description="of Adam, at the start (published)")
    epochs: float = Field(10.0, gt=0, description="as many photos as so many passes over all")

    @model_validator(mode="after")
    def _makes_whole_sets(self) -> "ImageSetSettings":
        if self.batch % (self.photos * self.processes * self.nodes):
            raise ValueError(
                f"batch: expected a multiple of photos ({self.photos}) for each process, found {self.batch}"
            )
        if self.augmentation.flip:
            raise ValueError("augmentation.flip: expected 0, as a mirrored photo shows another identity")
        if self.consistency.share:
            raise ValueError("consistency.share: expected 0: batches are made of sets, not of tuples")
        for name in OF_START:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name}: expected to be absent: the coarse network stays that of `start`")
        return self
