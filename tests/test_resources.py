"""The user's cache folder, also where there is no home."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrl_dsl import resources
from flowrl_dsl.syntax import lexer


def test_the_cache_is_in_the_home_or_where_xdg_puts_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resources.cache_folder() == tmp_path / ".cache" / "flowrl-dsl"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert resources.cache_folder() == tmp_path / "elsewhere" / "flowrl-dsl"


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert resources.cache_folder() is None and lexer._table_file() is False
