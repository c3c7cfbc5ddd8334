"""Settings of the evaluation rules, and the tasks that a configuration lists."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from facemill.evaluation.detail_settings import DetailTask
from facemill.runtime.settings import Settings

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Origin = Literal["original", "synthetic", "other"]

ORIGIN_WORDS = (
    "original: the data that published figures are about, complete; synthetic: made by a generator; other: "
    "anything else. Only original data are compared with published figures."
)


class NowTask(Settings):
    """One evaluation under the NoW protocol."""

    dataset: str = Field(
        description="Folder in the layout of the NoW benchmark; or `synthesis.scans.<name>`: the synthetic "
        "data set of this name in the same configuration, which is made first."
    )
    predictions: str = Field(
        description="Folder <subject>/<challenge>/<image>.obj or .ply with .npy or .txt landmarks; `coarse`: "
        "our own, reconstructed from the data set's pictures; `mean_face`: the model's mean face for every "
        "picture, the floor that a method must beat."
    )
    expression: Literal["neutral", "predicted"] = Field(
        default="neutral",
        description="Of our own predictions: neutral as the organisers advise, or as reconstructed (authors "
        "disagree).",
    )
    identity: Literal[
        "photo", "subject", "person", "start_mean", "start_best", "start_landmarks", "start_network"
    ] = Field(
        default="photo",
        description="Of our own predictions: the identity of each photo; subject: the mean over all "
        "reconstructed photos of its subject; person: what reconstruct_person finds for the subject, "
        "start_…: what it can start from (several photos know more than one; no NoW figure of a "
        "single-photo method).",
    )
    shard_size: int = Field(
        default=64, ge=1, description="Pictures per shard (one job each) when the predictions are our own."
    )
    metrical: bool = Field(default=False, description="Keep the predicted size: no scale is fitted.")
    unit: Literal["mm", "cm", "dm", "m"] = Field(
        default="mm", description="Unit of the predictions; matters for metrical evaluation only."
    )
    image_list: Literal["auto", "validation", "test"] = Field(
        default="auto", description="Which imagepaths<...>.txt; auto takes the one that is there."
    )
    challenges: tuple[str, ...] = Field(
        default=(), description="Evaluate these challenges only; [] means all."
    )
    origin: Origin = Field(default="other", description=ORIGIN_WORDS)


class ScanTask(Settings):
    """A predicted surface against a scan in the same frame."""

    prediction: str = Field(description="Mesh file, millimetres.")
    scan: str = Field(description="Mesh file, millimetres, same frame.")
    origin: Origin = Field(default="other", description=ORIGIN_WORDS)


class LandmarkTask(Settings):
    """68 predicted landmarks against true ones."""

    folder: str = Field(
        description="Folder of true landmarks: AFLW2000-3D .mat or iBUG .pts beside the photos."
    )
    predictions: str = Field(
        default="coarse",
        description="Folder with <photo>.txt, <photo>.pts or <photo>/landmarks68.txt, photo pixels; or "
        "`coarse`: our own, reconstructed from the photos in `folder`.",
    )
    shard_size: int = Field(
        default=64, ge=1, description="Photos per shard (one job each) when the predictions are our own."
    )
    origin: Origin = Field(default="other", description=ORIGIN_WORDS)


class MiccTask(Settings):
    """Predictions against scans as MICC Florence is evaluated."""

    cases: str = Field(
        description="CSV table with a row per mesh: case, prediction, truth, prediction_points, "
        "truth_points; paths relative to the table."
    )
    origin: Origin = Field(default="other", description=ORIGIN_WORDS)


class ShapeErrorTask(Settings):
    """Predictions against true meshes, vertex by vertex (FaceWarehouse, BU-3DFE)."""

    cases: str = Field(
        description="CSV table with a row per mesh: case, prediction, truth, prediction_points, "
        "truth_points; paths relative to the table."
    )
    correspondence: bool = Field(
        default=False,
        description="Vertex i of the prediction is vertex i of the truth; else nearest points are compared.",
    )
    with_scale: bool = Field(default=True, description="Fit the size of the prediction.")
    origin: Origin = Field(default="other", description=ORIGIN_WORDS)


class FacescapeTask(Settings):
    """Predictions under FaceScape's single-view benchmark."""

    cases: str = Field(
        description="CSV table with a row per picture: case, prediction, truth, prediction_points, "
        "truth_points, fx, fy, cx, cy, width, height, yaw; paths relative to the table."
    )
    by_focal_length: bool = Field(
        default=False, description="The table has a column focal_length: list the means by it, too."
    )
    origin: Origin = Field(default="other", description=ORIGIN_WORDS)


class EvaluationTasks(Settings):
    """What a run evaluates: name → task."""

    now: dict[Name, NowTask] = Field(default_factory=dict, description="NoW-layout data sets.")
    scans: dict[Name, ScanTask] = Field(default_factory=dict, description="Surfaces against scans.")
    landmarks: dict[Name, LandmarkTask] = Field(default_factory=dict, description="68 landmarks.")
    micc: dict[Name, MiccTask] = Field(default_factory=dict, description="MICC Florence.")
    shape_error: dict[Name, ShapeErrorTask] = Field(
        default_factory=dict, description="Per-vertex shape error."
    )
    facescape: dict[Name, FacescapeTask] = Field(
        default_factory=dict, description="FaceScape's single-view benchmark."
    )
    detail: dict[Name, DetailTask] = Field(
        default_factory=dict, description="Wrinkles and folds on synthetic photographs."
    )


class NowSettings(Settings):
    """How the NoW protocol is run (Sanyal et al. 2019, released code)."""

    engine: Literal["libigl", "psbody"] = Field(
        default="libigl",
        description="Closest points: libigl, or psbody as the reference when it is installed.",
    )
    crop_factor: float = Field(
        default=1.4,
        gt=0,
        description="Radius of the scored region in means of the outer eye distance and the distance from "
        "between the inner corners to the nose bottom (released code: 1.4; an older figure says 1.2).",
    )
    visible_only: bool = Field(
        default=False,
        description="Leave out scan vertices that no outside direction sees (nostrils, sockets, inner lips). "
        "The protocol keeps them; on synthetic scans they inflate every figure.",
    )
    directions: int = Field(default=48, ge=6, le=1000, description="Outside directions for visible_only.")
    tolerance: float = Field(
        default=5e-3, gt=0, description="Mean movement of the scan points, mm, at which the alignment ends."
    )
    max_iterations: int = Field(default=100, ge=1, description="Steps of the alignment at most.")
    curve_end: float = Field(default=8.0, gt=0, description="Right end of the cumulative curve, mm.")
    heat_maps: int = Field(
        default=6, ge=0, description="Cases shown as a heat map, evenly from the best to the worst median."
    )
    heat_map_end: float = Field(default=4.0, gt=0, description="Distance at the end of the colour scale, mm.")
    yaw_bins: tuple[float, ...] = Field(
        default=(0.0, 15.0, 30.0, 60.0, 90.0),
        min_length=2,
        description="Borders of the bins of |yaw|, degrees, where the data set says how heads are turned.",
    )
    draws: int = Field(
        default=500, ge=2, description="Draws of people, with return, for the errors of medians and ratios."
    )
    seed: int = Field(default=0, ge=0, description="Another seed draws other people.")


class ScanSettings(Settings):
    """How a surface is compared with a scan."""

    within: tuple[float, ...] = Field(
        default=(0.1, 0.2, 0.5, 1.0), description="Distances, mm, for the shares of points that are nearer."
    )
    max_distance: float | None = Field(
        default=None, gt=0, description="Points farther apart, mm, count as this far; null: no limit."
    )
    heat_map_end: float = Field(default=1.0, gt=0, description="Distance at the end of the colour scale, mm.")


class LandmarkErrorSettings(Settings):
    """How 68 landmarks are scored."""

    yaw_bins: tuple[float, ...] = Field(
        default=(0.0, 30.0, 60.0, 90.0), description="Borders of the bins of |yaw|, degrees (AFLW2000-3D)."
    )


class MiccSettings(Settings):
    """What of a scan counts under the MICC protocol."""

    radius: float = Field(default=95.0, gt=0, description="Scored radius around the tip of the nose, mm.")
    forehead: float | None = Field(
        default=None,
        gt=0,
        description="Height above the tip of the nose, mm, at which the forehead is cut; null: not cut.",
    )
    nose_tip: int = Field(
        default=2,
        ge=0,
        description="Which of the points is the tip of the nose, from 0; the first two are the eyes, the "
        "last two the corners of the mouth.",
    )


class CompareSettings(Settings):
    """How figures are put beside published ones."""

    digits: int = Field(default=3, ge=1, le=6, description="Decimals in the table of the report.")
