"""Write one conda environment per rule: what its script imports, pinned as in constraints.txt.

    python workflow/tools/generate_envs.py            write envs/*.yaml
    python workflow/tools/generate_envs.py --check    fail with a diff when a file differs

The packages of an environment are the third-party modules that the script and the library modules it
reaches import, found by parsing; so an environment covers its rule by construction, and rules with
equal needs share one environment on disk, because Snakemake identifies environments by content.
"""

import ast
import difflib
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))

from facemill.runtime.digests import PACKAGE, library_modules  # noqa: E402  (needs the path above)

HEADER = "# Made by `make envs` from what scripts/{rule}.py imports; versions are those of constraints.txt.\n"


def imported_modules(files: list[Path]) -> set[str]:
    """Top-level names of the third-party modules that `files` import anywhere, lazily or not."""
    names: set[str] = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return {name for name in names if name not in sys.stdlib_module_names and name != PACKAGE}


def pinned_versions() -> dict[str, str]:
    """Versions of constraints.txt by normalised package name."""
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, _, version = line.partition("==")
        pins[normalise(name)] = version.strip()
    return pins


def normalise(name: str) -> str:
    """PyPI's own normal form of a package name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def environment(script: Path, tables: dict, pins: dict[str, str]) -> str:
    """The text of the environment file of `script`."""
    files = [script, *library_modules(script, ROOT / "src")]
    packages = {tables["imports"].get(name, name) for name in imported_modules(files)}
    packages.update(tables["rules"].get(script.stem, []))
    for package in sorted(packages):
        packages.update(tables["companions"].get(package, []))
    conda, pip = [], []
    for package in sorted(packages, key=str.lower):
        version = tables["versions"].get(package) or pins[normalise(package)]
        if package in tables["pip"]:
            pip.append(tables["pip"][package].format(version=version))
        else:
            conda.append(f"{tables['names'].get(package, package)}={version.split('.post')[0]}")
    lines = ["channels:", "  - conda-forge", "  - nodefaults", "dependencies:", "  - python=3.11"]
    lines += [f"  - {name}" for name in conda]
    if pip:
        lines += ["  - pip", "  - pip:", *[f"      - {name}" for name in pip]]
    return HEADER.format(rule=script.stem) + "\n".join(lines) + "\n"


def generated() -> dict[Path, str]:
    """Every environment file and the text it should hold."""
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["facemill"]["conda"]
    pins = pinned_versions()
    scripts = sorted((ROOT / "scripts").glob("*.py"))
    return {ROOT / "envs" / f"{script.stem}.yaml": environment(script, tables, pins) for script in scripts}


def main(arguments: list[str]) -> int:
    """Write, or with --check compare; returns the exit code."""
    wanted = generated()
    present = {path: path.read_text() for path in sorted((ROOT / "envs").glob("*.yaml"))}
    if "--check" not in arguments:
        for path in present.keys() - wanted.keys():
            path.unlink()
        for path, text in wanted.items():
            path.write_text(text)
        return 0
    wrong = [path for path in wanted.keys() | present.keys() if wanted.get(path) != present.get(path)]
    for path in sorted(wrong):
        old, new = present.get(path, "").splitlines(), wanted.get(path, "").splitlines()
        print("\n".join(difflib.unified_diff(old, new, str(path), "make envs", lineterm="")))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
