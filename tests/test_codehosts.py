"""``check --format sarif`` and ``--format github``: what code hosts read, for every kind of finding."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from flowrl_dsl import cli
from flowrl_dsl.codehosts import render_github, render_sarif
from flowrl_dsl.codes import CODES
from flowrl_dsl.diagnostics import Diagnostic, Span
from flowrl_dsl.driver import check_files

ROOT = Path(__file__).parent.parent
PROGRAMS = sorted(map(str, [*(ROOT / "tests/golden/bad").glob("*.flowrl"), *(ROOT / "grammar/malformed").glob("*.flowrl")]))
TEXT = 'algorithm x extends "qsm.flowrl" {\n  act { explor = sample }\n  critic { discount = 1 }\n}\n'


def _texts(message: dict) -> bool:
    return {"text"} <= message.keys() <= {"text", "markdown"} and all(message.values())


def _check_region(region: dict) -> None:
    assert region.keys() == {"startLine", "startColumn", "endLine", "endColumn"}
    assert all(isinstance(value, int) and value >= 1 for value in region.values())
    assert (region["startLine"], region["startColumn"]) <= (region["endLine"], region["endColumn"])


def _check_log(log: dict) -> list[dict]:
    """The properties that SARIF 2.1.0 requires, their types and the values it allows; the results of the one run."""
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "flowrl-dsl" and re.fullmatch(r"\d+\.\d+\.\d+\S*", driver["semanticVersion"])
    assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
    for rule in driver["rules"]:
        assert rule.keys() == {"id", "shortDescription", "fullDescription", "help"} and rule["id"] in CODES
        assert all(_texts(value) for key, value in rule.items() if key != "id")
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error") and _texts(result["message"])
        for location in result["locations"]:
            assert urlsplit(location["physicalLocation"]["artifactLocation"]["uri"]).scheme in ("", "file")
            _check_region(location["physicalLocation"]["region"])
        for fix in result.get("fixes", ()):
            (change,) = fix["artifactChanges"]
            assert _texts(fix["description"]) and change["artifactLocation"].keys() == {"uri"}
            for replacement in change["replacements"]:
                _check_region(replacement["deletedRegion"])
                assert isinstance(replacement["insertedContent"]["text"], str)
    return run["results"]


def test_every_finding_of_the_golden_programs_is_a_result() -> None:
    found, sources = check_files(PROGRAMS)
    results = _check_log(json.loads(render_sarif(found, sources)))
    assert len(results) == len(found) > 150
    assert sum("fixes" in result for result in results) > 40


def test_sarif_as_a_user_asks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my spec,1.flowrl").write_text(TEXT)
    assert cli.main(["check", "my spec,1.flowrl", "--format", "sarif"]) == 1
    (result,) = _check_log(json.loads(capsys.readouterr().out))
    place = result["locations"][0]["physicalLocation"]
    assert unquote(place["artifactLocation"]["uri"]) == "my spec,1.flowrl" != place["artifactLocation"]["uri"]
    assert place["region"] == {"startLine": 2, "startColumn": 9, "endLine": 2, "endColumn": 15}
    (replacement,) = result["fixes"][0]["artifactChanges"][0]["replacements"]
    assert replacement["insertedContent"] == {"text": "explore"} and replacement["deletedRegion"] == place["region"]


def test_a_log_without_results(capsys) -> None:
    assert cli.main(["check", "qsm", "--format", "sarif"]) == 0
    assert _check_log(json.loads(capsys.readouterr().out)) == []


def test_absolute_paths_are_addresses_and_codes_of_plugins_are_rules() -> None:
    found = [Diagnostic("ACME001", "odd", Span("/a b/c.flowrl", 1, 1, 1, 2)), Diagnostic("ACME002", "no place")]
    log = json.loads(render_sarif(found, {}))
    results = log["runs"][0]["results"]
    assert results[1]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "file:///a%20b/c.flowrl"
    assert "locations" not in results[0] and [rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]] == [
        "ACME001",
        "ACME002",
    ]


def test_github_as_a_user_asks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my,1.flowrl").write_text(TEXT.replace("explor ", "explore "))
    assert cli.main(["check", "my,1.flowrl", "--format", "github"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(
        "::warning file=my%2C1.flowrl,line=3,endLine=3,col=23,endColumn=24,title=FRL0310::with discount 1"
    )
    assert shown.count("\n") == 1 and "%0A" in shown


def test_commands_of_github_are_one_line_each_and_escaped() -> None:
    odd = Diagnostic("FRL0101", "50%\r\nof: a, b", Span("a:b,c%.flowrl", 1, 2, 3, 1), ("a note",))
    assert render_github([odd, Diagnostic("FRL0407", "no place")]).split("\n") == [
        "::error title=FRL0407::no place",
        "::error file=a%3Ab%2Cc%25.flowrl,line=1,endLine=3,col=2,title=FRL0101::50%25%0D%0Aof: a, b%0Aa note",
    ]
    assert render_github([]) == ""
