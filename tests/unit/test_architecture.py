"""The house rules that a machine can check: arrows, file lengths, one name for a stage."""

import ast
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "src" / "facemill"
STAGES = {"photos", "coarse", "detail", "multiview", "evaluation", "synthesis", "report"}
SHARED = {"faces", "networks", "training"}
LOWER = {"models", "formats", "rendering", "geometry", "runtime"}
MAY_IMPORT = {
    **dict.fromkeys(STAGES, SHARED | LOWER),
    "faces": LOWER,
    "networks": {"runtime"},
    "training": {"formats", "runtime"},
    "models": {"formats", "rendering", "geometry", "runtime"},
    "formats": {"geometry", "runtime"},
    "rendering": {"geometry", "runtime"},
    "geometry": {"runtime"},
    "runtime": set(),
    "configuration": STAGES | SHARED | LOWER,
}


def library_imports(path: Path) -> list[tuple[int, str]]:
    """(line, room) for each import of one of our rooms in `path`."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found += [(node.lineno, name.split(".")[1]) for name in names if name.startswith("facemill.")]
    return found


def room_of(path: Path) -> str:
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def python_files() -> list[Path]:
    folders = ["src", "scripts", "tests", "workflow"]
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def rule_texts() -> dict[str, str]:
    """The text of each rule of the workflow, by name."""
    texts = {}
    for path in [ROOT / "workflow" / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk"))]:
        parts = re.split(r"^rule (\w+):", path.read_text(), flags=re.MULTILINE)
        texts.update(zip(parts[1::2], parts[2::2], strict=True))
    return texts


def test_arrows_point_one_way():
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports facemill.{target}"
        for path in sorted(LIBRARY.rglob("*.py"))
        if path.parent != LIBRARY or path.stem == "configuration"
        for line, target in library_imports(path)
        if target != room_of(path) and target not in MAY_IMPORT[room_of(path)]
    ]
    assert not wrong, "\n".join(wrong)


def test_every_room_is_known():
    rooms = {path.name for path in LIBRARY.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms <= STAGES | SHARED | LOWER


def test_the_library_knows_nothing_of_snakemake():
    wrong = [
        path
        for path in LIBRARY.rglob("*.py")
        if re.search(r"^\s*(import|from) snakemake", path.read_text(), re.M)
    ]
    assert not wrong


def test_packages_import_nothing_by_themselves():
    for path in LIBRARY.rglob("__init__.py"):
        body = ast.parse(path.read_text()).body
        assert all(isinstance(node, ast.Expr) for node in body), f"{path} holds more than a docstring"


def test_no_file_of_400_lines_or_more():
    files = [*python_files(), *(ROOT / "workflow").rglob("*.smk")]
    long = [f"{path.relative_to(ROOT)}" for path in files if len(path.read_text().splitlines()) >= 400]
    assert not long


def test_rule_script_and_environment_share_one_name():
    rules = rule_texts()
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    environments = {path.stem for path in (ROOT / "envs").glob("*.yaml")}
    assert set(rules) - {"all"} == scripts == environments


@pytest.mark.parametrize("name", sorted(set(rule_texts()) - {"all"}))
def test_rule_declares_what_every_rule_must(name):
    text = rule_texts()[name]
    assert f'"../../scripts/{name}.py"' in text
    assert f'"../../envs/{name}.yaml"' in text
    for directive in ("input:", "output:", "log:", "benchmark:", "threads:", "resources:", "params:"):
        assert re.search(rf"^    {directive}", text, re.MULTILINE), f"rule {name} lacks {directive}"
    assert f'code=plan.code("{name}")' in text


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.stem)
def test_scripts_are_thin(path):
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(
            node, ast.FunctionDef | ast.ClassDef | ast.If | ast.For | ast.While | ast.Try | ast.comprehension
        ), f"{path.name}:{node.lineno} belongs in the library"


def test_environments_cover_the_imports_of_their_scripts():
    main = runpy.run_path(str(ROOT / "workflow" / "tools" / "generate_envs.py"))["main"]
    assert main(["--check"]) == 0, "run `make envs`"
