"""The five facial points: what they are, and whether a user's points are them.

Order everywhere: image-left eye centre, image-right eye centre, nose tip, image-left mouth corner,
image-right mouth corner; pixels, y downward.
"""

import numpy as np

from facemill.geometry.five_points import STANDARD_POINTS, five_of_68
from facemill.runtime.errors import PhotoError

OUTER_EYE_CORNERS, INNER_EYE_CORNERS = [36, 45], [39, 42]

_FRONT = STANDARD_POINTS[:, :2] * (1, -1)
_HALF_EYE = 0.15  # decimetres: an eye is 3 cm wide
# dlib's 5-point model: outer and inner corner of the image-right eye, of the image-left eye, base of the nose
_DLIB_FIVE = np.stack(
    [
        _FRONT[1] + (_HALF_EYE, 0),
        _FRONT[1] - (_HALF_EYE, 0),
        _FRONT[0] - (_HALF_EYE, 0),
        _FRONT[0] + (_HALF_EYE, 0),
        np.array([0.0, 0.1]),
    ]
)
_MIRRORED = "left and right are exchanged: rows 1 and 4 are on the left of the image, not of the person"
_MISTAKES = {
    "the two eyes are exchanged: row 1 is the eye on the left of the image": _FRONT[[1, 0, 2, 3, 4]],
    "the mouth corners are exchanged: row 4 is the corner on the left of the image": _FRONT[[0, 1, 2, 4, 3]],
    _MIRRORED: _FRONT[[1, 0, 2, 4, 3]],
    "these look like dlib's five points (eye corners and the base of the nose)": _DLIB_FIVE,
}
_UPWARD = "y seems to count upward; it must count downward from the top of the image"
_CORNERS = "the {kind} corners of the eyes are given; rows 1 and 2 are the centres of the eyes"

_WRONG_ORDER = 0.6  # a mistaken order must fit this much better; true faces stay above 1.1 up to 75° of yaw
_WIDEST_EYES = 1.6  # eye distance / distance of eyes and mouth: 0.93 from the front, 1.36 at 40° of pitch
_OUTSIDE = 0.5  # points may lie outside a photo that cuts the face, by this share of its longer side
_AGREE = 0.25  # of the eye distance: nose and mouth are near the detector's, so its eyes can be trusted
_AT_CORNER = 0.5  # a point is a corner when it is this much nearer to the corner than to the centre


def eye_distance(points: np.ndarray) -> float:
    """Distance of the eye centres of (5, 2) points."""
    return float(np.linalg.norm(points[1] - points[0]))


def face_box(points: np.ndarray) -> np.ndarray:
    """Box (left, top, right, bottom) around (5, 2) points, as dlib's frontal detector frames faces.

    Centre: mean of the points, moved toward the chin by 0.16 r; side 3.8 r, where r is the root of the mean
    squared distance of the points from their mean (averages over detections on portraits).
    """
    centre = points.mean(axis=0)
    radius = np.sqrt(((points - centre) ** 2).sum(axis=1).mean())
    down = points[3:].mean(axis=0) - points[:2].mean(axis=0)
    length = np.linalg.norm(down)
    middle = centre + 0.16 * radius * (down / length if length > 0 else 0)
    return np.concatenate([middle - 1.9 * radius, middle + 1.9 * radius])


def check_five_points(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """Check a user's points: 5 rows, or 68 iBUG rows that are reduced to 5.

    Args:
        points: (N, 2) as read from the file.
        width, height: of the upright photo.
    Returns:
        (5, 2) float64.
    Raises:
        PhotoError: `bad_detections`: the number of rows, a value that is no number, points far outside the
            photo or all in one place, or a wrong order, each with its own reason.
    """
    if len(points) not in (5, 68):
        raise PhotoError(
            "bad_detections", f"{len(points)} rows; 5 rows of x y are expected (or 68 landmarks)"
        )
    wrong = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(wrong):
        raise PhotoError("bad_detections", f"row {wrong[0] + 1} is not finite: {points[wrong[0]].tolist()}")
    five = five_of_68(points) if len(points) == 68 else np.asarray(points, dtype=np.float64)
    margin = _OUTSIDE * max(width, height)
    outside = (five < -margin) | (five > np.array([width, height]) - 1 + margin)
    if outside.any() or not _inside(five.mean(axis=0), width, height):
        row = int(np.flatnonzero(outside.any(axis=1))[0]) if outside.any() else 0
        place = f"row {row + 1} ({five[row, 0]:g}, {five[row, 1]:g})"
        raise PhotoError("bad_detections", f"{place} is outside the photo of {width} x {height} pixels")
    if np.ptp(five, axis=0).max() < 1:
        raise PhotoError("bad_detections", "all points are in one place")
    _check_order(five)
    return five


def check_eye_centres(points: np.ndarray, landmarks: np.ndarray | None) -> None:
    """Check that rows 1 and 2 are eye centres, not the eye corners that dlib's five-point model gives.

    Args:
        points: (5, 2), the user's.
        landmarks: (68, 2) that a detector finds at the same face, or None. They are used only when their nose
            and mouth agree with `points`.
    Raises:
        PhotoError: `bad_detections`.
    """
    span = np.linalg.norm(points[:2].mean(axis=0) - points[3:].mean(axis=0))
    if eye_distance(points) > _WIDEST_EYES * span:
        raise PhotoError("bad_detections", _CORNERS.format(kind="outer"))
    if landmarks is None:
        return
    detected = five_of_68(landmarks)
    scale = eye_distance(detected)
    if np.linalg.norm(detected[2:] - points[2:], axis=1).max() > _AGREE * scale:
        return
    to_centre = np.linalg.norm(points[:2] - detected[:2], axis=1)
    for kind, corners in (("outer", OUTER_EYE_CORNERS), ("inner", INNER_EYE_CORNERS)):
        to_corner = np.linalg.norm(points[:2] - landmarks[corners], axis=1)
        if (to_corner < _AT_CORNER * to_centre).all():
            raise PhotoError("bad_detections", _CORNERS.format(kind=kind))


def _inside(point: np.ndarray, width: int, height: int) -> bool:
    return bool(-0.5 <= point[0] <= width - 0.5 and -0.5 <= point[1] <= height - 0.5)


def _check_order(points: np.ndarray) -> None:
    right, _ = _misfit(_FRONT, points)
    misfits = {reason: _misfit(layout, points) for reason, layout in _MISTAKES.items()}
    reason, (misfit, turn) = min(misfits.items(), key=lambda item: item[1][0])
    if misfit < _WRONG_ORDER * right:
        # A face upside down in y is a face with left and right exchanged, turned by half a circle.
        upward = reason == _MIRRORED and abs(turn) > np.pi / 2
        raise PhotoError("bad_detections", _UPWARD if upward else reason)


def _misfit(layout: np.ndarray, points: np.ndarray) -> tuple[float, float]:
    """Remaining share of the spread of `points` after the best similarity of `layout`, and its turn."""
    source = (layout - layout.mean(axis=0)) @ (1, 1j)
    target = (points - points.mean(axis=0)) @ (1, 1j)
    factor = np.vdot(source, target) / np.vdot(source, source)
    rest = np.linalg.norm(target - factor * source) / np.linalg.norm(target)
    return float(rest), float(np.angle(factor))
