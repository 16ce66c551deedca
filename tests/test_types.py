"""The package is typed (``py.typed``), and its types are right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def mypy(*arguments: str) -> list[str]:
    """What mypy reports with the settings of the repository, one line each."""
    command = [sys.executable, "-m", "mypy", "--no-error-summary", *arguments]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert not finished.stderr, finished.stderr
    return finished.stdout.splitlines()


def test_the_package_has_no_type_errors() -> None:
    assert mypy() == []


def test_type_errors_are_found(tmp_path: Path) -> None:
    """The settings check bodies of functions without annotations, and what the lazy modules have."""
    (tmp_path / "module.py").write_text("from flowrl_dsl.lazy import jnp\ndef f(x):\n    return jnp.expp(x)\n")
    found = mypy("--no-warn-unused-configs", str(tmp_path / "module.py"))
    assert len(found) == 1 and 'has no attribute "expp"' in found[0]
