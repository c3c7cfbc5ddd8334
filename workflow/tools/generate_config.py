"""Write what is derived from the typed settings: config/config.yaml, config/schema.json, config/README.md.

python workflow/tools/generate_config.py            write
python workflow/tools/generate_config.py --check    fail with a diff when a file differs
"""

import difflib
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))

from facemill.configuration import Configuration  # noqa: E402  (needs the path above)
from facemill.multiview.capture_settings import CaptureEntry  # noqa: E402
from facemill.photos.settings import PeopleSet, PhotoSet  # noqa: E402

YAML_HEADER = """\
# What plain `snakemake` runs: the demo's photographs, without the training of config/demo.yaml. Every key is
# here with its default; `make config` writes this file from the typed settings. For your own photographs
# change photos.portraits.folder, or copy this file, keep only what you change, and give it with --configfile:
# absent keys take their defaults.
# yaml-language-server: $schema=schema.json
"""

README_HEADER = """\
# Configuration

`snakemake` reads `config/config.yaml`; `snakemake --configfile mine.yaml` reads yours instead, and absent
keys take their defaults. `--config key=value` replaces a top-level key; `--config photos=~/pictures` is one
photo set named after its folder. Relative folders are looked up in the working directory first, then in the
repository. Editors check the file against `schema.json`. A section is named after the rule that reads it.

This page is written by `make config` from the settings classes.
"""


def is_section(field: FieldInfo) -> bool:
    """Whether a key holds the settings of a rule."""
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def commented(model: type[BaseModel], values: dict[str, Any], indent: str = "") -> list[str]:
    """YAML lines of a model, each key under its description."""
    lines = []
    for name, field in model.model_fields.items():
        if is_section(field):
            inner: Any = field.annotation
            lines += ["", f"{indent}{name}:", *commented(inner, values[name], indent + "  ")]
            continue
        lines += textwrap.wrap(
            str(field.description), 100, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
        )
        flow = not isinstance(values[name], dict) or not values[name]
        text = yaml.safe_dump(
            values[name], sort_keys=False, allow_unicode=True, default_flow_style=flow, width=100
        )
        body = text.removesuffix("...\n").splitlines()
        lines += [f"{indent}{name}: {body[0]}"] if flow else [f"{indent}{name}:"]
        lines += [f"{indent}  {line}" for line in (body[1:] if flow else body)]
    return lines


def table(model: type[BaseModel], values: dict[str, Any]) -> list[str]:
    """Markdown table of the keys of one section; keys that `values` lacks are required."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if not is_section(field):
            default = f"`{json.dumps(values[name])}`" if name in values else "required"
            lines.append(f"| `{name}` | {default} | {escaped(field)} |")
    for name, field in model.model_fields.items():
        if is_section(field):
            inner: Any = field.annotation
            lines += ["", f"`{name}`:", "", *table(inner, values[name])]
    return lines


def escaped(field: FieldInfo) -> str:
    """The description of a key inside a Markdown table."""
    return str(field.description).replace("|", "\\|")


def readme() -> str:
    """The text of config/README.md."""
    values = Configuration().model_dump(mode="json")
    lines = [README_HEADER, "## Top level", "", "| key | default | meaning |", "|---|---|---|"]
    for name, field in Configuration.model_fields.items():
        if not is_section(field):
            default = "the demo's photos" if name == "photos" else f"`{json.dumps(values[name])}`"
            lines.append(f"| `{name}` | {default} | {escaped(field)} |")
    sets: tuple[tuple[str, type[BaseModel]], ...] = (
        ("photos", PhotoSet),
        ("people", PeopleSet),
        ("captures", CaptureEntry),
    )
    for key, model in sets:
        defaults = {
            name: field.default for name, field in model.model_fields.items() if not field.is_required()
        }
        lines += ["", f"## {key}.<set>", "", *table(model, defaults)]
    for name, field in Configuration.model_fields.items():
        if is_section(field):
            inner: Any = field.annotation
            lines += ["", f"## {name}", "", *table(inner, values[name])]
    return "\n".join(lines) + "\n"


def generated() -> dict[Path, str]:
    """Every derived file and the text it should hold."""
    values = Configuration().model_dump(mode="json")
    schema = json.dumps(Configuration.model_json_schema(), indent=2, ensure_ascii=False) + "\n"
    return {
        ROOT / "config" / "config.yaml": YAML_HEADER + "\n".join(commented(Configuration, values)) + "\n",
        ROOT / "config" / "schema.json": schema,
        ROOT / "config" / "README.md": readme(),
    }


def main(arguments: list[str]) -> int:
    """Write, or with --check compare; returns the exit code."""
    wrong = 0
    for path, text in generated().items():
        present = path.read_text(encoding="utf-8") if path.exists() else ""
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif present != text:
            wrong = 1
            diff = difflib.unified_diff(
                present.splitlines(), text.splitlines(), str(path), "make config", lineterm=""
            )
            print("\n".join(diff))
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
