"""A capture as its owner gave it becomes pinhole pictures with cameras in millimetres."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from facemill.faces.photo_source import DecodedPhoto
from facemill.formats.captures import (
    OK,
    UNKNOWN,
    Capture,
    PreparedView,
    dropped_view,
    refused_capture,
)
from facemill.formats.rig_views import BAD_PARAMETERS, MIRRORED, BadViewError, RigView
from facemill.geometry.camera import Camera
from facemill.multiview.camera_checks import FLIPPED, flipped_convention, flipped_reason
from facemill.multiview.capture_plan import PlannedCapture
from facemill.multiview.capture_settings import PrepareCaptureSettings
from facemill.multiview.gains import estimate_gains
from facemill.multiview.photo_frames import Pinhole, pinhole_of, turned, turns_to_agree
from facemill.multiview.picture_checks import PictureEvidence, look_at_pictures
from facemill.multiview.sources import read_rig
from facemill.runtime.errors import FormatError
from facemill.runtime.files import atomic_folder

NO_CAMERAS = "no_cameras"
TOO_FEW_VIEWS = "too_few_views"
VIEWS = "views"
_MIRRORED = "its points are found in the other views only when it is mirrored; mirror the photo back"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Readers:
    """What the stage of photos lends: `read` decodes a file upright; `suffixes` are those of photos."""

    read: Callable[[Path], DecodedPhoto]
    suffixes: Collection[str]


def prepare_capture(
    planned: PlannedCapture,
    readers: Readers,
    settings: PrepareCaptureSettings,
    views_folder: str | Path,
    calibrated: Sequence[str | Path] = (),
) -> Capture:
    """Write the pictures of all usable views and tell what became of every view.

    Photos are reduced to the size asked for, freed of their lenses, and turned to have the same side up. What
    cannot be used has a status and a reason; the capture goes on as long as enough views do.

    Args:
        views_folder: becomes the folder of pictures, `<view>.png`, beside the JSON of the capture.
        calibrated: `cameras.json` of `calibrate_capture`, for a capture that comes without cameras; or none.
    """
    with atomic_folder(views_folder) as folder:
        try:
            rig = read_rig(planned, readers.suffixes, calibrated)
        except FormatError as error:
            return refused_capture(BAD_PARAMETERS, error.sentence)
        views = _distinct(rig.views)
        if rig.status != OK:
            lost = tuple(dropped_view(view.name, view.status, view.reason) for view in views)
            return refused_capture(rig.status, rig.reason, lost)
        good = [view for view in views if view.status == OK and view.camera is not None]
        flipped = flipped_convention([view.camera for view in good if view.camera is not None])
        if flipped is not None:
            dropped = tuple(dropped_view(view.name, view.status, view.reason) for view in views)
            return refused_capture(FLIPPED, flipped_reason(flipped, planned.folder), dropped)
        prepared: list[PreparedView] = []
        pinholes: dict[str, Pinhole] = {}
        for view in views:
            made = _prepared(view, readers, settings, pinholes)
            prepared.append(made)
        _turn_upright(pinholes)
        evidence = _look(pinholes, settings, planned.folder)
        if evidence.refusal is not None:
            lost = tuple(dropped_view(view.name, view.status, view.reason) for view in prepared)
            return refused_capture(*evidence.refusal, lost)
        names = list(pinholes)
        pictures = [pinhole.picture for pinhole in pinholes.values()]
        gains = estimate_gains(pictures, evidence.matches if settings.gains else ())
        gains_of = {name: (row[0], row[1], row[2]) for name, row in zip(names, gains.tolist(), strict=True)}
        mirrored = {names[view] for view in evidence.mirrored}
        unit, source = _unit(planned, rig.unit_mm)
        finished = [
            dropped_view(view.name, MIRRORED, _MIRRORED)
            if view.name in mirrored
            else _finished(view, pinholes, unit, folder, gains_of)
            for view in prepared
        ]
    return _capture(finished, unit, source, settings)


def _prepared(
    view: RigView, readers: Readers, settings: PrepareCaptureSettings, pinholes: dict[str, Pinhole]
) -> PreparedView:
    """The view; its picture goes into `pinholes` when it can be used."""
    if view.status != OK or view.camera is None or view.file is None:
        return dropped_view(view.name, view.status, view.reason)
    try:
        pinhole = pinhole_of(view, readers.read, settings.longer_side)
    except BadViewError as error:
        return dropped_view(view.name, error.status, error.reason)
    pinholes[view.name] = pinhole
    return PreparedView(view.name, "", pinhole.camera, (0, 0), focal_source=view.focal_source)


def _turn_upright(pinholes: dict[str, Pinhole]) -> None:
    names = list(pinholes)
    for name, turns in zip(names, turns_to_agree([pinholes[name].camera for name in names]), strict=True):
        if turns:
            logger.info("view %s lies on its side: turned by %d quarters", name, turns)
            pinholes[name] = turned(pinholes[name], turns)


def _look(pinholes: dict[str, Pinhole], settings: PrepareCaptureSettings, name: str) -> PictureEvidence:
    if len(pinholes) < 2:
        return PictureEvidence(())
    pictures = [pinhole.picture for pinhole in pinholes.values()]
    cameras = [pinhole.camera for pinhole in pinholes.values()]
    return look_at_pictures(pictures, cameras, settings.features_side, name)


def _finished(
    view: PreparedView,
    pinholes: dict[str, Pinhole],
    unit: float | None,
    folder: Path,
    gains: Mapping[str, tuple[float, float, float]],
) -> PreparedView:
    """The view with its picture written and its camera in millimetres."""
    if view.name not in pinholes:
        return view
    pinhole = pinholes[view.name]
    Image.fromarray(pinhole.picture).save(folder / f"{view.name}.png", compress_level=1)
    camera = pinhole.camera
    camera = Camera(camera.rotation, camera.translation * (1.0 if unit is None else unit), camera.intrinsics)
    height, width = pinhole.picture.shape[:2]
    file = f"{VIEWS}/{view.name}.png"
    return replace(view, file=file, camera=camera, size=(height, width), gains=gains[view.name])


def _unit(planned: PlannedCapture, found: float | None) -> tuple[float | None, str]:
    if planned.unit_mm is not None:
        return planned.unit_mm, planned.unit_source
    return (None, UNKNOWN) if found is None else (found, "given")


def _capture(
    views: Sequence[PreparedView], unit: float | None, source: str, settings: PrepareCaptureSettings
) -> Capture:
    used = [view for view in views if view.status == OK]
    dropped = [view for view in views if view.status != OK]
    for view in dropped:
        logger.warning("view %s: %s: %s", view.name, view.status, view.reason)
    if len(used) >= settings.min_views:
        reason = "" if len(used) > 2 else "two views only: nothing checks them against each other"
        return Capture(OK, reason, unit, source, 0.0, tuple(views))
    causes = Counter(view.status for view in dropped).most_common()
    status = causes[0][0] if not used and len(causes) == 1 else TOO_FEW_VIEWS
    said = "; ".join(f"{view.name}: {view.reason}" for view in dropped[:3])
    reason = f"{len(used)} of {len(views)} views can be used, {settings.min_views} are needed; {said}"
    return refused_capture(status, reason, tuple(views))


def _distinct(views: Sequence[RigView]) -> list[RigView]:
    """The views, renamed where two have one name: a.jpg beside a.png."""
    taken: set[str] = set()
    distinct = []
    for view in views:
        number, name = 1, view.name
        while name in taken:
            number += 1
            name = f"{view.name}_{number}"
        taken.add(name)
        distinct.append(replace(view, name=name))
    return distinct
