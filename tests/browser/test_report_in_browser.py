"""The report in a real browser: nothing fails, every 3-D view draws, no name runs, no width overflows."""

import contextlib
import time
from pathlib import Path
from typing import Any

import pytest

from unit.report.small_run import HOSTILE

pytestmark = pytest.mark.browser

WIDTHS = {"desktop": 1280, "phone": 390}
WATCH = """
window.alerts = 0; window.alert = () => { window.alerts += 1; };
window.contexts = [];
const original = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  const found = window.webglMissing && kind === "webgl2" ? null : original.call(this, kind, ...rest);
  if (kind === "webgl2") window.contexts.push(found);
  return found;
};
"""
# Colours, counted coarsely, of the picture in a canvas, and a digest of it.
LOOK = """
const canvas = arguments[0];
const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
const colors = new Map(); let digest = 0;
for (let i = 0; i < data.length; i += 4) {
  const key = (data[i] >> 3) << 10 | (data[i + 1] >> 3) << 5 | data[i + 2] >> 3;
  colors.set(key, (colors.get(key) || 0) + 1);
  digest = (digest * 31 + key) >>> 0;
}
return [colors.size, Math.max(...colors.values()) / (data.length / 4), digest];
"""


@pytest.fixture
def page(driver: Any, report: Path, request: pytest.FixtureRequest) -> Any:
    """The report, freshly opened at the width of the test's parameter (a desktop's by default)."""
    return opened(driver, report, getattr(request, "param", "desktop"))


def opened(driver: Any, report: Path, kind: str, before: str = "") -> Any:
    size = {"width": WIDTHS[kind], "height": 844, "deviceScaleFactor": 1, "mobile": kind == "phone"}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    script = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": before + WATCH})
    driver.get_log("browser")  # forget what earlier pages said
    driver.get(report.as_uri())
    driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    return driver


def viewers(page: Any) -> list[Any]:
    return page.find_elements("css selector", ".viewer")


def start(page: Any, viewer: Any) -> Any:
    """Press the button of a view and return its canvas once it has drawn."""
    page.execute_script("arguments[0].querySelector('.start').click()", viewer)
    wait_for(lambda: viewer.get_attribute("data-state") == "open", viewer)
    return viewer.find_element("css selector", "canvas")


def wait_for(condition: Any, viewer: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, viewer.find_element("css selector", ".message").text
        time.sleep(0.05)


def look(page: Any, canvas: Any) -> list[float]:
    time.sleep(0.1)  # a change is drawn with the next frame
    return page.execute_script(LOOK, canvas)


def errors(page: Any) -> list[str]:
    return [entry["message"] for entry in page.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.parametrize("page", WIDTHS, indirect=True)
def test_opens_without_errors_and_without_running_a_name(page):
    time.sleep(0.3)
    assert errors(page) == []
    assert page.execute_script("return window.alerts") == 0
    assert HOSTILE in [heading.text for heading in page.find_elements("css selector", "h4")]


@pytest.mark.parametrize("page", WIDTHS, indirect=True)
def test_does_not_overflow(page, request):
    kind = request.node.callspec.params["page"]
    start(page, viewers(page)[0])
    widest = page.execute_script("return document.documentElement.scrollWidth")
    assert widest <= WIDTHS[kind]


def test_all_pictures_are_shown(page):
    broken = page.execute_script(
        """const images = [...document.images]; images.forEach(image => { image.loading = "eager"; });
        return Promise.all(images.map(image => image.decode())).then(
          () => images.filter(image => !image.naturalWidth).length)"""
    )
    assert broken == 0


@pytest.mark.parametrize("page", WIDTHS, indirect=True)
def test_every_view_draws_its_face_with_one_context(page):
    seen = set()
    for viewer in viewers(page):
        page.execute_script("arguments[0].scrollIntoView({block: 'center'})", viewer)
        colors, largest, digest = look(page, start(page, viewer))
        assert colors > 30  # a shaded, textured surface
        assert 0.05 < largest < 0.95  # and the backdrop around it
        seen.add(digest)
    assert len(seen) == len(viewers(page)) == 20  # each shows its own face
    assert page.execute_script("return window.contexts.length") == 1
    assert errors(page) == []


def test_turning_zooming_texture_and_reset(page):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    viewer = viewers(page)[0]
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", viewer)
    canvas = start(page, viewer)
    begin = look(page, canvas)
    for keys in (Keys.ARROW_LEFT, Keys.ARROW_UP, "+", "-"):
        before = look(page, canvas)
        canvas.send_keys(keys)
        assert look(page, canvas) != before, keys
    canvas.send_keys(Keys.HOME)
    assert look(page, canvas) == begin
    ActionChains(page).move_to_element(canvas).click_and_hold().move_by_offset(60, 10).release().perform()
    dragged = look(page, canvas)
    assert dragged != begin
    viewer.find_element("css selector", "[data-action=reset]").click()
    assert look(page, canvas) == begin
    toggle = viewer.find_element("css selector", "[data-action=texture]")
    toggle.click()
    assert toggle.get_attribute("aria-pressed") == "false"
    grey = look(page, canvas)
    assert grey[0] < begin[0]
    toggle.click()
    assert look(page, canvas) == begin


def test_the_face_shows_its_front_the_right_way_up(page):
    """The hill's texture grows red downwards and green to the right, so the middle rows must too."""
    from selenium.webdriver.common.keys import Keys

    canvas = start(page, viewers(page)[0])
    for _ in range(3):
        canvas.send_keys(Keys.ARROW_LEFT)
    look(page, canvas)
    top, bottom, left, right = page.execute_script(
        """const canvas = arguments[0], context = canvas.getContext("2d");
        const [w, h] = [canvas.width, canvas.height];
        const at = (x, y) => [...context.getImageData(Math.round(x * w), Math.round(y * h), 1, 1).data];
        return [at(0.5, 0.35), at(0.5, 0.65), at(0.35, 0.5), at(0.65, 0.5)]""",
        canvas,
    )
    assert bottom[0] > top[0] + 10
    assert right[1] > left[1] + 10


def test_views_survive_the_loss_of_the_context(page):
    first, second = (start(page, viewer) for viewer in viewers(page)[:2])
    begin = look(page, first), look(page, second)
    page.execute_script("window.contexts[0].getExtension('WEBGL_lose_context').loseContext()")
    time.sleep(0.5)
    assert (look(page, first), look(page, second)) == begin
    assert page.execute_script("return window.contexts.length") == 2
    assert errors(page) == []


def test_without_webgl_the_picture_stays_and_says_why(driver, report):
    page = opened(driver, report, "desktop", before="window.webglMissing = true;")
    viewer = viewers(page)[0]
    page.execute_script("arguments[0].querySelector('.start').click()", viewer)
    message = viewer.find_element("css selector", ".message")
    with contextlib.suppress(AssertionError):
        wait_for(lambda: "cannot" in message.text, viewer)
    assert message.text == "The 3-D view cannot be shown: this browser has no WebGL 2."
    assert viewer.find_element("css selector", ".stage img").is_displayed()
    assert not viewer.find_element("css selector", "canvas").is_displayed()


def test_everything_can_be_reached_with_the_keyboard(page):
    focusable = page.execute_script(
        """return [...document.querySelectorAll("a, button, summary, [tabindex]")]
        .filter(e => e.checkVisibility()).every(e => e.tabIndex >= 0)"""
    )
    assert focusable
    unnamed = page.execute_script(
        """return [...document.querySelectorAll("button, canvas, a")]
        .filter(e => !(e.getAttribute("aria-label") || e.textContent.trim())).length"""
    )
    assert unnamed == 0
