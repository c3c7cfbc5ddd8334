"""Which views of a person form the tuples that losses between views are taken over.

A tuple is MGCNet's (Shang et al. 2020): a target and two sources, one turned further to each side; or a pair
where there are only two views. Its flag says what may be compared: 0 nothing (each view for itself),
1 colours and depth, 2 also the landmarks' epipolar lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facemill.coarse.grouping_settings import GroupSettings

SINGLE, PHOTOMETRIC, EPIPOLAR = 0, 1, 2
ONE_PHOTO = "the person has one usable photo"
NO_PHOTO = "the person has no usable photo"


@dataclass(frozen=True)
class View:
    """A photo that is used.

    yaw: degrees, positive = nose to the image right. rotation: (3, 3) of the head. score: of its landmarks.
    sitting: empty when nobody said.
    """

    photo: str
    sitting: str
    yaw: float
    rotation: NDArray[np.float64]
    score: float


@dataclass(frozen=True)
class ViewTuple:
    """A tuple: `source1` has the smaller yaw (nose further to the image left), `source2` the larger.

    Photos that a tuple lacks are None; `overlap` is the share of the target's face that the worse source sees
    (NaN without source).
    """

    sitting: str
    source1: View | None
    target: View | None
    source2: View | None
    overlap: float
    flag: int
    reason: str

    @property
    def sources(self) -> list[View]:
        return [view for view in (self.source1, self.source2) if view is not None]


def form_tuples(
    views: Sequence[View], overlap: Callable[[View, View], float], settings: GroupSettings
) -> list[ViewTuple]:
    """The tuples of one person; every view is in at least one of them.

    Sittings with several views come first, in their order; inside, views go by yaw, and each view that has
    neighbours on both sides is the target of a triple. The neighbour on a side is the nearest view that is
    turned by `least_turn` more, or the farthest when none is. Two views are a pair whose target is the more
    frontal. Where one source of a triple sees less than `least_overlap` of the target, the triple becomes a
    pair with the other source, and one with this source that has flag 0. Views that are alone in their
    sittings form tuples across sittings in the same way, with flag 0.

    Args:
        overlap: share of the first view's (the target's) face that the second sees.
    """
    if not views:
        return [ViewTuple("", None, None, None, np.nan, SINGLE, NO_PHOTO)]
    usable = [view for view in views if abs(view.yaw) <= settings.largest_yaw]
    tuples = [
        _single(view, f"turned by {view.yaw:.0f} degrees, more than {settings.largest_yaw:g}")
        for view in views
        if abs(view.yaw) > settings.largest_yaw
    ]
    sittings: dict[str, list[View]] = {}
    together = settings.unknown_sittings == "together"
    for view in usable:
        key = view.sitting if view.sitting or together else f"/{view.photo}"  # no sitting's name has a slash
        sittings.setdefault(key, []).append(view)
    alone = [group[0] for group in sittings.values() if len(group) == 1]
    for sitting, group in sittings.items():
        if len(group) > 1:
            for found in _neighbours(sitting, group, settings):
                tuples += _judged(found, overlap, settings)
    if len(alone) == 1:
        why = ONE_PHOTO if len(views) == 1 else "the only usable photo of its sitting"
        tuples.append(_single(alone[0], why))
    elif alone:
        unknown = not any(view.sitting for view in alone)
        why = "nobody said which photos are of one sitting" if unknown else "of different sittings"
        for found in _neighbours("", alone, settings):
            shares = [overlap(_target(found), source) for source in found.sources]
            tuples.append(replace(found, overlap=min(shares), reason=why))
    return tuples


def _single(view: View, reason: str) -> ViewTuple:
    return ViewTuple(view.sitting, None, view, None, np.nan, SINGLE, reason)


def _neighbours(sitting: str, views: Sequence[View], settings: GroupSettings) -> list[ViewTuple]:
    """Triples of two or more views, or the pair of two; not judged yet. Sources that no triple has follow."""
    ordered = sorted(views, key=lambda view: (view.yaw, view.photo))
    if len(ordered) == 2:
        first, last = ordered
        if abs(first.yaw) <= abs(last.yaw):
            return [ViewTuple(sitting, None, first, last, np.nan, SINGLE, "")]
        return [ViewTuple(sitting, first, last, None, np.nan, SINGLE, "")]
    tuples = []
    for place in range(1, len(ordered) - 1):
        target = ordered[place]
        before, after = ordered[:place][::-1], ordered[place + 1 :]
        sources = [
            next((view for view in side if abs(view.yaw - target.yaw) >= settings.least_turn), side[-1])
            for side in (before, after)
        ]
        tuples.append(ViewTuple(sitting, sources[0], target, sources[1], np.nan, SINGLE, ""))
    return tuples


def _judged(
    found: ViewTuple, overlap: Callable[[View, View], float], settings: GroupSettings
) -> list[ViewTuple]:
    """The tuple with overlap, flag and reason; two when only one of its sources overlaps."""
    target = _target(found)
    shares = {source.photo: overlap(target, source) for source in found.sources}
    blind = [source for source in found.sources if shares[source.photo] < settings.least_overlap]
    if blind and len(blind) < len(found.sources):
        return [
            part
            for lacking in (
                replace(found, source1=None),
                replace(found, source2=None),
            )
            for part in _judged(lacking, overlap, settings)
        ]
    found = replace(found, overlap=min(shares.values()))
    if blind:
        return [replace(found, flag=SINGLE, reason=_no_overlap(target, blind, shares, settings))]
    why = _no_epipolar_lines(found, settings)
    return [replace(found, flag=PHOTOMETRIC if why else EPIPOLAR, reason=why)]


def _no_overlap(target: View, blind: list[View], shares: dict[str, float], settings: GroupSettings) -> str:
    seen = " and ".join(f"{shares[view.photo]:.0%} in {view.photo}" for view in blind)
    return (
        f"the views do not overlap enough: of the face in {target.photo} one sees {seen} "
        f"(least_overlap {settings.least_overlap:.0%})"
    )


def _no_epipolar_lines(found: ViewTuple, settings: GroupSettings) -> str:
    """Why epipolar lines between the views would mean nothing; empty when they do."""
    target = _target(found)
    for view in (target, *found.sources):
        if view.score < settings.epipolar_score:
            return f"no epipolar term: landmark score {view.score:.2f} of {view.photo}"
        if abs(view.yaw) > settings.epipolar_yaw:
            return f"no epipolar term: {view.photo} is turned by {abs(view.yaw):.0f} degrees"
    for source in found.sources:
        turn = _turn_between(target.rotation, source.rotation)
        if turn < settings.epipolar_turn:
            return f"no epipolar term: {turn:.1f} degrees between {target.photo} and {source.photo}"
    return ""


def _turn_between(first: NDArray, second: NDArray) -> float:
    """Angle of the rotation from one orientation to the other, degrees."""
    cosine = (np.trace(first.T @ second) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _target(found: ViewTuple) -> View:
    assert found.target is not None
    return found.target
