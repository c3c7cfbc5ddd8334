"""The model and a smooth offset brought onto the places where photos agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from facemill.multiview.base_mesh.evidence import CaptureViews, Evidence, SurfaceSearch, joined
from facemill.multiview.base_mesh.landmark_fit import CaptureLandmarks, LandmarkFit
from facemill.multiview.base_mesh.outline import OutlineSearch
from facemill.multiview.base_mesh.settings import FitBaseMeshSettings, MatchPass
from facemill.multiview.base_mesh.skin_colours import SkinColours
from facemill.multiview.base_mesh.smooth_offset import SmoothOffset
from facemill.multiview.base_mesh.state import (
    Equations,
    PersonState,
    Placed,
    Prior,
    added,
    equations_of,
    stepped,
    world_jacobian,
)
from facemill.multiview.view_geometry import FloatArray

STEPS = 5
HUE_STEPS = 4
MOST_PLACES = 2500  # that the coefficients follow: more tell them nothing new
TOLERANCE = 2.5  # deviations at which a place counts half (Cauchy)
ALSO_MOVING = ("ears", "scalp", "eyes", "lips")  # carried along by the offset of the skin beside them


@dataclass(frozen=True)
class Surface:
    """What the photos of one capture say: evidence, and targets (N, 3), world, of its vertices."""

    evidence: Evidence
    targets: FloatArray

    def some(self, most: int) -> Surface:
        """Evenly `most` of the places."""
        step = max(1, -(-len(self.targets) // most))
        found = self.evidence
        fewer = replace(
            found,
            ids=found.ids[::step],
            shift=found.shift[::step],
            normals=found.normals[::step],
            weight=found.weight[::step],
            views=found.views[::step],
        )
        return Surface(fewer, self.targets[::step])


class SurfaceFit:
    """Image evidence for all captures of a person; prepared once per model."""

    def __init__(self, landmarks: LandmarkFit, settings: FitBaseMeshSettings, threads: int) -> None:
        self.landmarks, self.settings = landmarks, settings
        self.model = landmarks.model
        topology = self.model.topology
        self.search = SurfaceSearch(topology, settings.most_views, settings.least_score, threads)
        self.outlines = OutlineSearch(topology, self.search.sought, threads)
        self.moving = self.search.sought.copy()
        for name in ALSO_MOVING:
            if name in topology.regions:
                self.moving |= topology.regions[name].numpy()

    def run(
        self,
        state: PersonState,
        prior: Prior,
        landmarks: Sequence[CaptureLandmarks],
        views: Sequence[CaptureViews],
        one: MatchPass,
    ) -> tuple[PersonState, list[Surface], FloatArray]:
        """One pass: find places, fit the coefficients of all captures together, then each offset.

        Returns:
            the state, what was found per capture, and the covariance of the unknowns (`state.stepped`).
        """
        surfaces = []
        for number, seen in enumerate(views):
            vertices = state.world(self.model, number)
            unit = state.captures[number].scale
            found = self.search.search(seen, vertices, unit, one)
            if seen.colours:
                normals = self.search.normals(vertices)
                outlines = self.outlines.search(seen, vertices, normals, unit, one)
                found = joined(found, outlines)
            step = (found.shift * unit)[:, None] * found.normals
            surfaces.append(Surface(found, vertices[found.ids] + step))
        state = self._without_offset(state)
        fewer = [surface.some(MOST_PLACES) for surface in surfaces]
        for _ in range(STEPS):
            equations = [
                added(
                    self._equations(state, number, fewer[number], len(surfaces[number].targets), one),
                    self.landmarks.equations(capture, state, number, one.landmarks),
                )
                for number, capture in enumerate(landmarks)
            ]
            state, covariance = stepped(state, equations, prior)
        placed = [self._with_offset(state, n, surface, one) for n, surface in enumerate(surfaces)]
        return replace(state, captures=tuple(placed)), surfaces, covariance

    def slide(
        self,
        state: PersonState,
        prior: Prior,
        landmarks: Sequence[CaptureLandmarks],
        views: Sequence[CaptureViews],
        surfaces: Sequence[Surface],
        skin: SkinColours,
        one: MatchPass,
    ) -> tuple[PersonState, FloatArray]:
        """After the last pass: move the coefficients so that brows, lips and lids lie where photos show them.

        Args:
            surfaces: what the last pass `one` found; they keep the surface in place.
        """
        fewer = [surface.some(MOST_PLACES) for surface in surfaces]
        for _ in range(HUE_STEPS):
            hues = [
                skin.equations(state, number, seen, self.search.normals(state.world(self.model, number)))
                for number, seen in enumerate(views)
            ]
            bare = self._without_offset(state)
            equations = [
                added(
                    self._equations(bare, number, fewer[number], len(surfaces[number].targets), one),
                    self.landmarks.equations(capture, bare, number, one.landmarks),
                    hues[number],
                )
                for number, capture in enumerate(landmarks)
            ]
            bare, covariance = stepped(bare, equations, prior)
            placed = [self._with_offset(bare, n, surface, one) for n, surface in enumerate(surfaces)]
            state = replace(bare, captures=tuple(placed))
        return state, covariance

    def _without_offset(self, state: PersonState) -> PersonState:
        nothing = np.zeros((self.model.vertex_count, 3))
        return replace(state, captures=tuple(replace(placed, offset=nothing) for placed in state.captures))

    def _equations(
        self, state: PersonState, number: int, surface: Surface, places: int, one: MatchPass
    ) -> Equations:
        """Distances along the normals; neighbouring places count once per `independent` square."""
        placed, found = state.captures[number], surface.evidence
        head = self.model.vertices(state.identity, placed.expression, found.ids) + placed.offset[found.ids]
        rest = ((surface.targets - placed.to_world(head)) * found.normals).sum(axis=1) / placed.scale
        moved = world_jacobian(self.model, state, number, found.ids, head)
        along = np.einsum("ni,nij->nj", found.normals / placed.scale, moved)
        noise = self.settings.surface_noise
        share = min(1.0, (one.samples / self.settings.independent) ** 2) * places / max(1, len(found.ids))
        weight = found.weight / (1 + (rest / (TOLERANCE * noise)) ** 2) * share / noise**2
        return equations_of(along, rest, weight)

    def _with_offset(self, state: PersonState, number: int, surface: Surface, one: MatchPass) -> Placed:
        placed, found = state.captures[number], surface.evidence
        head = self.model.vertices(state.identity, placed.expression)
        normals = self.search.normals(head)
        field = SmoothOffset(head, normals, self.moving, one.stiffness)
        targets = (surface.targets - placed.translation) @ placed.rotation / placed.scale
        towards = found.normals @ placed.rotation
        rest = ((targets - head[found.ids]) * towards).sum(axis=1)
        offset = field.solve(found.ids, towards, rest, found.weight, one.samples**2)
        return replace(placed, offset=offset)
