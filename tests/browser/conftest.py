"""Headless Chromium, driven by Selenium. `make test-browser` sets it up; elsewhere the tests are skipped."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facemill.report.inputs import read_inputs
from facemill.report.page import write_report
from facemill.report.settings import ReportSettings
from facemill.report.training_inputs import read_trainings
from unit.report.small_run import make_run
from unit.report.trained_run import make_training

FLAGS = (
    "--headless",
    "--no-sandbox",  # Chromium refuses to run as root with it
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
# More than the sixteen WebGL contexts that Chromium allows at a time.
FACES = 20


def _need(found: object, what: str) -> None:
    if not found:
        message = f"{what} is missing: run `make test-browser`, which installs it"
        (pytest.fail if os.environ.get("FACEMILL_REQUIRE_BROWSER") == "1" else pytest.skip)(message)


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser with an empty profile."""
    browser, service = shutil.which("chromium"), shutil.which("chromedriver")
    _need(browser, "Debian's package chromium")
    _need(service, "Debian's package chromium-driver")
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        _need(False, "the Python package selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(service))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with 20 faces, a training, and names that try to break it."""
    run = make_run(tmp_path_factory.mktemp("run") / "demo", more=FACES - 3)
    trainings = read_trainings(make_training(run.results / "coarse" / "train_coarse"))
    inputs = read_inputs("demo", run.results, run.benchmarks, {}, run.faces, run.coarse, trainings=trainings)
    path = run.results / "report.html"
    write_report(path, inputs, ReportSettings())
    return path
