"""The command ``flowrl-dsl init``: a folder with a spec, a component of its own, and tests of both."""

from __future__ import annotations

import re
from pathlib import Path

from flowrl_dsl.runtime import files
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.syntax.formatter import format_file
from flowrl_dsl.syntax.parser import parse

_SPEC = """\
# {name}: TD3 whose exploration noise decays along the schedule of {module}.py.
algorithm {name} "TD3 with decaying noise" extends "td3.flowrl" {{
  act {{ explore = noise(exponential(0.3 -> 0.05, over = 50_000)) }}
}}
"""
_COMPONENT = '''\
"""A schedule of one's own: exponential interpolation between two positive values."""

from typing import ClassVar

from flowrl_dsl.components.ramp import Ramp
from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import register


@kernel
def exponential_schedule(step, start, end, over):
    """start (end / start)^min(update / over, 1)"""
    return start * (end / start) ** jnp.minimum(step / over, 1.0)


@register
class Exponential(Ramp):
    """``exponential(start -> end, over = n)``: ``start (end / start)^min(update / over, 1)``."""

    name = "exponential"
    curve: ClassVar[str] = "exponential_schedule"
'''
_TEST = '''\
"""The schedule follows its equation, and the program that uses it satisfies the invariants of the test kit."""

from pathlib import Path

import numpy as np

import {module}
from flowrl_dsl.testing import invariants

SPEC = Path(__file__).parent / "{name}.flowrl"


def test_the_schedule_halves_in_equal_times():
    values = [float({module}.exponential_schedule(step, 8.0, 1.0, over=30)) for step in (0, 10, 20, 30, 40)]
    np.testing.assert_allclose(values, [8, 4, 2, 1, 1], rtol=1e-5)


def test_the_spec_is_valid():
    invariants.check_valid(SPEC.read_text())


def test_the_program_satisfies_the_invariants():
    small = invariants.Trial(invariants.tiny(str(SPEC)))
    invariants.check_program(small, [invariants.check_finite, invariants.check_shapes, invariants.check_targets])
'''
_PROJECT = """\
[project]
name = "{name}"
version = "0.1"
dependencies = ["flowrl-dsl"]

[project.entry-points."flowrl_dsl.components"]
{module} = "{module}"

[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"

[tool.setuptools]
py-modules = ["{module}"]
"""
_README = """\
# {name}

```
pip install -e . pytest
python -m pytest -q
flowrl-dsl check {name}.flowrl
flowrl-dsl train {name}.flowrl --task Pendulum-v1 --steps 20_000
```

`{name}.flowrl` is the algorithm, `{module}.py` a component that it uses, `test_{name}.py` tests both. `pip install -e .`
announces the component to `flowrl-dsl` by the entry point in `pyproject.toml`.
"""
_IGNORED = "runs/\n__pycache__/\n*.egg-info/\n.pytest_cache/\n.hypothesis/\nMUJOCO_LOG.TXT\n"


def init(folder: Path) -> list[Path]:
    """Write the files into a new or empty folder, whose name is that of the algorithm; returns their paths.

    Raises FRL0495 for a folder with other files, and for a name that is none of the language.
    """
    name = re.sub(r"[-\s]", "_", folder.resolve().name).lower()
    module = f"{name}_components"
    spec = _SPEC.format(name=name, module=module)
    tree, found = parse(spec, f"{name}.flowrl")
    if tree is None or found or not name.isidentifier():
        raise RunError("FRL0495", f'"{name}" cannot be the name of an algorithm', "choose a folder such as my_algorithm")
    texts = {"name": name, "module": module}
    contents = {
        f"{name}.flowrl": format_file(tree),
        f"{module}.py": _COMPONENT,
        f"test_{name}.py": _TEST.format(**texts),
        "pyproject.toml": _PROJECT.format(**texts),
        "README.md": _README.format(**texts),
        ".gitignore": _IGNORED,
    }
    with files.disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if any(path.name != ".git" for path in folder.iterdir()):
            raise RunError("FRL0495", f"{folder} is not empty", "choose a new folder: no file is overwritten")
        for path, text in contents.items():
            files.replace(folder / path, text.encode())
    return [folder / path for path in contents]
