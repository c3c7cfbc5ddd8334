"""The page: what it says, that it needs nothing else, and that no name can break it."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from facemill.report.face_section import choose_faces, poster_of
from facemill.report.inputs import read_inputs, read_times
from facemill.report.page import SECTIONS, render_report, write_report
from facemill.report.sections import Page, Section, duration
from facemill.report.settings import ReportSettings
from facemill.runtime.errors import FormatError
from unit.report.small_run import HOSTILE, HOSTILE_REASON, SmallRun, make_run

CONFIGURATION = {"run": "demo", "photos": {"portraits": {"folder": "</pre><script>alert(3)</script>"}}}


class Reader(HTMLParser):
    """Collects texts, tags and attributes, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data.strip())

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> SmallRun:
    return make_run(tmp_path_factory.mktemp("run") / "demo")


@pytest.fixture(scope="module")
def inputs(run):
    return read_inputs("demo", run.results, run.benchmarks, CONFIGURATION, run.faces, run.coarse)


@pytest.fixture(scope="module")
def text(inputs):
    return render_report(inputs, ReportSettings())


def test_counts_and_reasons(text):
    texts = Reader(text).texts
    seen = [value for value in texts[texts.index("photos") : texts.index("photos") + 20] if value]
    assert seen[:6] == ["photos", "6", "faces", "3", "without a face", "3"]
    assert seen[6:10] == ["median landmark error", "3.0 %", "median colour error", "25.5 / 255"]
    assert "fit_failed" in texts  # the status of the last stage counts, not that of faces.csv
    assert "landmark error 0.31 is above 0.25" in texts
    assert "NA" in texts  # a photo's name, not a missing value


def test_every_name_is_escaped(text):
    reader = Reader(text)
    assert HOSTILE in reader.texts
    assert HOSTILE_REASON in reader.texts
    assert all("onerror" not in attributes for _, attributes in reader.tags)
    assert "alert(" not in "".join(re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL))
    assert not any(tag == "b" for tag, _ in reader.tags)
    assert "alert(3)" in "".join(reader.texts)  # in the configuration, as text


def test_the_page_needs_nothing_else(text):
    reader = Reader(text)
    for tag, attributes in reader.tags:
        for name in ("src", "href", "data", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), f"<{tag} {name}={value[:40]}>"
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    assert "@import" not in text


def test_only_the_pages_own_script_may_run(text):
    policy = next(a["content"] for a in Reader(text).all("meta") if a.get("http-equiv"))
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_pictures_have_words_and_sizes(text):
    images = Reader(text).all("img")
    assert len(images) == 3 * 6
    assert all("alt" in image and image["width"] and image["height"] for image in images)
    assert f"{HOSTILE}: the reconstruction laid on the photo" in [image["alt"] for image in images]


def test_headings_follow_one_another(text):
    levels = [int(tag[1]) for tag, _ in Reader(text).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    targets = {a["href"][1:] for a in Reader(text).all("a")}
    assert targets <= {a.get("id") for _, a in Reader(text).tags}


def test_faces_share_the_arrays_of_their_topology(text):
    buffers = re.findall(r'<script type="application/octet-stream" id="(b[0-9a-f]+)">', text)
    assert len(buffers) == len(set(buffers))
    assert len(buffers) == 3 + 3 + 2  # positions and texture of each face, triangles and uv once
    views = [a["data-mesh"] for a in Reader(text).all("figure") if "data-mesh" in a]
    assert len(views) == 3
    assert all(name in buffers for view in views for name in re.findall(r'"(b[0-9a-f]{20})"', view))


def test_equal_input_gives_equal_bytes_and_the_file_is_whole(inputs, text, tmp_path):
    write_report(tmp_path / "report.html", inputs, ReportSettings())
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text


def test_settings_bound_the_page(inputs):
    few = render_report(inputs, ReportSettings(max_faces=1, max_rows=1, viewers=False, title="A & B"))
    assert len(Reader(few).all("img")) == 5
    assert "2 more faces in the set portraits" in few
    assert "2 more: see" in few
    assert "application/octet-stream" not in few
    assert "<h1>A &amp; B</h1>" in few
    none = render_report(inputs, ReportSettings(max_faces=0))
    assert not Reader(none).all("img")
    assert "3 more faces" in none


def test_a_damaged_face_is_left_out_and_the_others_stay(tmp_path, caplog):
    run = make_run(tmp_path / "demo")
    (run.results / "coarse" / "portraits" / "ann" / "camera.json").write_text("{}")
    (run.results / "coarse" / "portraits" / HOSTILE / "closeup.png").write_bytes(b"no picture")
    inputs = read_inputs("demo", run.results, run.benchmarks, {}, run.faces, run.coarse)
    page = render_report(inputs, ReportSettings())
    assert len([a for a in Reader(page).all("figure") if "data-mesh" in a]) == 1
    assert "2 more faces" in page
    assert "camera.json" in caplog.text


def test_a_run_without_anything_still_has_a_page(tmp_path):
    inputs = read_inputs("nothing", tmp_path, tmp_path / "none", {})
    page = render_report(inputs, ReportSettings())
    assert "This run has no photos." in page
    assert 'id="faces"' not in page
    assert 'id="times"' not in page


def test_sections_can_be_added_and_are_ordered_by_position(inputs):
    def extra(page: Page) -> Section:
        return Section("extra", "Evaluation", 30, page.fill("photos.html", rows=[], hidden=0, many=False))

    page = render_report(inputs, ReportSettings(max_faces=0), (extra, *SECTIONS))
    order = re.findall(r'<section id="(\w+)"', page)
    assert order == ["summary", "faces", "extra", "photos", "times", "provenance"]


def test_times_are_sums_per_rule(run):
    times = read_times(run.benchmarks).set_index("rule")
    assert list(times.index) == ["reconstruct_coarse", "detect_faces"]
    assert times.loc["detect_faces"].to_dict() == {
        "jobs": 2,
        "seconds": 20.0,
        "cpu_seconds": 20.0,
        "memory": 300.5,
    }


def test_wrong_tables_say_so(run, tmp_path):
    def read(faces=run.faces, coarse=run.coarse, benchmarks=run.benchmarks):
        return read_inputs("demo", run.results, benchmarks, {}, faces, coarse)

    with pytest.raises(FormatError, match=r"belongs to a set without faces\.csv"):
        read(faces=run.faces[1:])
    with pytest.raises(FormatError, match="is missing"):
        read(faces=[tmp_path / "set" / "faces.csv"])
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "faces.csv").write_text("name,status\na,ok\n")
    with pytest.raises(FormatError, match="lacks the columns photo, reason"):
        read(faces=[tmp_path / "set" / "faces.csv"], coarse=[])
    (tmp_path / "bench" / "rule").mkdir(parents=True)
    (tmp_path / "bench" / "rule" / "x.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(FormatError, match="is no benchmark of Snakemake"):
        read(benchmarks=tmp_path / "bench")


def test_a_set_that_was_not_exported_has_no_faces_but_its_rows(run):
    inputs = read_inputs("demo", run.results, run.benchmarks, {}, run.faces, [])
    assert [len(one.photos) for one in inputs.sets] == [5, 1]
    assert all(one.faces.empty for one in inputs.sets)
    assert isinstance(inputs.sets[1].photos["photo"][0], str)
    assert 'id="faces"' not in render_report(inputs, ReportSettings())


@pytest.mark.parametrize(
    ("most", "expected"),
    [(0, {"a": 0, "b": 0}), (3, {"a": 2, "b": 1}), (100, {"a": 9, "b": 1})],
)
def test_faces_are_spread_over_the_sets(most, expected):
    assert choose_faces({"a": 9, "b": 1}, most) == expected


def test_the_poster_is_a_view_a_little_to_the_right():
    strip = np.repeat(np.arange(5), 86)[None, :, None].repeat(100, 0).repeat(3, 2).astype(np.uint8)
    assert np.unique(poster_of(strip)).tolist() == [3]
    assert poster_of(strip[:, :86]).shape == (100, 86, 3)


def test_durations_are_rounded_once():
    assert [duration(value) for value in (59.94, 119.6, 3599.7)] == ["59.9 s", "2 min 00 s", "1 h 00 min"]
