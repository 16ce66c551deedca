"""Where the texts of a spec come from, and the copies of them that need no other file."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrl_dsl.diagnostics import DiagnosticError
from flowrl_dsl.driver import resolve_or_raise
from flowrl_dsl.spec.load import located, self_contained
from flowrl_dsl.spec.show import show

OWN = 'algorithm mine extends "{}" {{ critic {{ discount = 0.98 }} }}\n'


@pytest.mark.parametrize(
    "files, main",
    [
        (
            {"specs/mine.flowrl": OWN.format("../common/base.flowrl"), "common/base.flowrl": OWN.format("td3")},
            "specs/mine.flowrl",
        ),
        ({"a/td3.flowrl": OWN.format("td3.flowrl")}, "a/td3.flowrl"),
        ({"63": OWN.format("td3")}, "63"),
        (
            {"odd name.flowrl": "\n# é\u2028\n" + OWN.format("b/odd name.flowrl"), "b/odd name.flowrl": OWN.format("sac")},
            "odd name.flowrl",
        ),
        ({"x.flowrl": 'algorithm x\n  extends "td3.flowrl" {}\r\n'}, "x.flowrl"),
    ],
)
def test_copies_resolve_in_a_folder_of_their_own(files: dict[str, str], main: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    algorithm, resolution = resolve_or_raise(str(tmp_path / main), None, ())
    copies = self_contained(resolution.sources)
    away = tmp_path / "away"
    away.mkdir()
    for name, text in copies.items():
        assert "/" not in name and name.endswith(".flowrl")
        (away / name).write_text(text, encoding="utf-8", newline="")
    for name in files:
        (tmp_path / name).unlink()
    again, _ = resolve_or_raise(str(away / next(iter(copies))), None, ())
    assert show(again) == show(algorithm)


def test_a_spec_without_a_base_is_copied_as_it_stands() -> None:
    text = Path(located("sac")).read_text(encoding="utf-8")
    assert self_contained({"anywhere/sac.flowrl": text}) == {"sac.flowrl": text}


def test_a_folder_hides_no_shipped_spec_and_a_file_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "td3").mkdir()
    assert located("td3") == located("td3.flowrl") != "td3"
    (tmp_path / "sac").write_text("")
    assert located("sac") == "sac" and located("./td3") == "./td3"
    with pytest.raises(DiagnosticError, match="FRL0102"):
        resolve_or_raise("./td3", None, ())


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "../" * 2000 + "y", "con:", "."])
def test_a_base_that_no_file_system_can_hold_is_not_found(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.flowrl").write_text(f'algorithm x extends "{name}" {{}}\n')
    with pytest.raises(DiagnosticError, match=r"FRL0202|FRL01"):
        resolve_or_raise(str(tmp_path / "x.flowrl"), None, ())


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
def test_a_device_that_never_ends_is_refused() -> None:
    with pytest.raises(DiagnosticError, match=r"FRL0103.*longer than"):
        resolve_or_raise("/dev/zero", None, ())
