"""Settings of `reconstruct_person` and `export_person`; no torch here."""

from typing import Literal

from pydantic import Field

from facemill.coarse.settings import FittingLevel
from facemill.runtime.settings import Settings


class PersonSettings(Settings):
    """Settings of the rule `reconstruct_person`."""

    start: Literal["mean", "best", "landmarks", "network"] = Field(
        "landmarks",
        description="the identity that the joint fit starts from: mean of the photos', best: of the photo "
        "with the highest landmark score, landmarks: weighted by how surely landmarks were seen and by how "
        "frontal the face is, network: weighted by the confidence network of train_image_set",
    )
    confidence_network: str = Field(
        "", description="weights of train_image_set for the network of reconstruct_coarse; empty: none"
    )
    refine: bool = Field(True, description="fit all photos together; false (or 0): the start is the result")
    identity_deviation: float = Field(
        0.25,
        gt=0,
        description="how far the start may be off, standard deviations of the model; without a network the "
        "prior is the model's own",
    )
    levels: tuple[FittingLevel, ...] = Field(
        (FittingLevel(reduction=2, steps=40),),
        description="steps on the pixels, coarse to fine, as in reconstruct_coarse.photometric, whose other "
        "keys count here too",
    )
    photos_at_a_time: int = Field(
        4, ge=1, description="photos rendered together; bounds the memory for persons with many photos"
    )
    most_photos: int = Field(
        100, ge=1, description="of a person with more, the best and most diverse ones are fitted"
    )
