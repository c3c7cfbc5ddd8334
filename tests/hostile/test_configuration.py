"""YAML that would run code, and YAML that grows without end, as the configuration of a run."""

import subprocess
from pathlib import Path

import pytest

from hostile.attacks import MARKER
from workflow.running import snakemake_call

pytestmark = pytest.mark.hostile

LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
TEXTS = {
    "a call": f'run: !!python/object/apply:os.system ["touch {MARKER}"]\n',
    "a new object": f'run: !!python/object/new:subprocess.Popen [["touch", "{MARKER}"]]\n',
    "a module": "run: !!python/module:os\n",
    "aliases of aliases": LAUGHS,
    "a list": "- 1\n- 2\n",
    "a brace": "{{7*7}}\n",
    "a name that leads out": "run: ../../outside\n",
    "lists within lists": "photos: " + "[" * 500 + "]" * 500 + "\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_hostile_configuration_is_refused(tmp_path, text):
    call = snakemake_call(tmp_path, {}, "--dry-run")
    (tmp_path / "test-config.yaml").write_text(text)
    done = subprocess.run(**call, stdout=subprocess.PIPE, timeout=120, check=False)
    assert done.returncode != 0
    assert len(done.stdout) < 1_000_000
    assert not Path(MARKER).exists()
    assert not (tmp_path.parent / "outside").exists()
