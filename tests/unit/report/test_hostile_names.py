"""No name of a photo becomes part of the page's structure: a browser sees the elements of a plain run."""

from collections import Counter
from html.parser import HTMLParser

import pandas as pd
import pytest

from facemill.photos.plan import safe_key
from facemill.report.inputs import read_inputs
from facemill.report.page import render_report
from facemill.report.settings import ReportSettings
from unit.report.small_run import make_run

#: Stems of file names: a slash cannot be in one, and the plan takes out what no path may hold.
STEMS = (
    "<script>alert(1)<∕script>",
    '"onload="alert(1)',
    "'><img src=x onerror=alert(2)>",
    "{{7*7}}",
    "{% for x in y %}",
    "%s %d %(name)s",
    "a b  c",
    "--><!--",
    "<!DOCTYPE html><plaintext>",
    "]]><style>*{display:none}<",
    "javascript:alert(3)",
    "&lt;b&gt; &amp; &#60;i&#62;",
    "👩‍🦰",
    "\u202egnp.x",
    "line\nbreak",
)
REASONS = ("</td></table><script>alert(4)</script>", "</script><b onclick='x'>", "{{ 7 * 7 }}", "</title>")


ADDRESSES = ("action", "data", "formaction", "href", "src", "xlink:href")


class Elements(HTMLParser):
    """Counts elements with the names of their attributes, and collects what is text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: Counter[tuple[str, ...]] = Counter()
        self.texts: list[str] = []
        self.values: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements[tag, *sorted(name for name, _ in attrs)] += 1
        self.values += [value for name, value in attrs if value and name != "src"]
        self.addresses += [value for name, value in attrs if value and name in ADDRESSES]

    def handle_comment(self, data):
        self.elements[("comment",)] += 1

    def handle_decl(self, decl):
        self.elements[("declaration",)] += 1

    def handle_data(self, data):
        self.texts.append(data)


def page_of(folder, names, reasons) -> Elements:
    run = make_run(folder / "demo", names=names)
    for table in run.faces:
        rows = pd.read_csv(table, dtype=str, keep_default_na=False)
        more = [{"photo": f"{name} again", "status": "unreadable", "reason": why} for name, why in reasons]
        pd.concat([rows, pd.DataFrame(more)]).to_csv(table, index=False)
    configuration = {"photos": {"portraits": {"folder": reasons[0][1]}}}
    inputs = read_inputs("demo", run.results, run.benchmarks, configuration, run.faces, run.coarse)
    return Elements(render_report(inputs, ReportSettings()))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    hostile, plain = [safe_key(stem) for stem in STEMS], [f"plain {n}" for n in range(len(STEMS))]
    paired = [(hostile[n % len(hostile)], why) for n, why in enumerate(REASONS)]
    return (
        page_of(tmp_path_factory.mktemp("hostile"), hostile, paired),
        page_of(tmp_path_factory.mktemp("plain"), plain, [(f"p{n}", "why") for n in range(len(REASONS))]),
    )


def test_names_and_reasons_create_no_element_and_no_attribute(pages):
    hostile, plain = pages
    assert sum(plain.elements.values()) > 100
    assert hostile.elements - plain.elements == Counter()
    assert plain.elements - hostile.elements == Counter()


def test_names_and_reasons_are_shown_as_they_are(pages):
    text = "\n".join([*pages[0].texts, *pages[0].values])
    for shown in (*(safe_key(stem) for stem in STEMS), *REASONS):
        assert shown in text, shown
    assert "49" not in {part.strip() for part in pages[0].texts}


def test_names_are_no_addresses(pages):
    assert pages[0].addresses
    assert not [value for value in pages[0].addresses if value.strip().lower().startswith("javascript:")]
