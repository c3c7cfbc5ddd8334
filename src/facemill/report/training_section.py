"""The trainings of the report: courses of loss and validation, first and last figures, faces."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from facemill.report.pictures import EmbeddedPicture, embed, read_picture
from facemill.report.sections import Page, Section
from facemill.report.training_curve import HEIGHT, WIDTH, course_svg
from facemill.report.training_inputs import Training

DRAWN = ("loss", "photometric")  # of the training's terms; the table has all
PERCENT = {"landmark_error": 100.0}
#: Measure → what it is, in words, with its unit.
WORDS = {
    "loss": "loss, weighted sum",
    "photometric": "colours, distance 0..1",
    "landmark": "landmarks, weighted px²",
    "perceptual": "likeness, 1 − cosine",
    "identity": "identity, squared deviations",
    "expression": "expression, squared deviations",
    "albedo": "albedo, squared deviations",
    "reflectance": "uneven skin",
    "lighting": "coloured light",
    "true_shape": "true shape, mm²",
    "true_rotation": "true rotation, rad²",
    "true_translation": "true translation, mm²",
    "true_strengths": "true strengths, squared",
    "true_landmarks": "true landmarks, px²",
    "dense_landmarks": "dense landmarks, surprise",
    "landmark_error": "landmark error, % of the eye distance",
    "shape_rms": "shape error, mm",
    "shape_ratio": "shape error, share of the mean face's",
    "dense_error": "dense landmarks, px",
    "displacement": "displacement, mm",
    "normals": "normals, radians",
    "surprise": "displacement, surprise",
    "shading": "shading, distance 0..1",
    "displacement_error": "displacement error, mm",
    "normal_error": "normal error, degrees",
    "displacement_ratio": "displacement error, share of the smooth face's",
    "normal_ratio": "normal error, share of the smooth face's",
    "median": "distance to the scan, median, mm",
    "p90": "distance to the scan, 90 % below, mm",
    "base_median": "the base mesh's distance, median, mm",
    "distance_median": "distance to the scan, median, mm",
    "slope": "slope error",
    "relief_rms": "relief, rms, mm",
}
TITLES = {
    "train_coarse": "Coarse network",
    "train_image_set": "Confidence network",
    "train_detail": "Detail network",
    "train_implicit": "Matching network of captures",
    "train_regularizer": "Network that regularises surfaces",
    "train_mesoscopic": "Network for mesoscopic relief",
}
#: Validation measures that are drawn of trainings that have many; the table has all.
CHOSEN = {
    "train_implicit": ("median", "p90", "base_median"),
    "train_regularizer": ("median", "p90", "slope"),
    "train_mesoscopic": ("normal_ratio", "distance_median", "relief_rms"),
}
COARSE_FACES = "crop, reconstruction laid on it, bare shape"
FACES = {
    "train_detail": "photo in the atlas, true relief, relief found, confidence",
    "train_implicit": "scores of texels (down) over displacements around the truth (across)",
    "train_regularizer": "distance to the scan of the classical surface, and of the network's",
    "train_mesoscopic": "texture, surface without relief, with the relief found, with the true one",
}


def training_section(page: Page) -> Section | None:
    """How the networks of the run were trained; None when none was."""
    trainings = [_described(page, training) for training in page.inputs.trainings]
    if not trainings:
        return None
    html = page.fill("training.html", trainings=trainings, many=len(trainings) > 1)
    return Section("training", "Training", 40, html)


def _described(page: Page, training: Training) -> dict[str, Any]:
    """What the template needs of one training."""
    train, validation = training.courses["train"], training.courses["validation"]
    drawn = [(train[name], words(name), False) for name in DRAWN if name in train]
    chosen = [name for name in CHOSEN.get(training.rule, tuple(validation)) if name in validation]
    drawn += [(scaled(validation[name]), words(name), True) for name in chosen]
    settings: Mapping[str, Any] = page.inputs.configuration.get(training.rule, {})
    faces = FACES.get(training.rule, COARSE_FACES)
    return {
        "title": TITLES.get(training.rule, training.rule),
        "tiles": [
            ("steps", f"{training.summary['steps']:,}"),
            ("images trained on", f"{training.summary['images']:,}"),
            ("validated on", f"{training.summary['validation_images']:,}"),
        ],
        "seen": training.summary["validation_seen"],
        "train": list(settings.get("train", ())),
        "start": settings.get("start", ""),
        "curves": [_curve(course, title, dots) for course, title, dots in drawn],
        "groups": [
            figures("validation of the weights' running mean", validation),
            figures("training: loss and unweighted terms of one batch", train),
        ],
        "faces": embed(
            read_picture(training.faces),
            f"validation faces, a row each: {faces}",
            quality=page.settings.picture_quality,
        ),
        "shown": faces,
    }


def figures(title: str, course: pd.DataFrame) -> dict[str, Any]:
    """The first and the last value of each measure of a course."""
    rows = []
    for name in course:
        values = scaled(course[name])
        rows.append({"name": words(name), "first": figure(values.iloc[0]), "last": figure(values.iloc[-1])})
    steps = f", steps {course.index[0]:,} and {course.index[-1]:,}" if rows else ""
    return {"title": title + steps, "rows": rows}


def scaled(course: pd.Series) -> pd.Series:
    """A course in the unit that its words name."""
    return course.dropna() * PERCENT.get(str(course.name), 1.0)


def words(name: object) -> str:
    """What a measure is; its name where nobody described it.

    >>> words("true_shape"), words("new_term")
    ('true shape, mm²', 'new term')
    """
    return WORDS.get(str(name), str(name).replace("_", " "))


def figure(value: float) -> str:
    """A figure for people: three digits that count.

    >>> figure(73.127), figure(0.0123456), figure(0.0), figure(-1234567.0), figure(0.0000071)
    ('73.1', '0.0123', '0', '-1,234,567', '7.1e-06')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}" if digits <= 6 else f"{value:.2g}"


def _curve(course: pd.Series, title: str, dots: bool) -> EmbeddedPicture:
    content = base64.b64encode(course_svg(course, title, dots).encode("utf-8")).decode("ascii")
    alt = f"{title}, over the steps: {figure(course.iloc[0])} first, {figure(course.iloc[-1])} last"
    return EmbeddedPicture(f"data:image/svg+xml;base64,{content}", WIDTH, HEIGHT, alt)
