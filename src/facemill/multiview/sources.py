"""The views of a capture as its owner gave them, in whatever files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from facemill.formats.cameras_json import CAMERAS, read_cameras
from facemill.formats.colmap import read_colmap
from facemill.formats.facescape_views import read_views
from facemill.formats.rig_views import OK, Rig, RigView
from facemill.multiview import capture_plan
from facemill.multiview.capture_plan import PlannedCapture
from facemill.runtime.errors import FormatError

MISSING_PHOTO = "missing_photo"
NO_PARAMETERS = "no_parameters"
MISSING_VIEW = "missing_view"


def read_rig(
    planned: PlannedCapture, suffixes: Collection[str], calibrated: Sequence[str | Path] = ()
) -> Rig:
    """Views with cameras, and with a status and a reason those that cannot be used.

    A photo without parameters is a view, too (`no_parameters`), and so is one with parameters and no photo
    (`missing_photo`). Where the capture selects views, the others are left out without a word, and a selected
    one that there is not is `missing_view`.

    Args:
        suffixes: of photos. calibrated: the file of `calibrate_capture` for a capture without cameras.
    Raises:
        FormatError: the file of the cameras cannot be read.
    """
    folder = Path(planned.folder)
    if planned.kind == capture_plan.FACESCAPE:
        rig = Rig(tuple(read_views(folder)))
    elif planned.kind == capture_plan.CAMERAS:
        rig = read_cameras(folder / CAMERAS)
    elif planned.kind == capture_plan.COLMAP:
        model = capture_plan.colmap_model_folder(folder)
        if model is None:
            raise FormatError(
                f"{folder} has no COLMAP model", "sparse/0/cameras.bin …", "nothing", "export it again"
            )
        rig = Rig(tuple(read_colmap(model, folder)))
    elif calibrated:
        rig = read_cameras(calibrated[0], photos=folder)
    else:
        raise FormatError(
            f"{folder} has no cameras", "calibrate_capture's file", "none", "calibrate it first"
        )
    views = [_with_photo(view) for view in rig.views]
    known = {view.file.resolve() for view in views if view.file is not None}
    photos = [folder / name for name in capture_plan.photo_files(folder, suffixes)]
    views += [_unknown(file) for file in photos if file.resolve() not in known]
    if planned.select is not None:
        by_name = {view.name: view for view in views}
        views = [by_name.get(str(number), _absent(number)) for number in planned.select]
    return replace(rig, views=tuple(views))


def _with_photo(view: RigView) -> RigView:
    if view.status != OK or view.file is not None:
        return view
    reason = "its parameters are there, the photo is not; put it back, or remove the view"
    return RigView(view.name, None, status=MISSING_PHOTO, reason=reason)


def _unknown(file: Path) -> RigView:
    reason = f"{file.name} has no camera; add its parameters, or remove the photo"
    return RigView(file.stem, file, status=NO_PARAMETERS, reason=reason)


def _absent(number: int) -> RigView:
    reason = f"view {number} is selected, but the capture has no such view; correct the selection"
    return RigView(str(number), None, status=MISSING_VIEW, reason=reason)
