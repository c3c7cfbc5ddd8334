"""The report of a run: one page that works from disk, without a network and without other files."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from facemill.report.capture_section import captures_section
from facemill.report.detail_section import detail_section
from facemill.report.evaluation_section import evaluation_section
from facemill.report.face_section import faces_section
from facemill.report.inputs import ReportInputs
from facemill.report.people_section import people_section
from facemill.report.sections import (
    Page,
    Section,
    photos_section,
    provenance_section,
    summary_section,
    times_section,
)
from facemill.report.settings import ReportSettings
from facemill.report.surface_section import surfaces_section
from facemill.report.training_section import training_section
from facemill.runtime.files import write_text

logger = logging.getLogger(__name__)

#: From the run to a piece of the page; None when the run has nothing for it.
SectionMaker = Callable[[Page], Section | None]

SECTIONS: tuple[SectionMaker, ...] = (
    summary_section,
    evaluation_section,
    faces_section,
    detail_section,
    people_section,
    captures_section,
    surfaces_section,
    training_section,
    photos_section,
    times_section,
    provenance_section,
)


def write_report(
    path: str | Path,
    inputs: ReportInputs,
    settings: ReportSettings,
    makers: Iterable[SectionMaker] = SECTIONS,
) -> None:
    """Write the page. All names are escaped; equal input gives equal bytes.

    Args:
        path: of the page.
        makers: of its sections, in any order.
    """
    text = render_report(inputs, settings, makers)
    write_text(path, text)
    logger.info("%s: %.1f MB", path, len(text) / 1e6)


def render_report(
    inputs: ReportInputs, settings: ReportSettings, makers: Iterable[SectionMaker] = SECTIONS
) -> str:
    """The page as text. Its policy (CSP) allows its own script and embedded pictures, and nothing else."""
    page = Page(inputs, settings, _templates())
    sections = [section for maker in makers if (section := maker(page)) is not None]
    script = _asset("viewer.js")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return page.templates.get_template("page.html").render(
        title=settings.title or inputs.run,
        subtitle=_subtitle(inputs),
        sections=sorted(sections, key=lambda section: (section.position, section.identifier)),
        style=Markup(_asset("page.css")),
        script=Markup(script),
        script_hash=digest,
        buffers=page.viewers.buffers,
    )


def _subtitle(inputs: ReportInputs) -> str:
    names = ", ".join(one.name for one in inputs.sets)
    return f"run {inputs.run}" + (
        f" · photo set{'s' if len(inputs.sets) > 1 else ''} {names}" if names else ""
    )


def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _asset(name: str) -> str:
    return (resources.files("facemill.report") / "templates" / name).read_text(encoding="utf-8")
