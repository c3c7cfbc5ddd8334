"""The Containerfile installs what the Makefile needs, and no image gets what must not leave the machine."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# make setup itself: pip over https, the commit of the provenance, the interpreter.
FOR_SET_UP = {"ca-certificates", "git", "make", "python3", "python3-venv"}


def instructions() -> list[tuple[str, str]]:
    """(instruction, arguments) of the Containerfile, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Containerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines if line.strip()]


def test_packages_are_those_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    wanted = re.search(r"^SYSTEM_LIBRARIES := (.*)$", makefile, re.MULTILINE)
    (install,) = [rest for name, rest in instructions() if name == "RUN" and "apt-get install" in rest]
    named = install.partition("apt-get install")[2].partition("&&")[0].split()
    packages = {word for word in named if not word.startswith("-")}
    assert wanted and packages == FOR_SET_UP | set(wanted[1].split())


def test_the_image_sets_itself_up_and_runs_snakemake_on_the_repository():
    found = instructions()
    assert found[0] == ("FROM", "docker.io/library/debian:bookworm-slim")
    place = next(rest for name, rest in found if name == "WORKDIR")
    assert ("COPY", ". .") in found
    assert any(name == "RUN" and rest.startswith("make setup") for name, rest in found)
    assert ("ENTRYPOINT", f'["snakemake", "--snakefile", "{place}/workflow/Snakefile"]') in found
    assert any(name == "ENV" and f"PATH={place}/.venv/bin:$PATH" in rest for name, rest in found)


def test_results_environments_and_licensed_files_stay_out_of_the_image():
    ignored = (ROOT / ".containerignore").read_text(encoding="utf-8").splitlines()
    assert {"results", ".venv", ".snakemake", "resources/licensed/*"} <= set(ignored)
