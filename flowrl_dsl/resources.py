"""Where the grammar and the shipped specs are, inside an installed wheel or beside the package; and the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """The folder ``grammar`` or ``specs``."""
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def shipped_specs() -> dict[str, Path]:
    """Shipped specs by name: ``{"qsm": .../specs/qsm.flowrl, ...}``."""
    return {path.stem: path for path in sorted(folder("specs").glob("*.flowrl"))}


def shipped_suites() -> dict[str, Path]:
    """Shipped suites by name."""
    return {path.stem: path for path in sorted(folder("specs").glob("suites/*.flowrl"))}


def cache_folder() -> Path | None:
    """Where what can be made again is kept between processes: compiled programs, the parser's tables.

    None for a user without a home, as in some containers: nothing is kept.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowrl-dsl"
    except RuntimeError:
        return None
