"""The scripts behind the pages of results: whom they cover, what they keep, and the numbers in their tables."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from flowrl_dsl.driver import resolve_or_raise
from flowrl_dsl.resources import shipped_specs

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch):
    """The modules of docs/, by name."""
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module


def test_every_shipped_spec_takes_part(scripts) -> None:
    algorithms = {name: resolve_or_raise(name, None, ())[0] for name in shipped_specs()}
    off_policy = {name: one for name, one in algorithms.items() if one.regime.name == "off_policy"}
    online = [name for name, one in off_policy.items() if not one.sections["train"].sampling.needs_data]
    assert sorted(scripts("make_results").SPECS) == sorted(online)
    assert sorted(scripts("make_known_answers").SPECS) == sorted(online)


def test_the_latest_record_of_a_key_counts_and_survives_the_process(scripts, tmp_path, monkeypatch) -> None:
    records = scripts("records")
    monkeypatch.setattr(records, "DOCS", tmp_path)
    kept = records.Records("kept.jsonl")
    kept.add({"spec": "qsm", "seed": 0, "value": 1})
    kept.add({"spec": "qsm", "seed": 0, "value": 2})
    again = records.Records("kept.jsonl")
    assert again.find({"spec": "qsm", "seed": 0}) == {"spec": "qsm", "seed": 0, "value": 2}
    assert again.find({"spec": "qsm", "seed": 1}) is None


def test_a_page_is_filled_between_its_marks_again_and_again(scripts, tmp_path, monkeypatch) -> None:
    records = scripts("records")
    monkeypatch.setattr(records, "DOCS", tmp_path)
    (tmp_path / "page.md").write_text("before\n<!-- a -->\nold\n<!-- end of a -->\nafter\n")
    for text in ("new", "newer"):
        records.fill("page.md", "a", text)
        assert (tmp_path / "page.md").read_text() == f"before\n<!-- a -->\n{text}\n<!-- end of a -->\nafter\n"


def test_returns_and_speed_of_runs_with_known_curves(scripts, tmp_path, monkeypatch) -> None:
    results, records = scripts("make_results"), scripts("records")
    monkeypatch.setattr(records, "DOCS", tmp_path)
    kept = records.Records("results.jsonl")
    monkeypatch.setattr(results, "RECORDS", kept)
    task = results.TASKS[0]
    for spec, last in (("sac", 100.0), ("td3", 40.0), ("dpmd", 10.0)):
        for seed in results.SEEDS:
            measured = {"updates": 19_000, "updates_per_second": 100.0, "evaluated_at": [2_500, 10_500, 20_000]}
            returns = {"return_mean": [0.0, 0.6 * last, last], "return_std": [0.0, 0.0, 0.0]}
            kept.add(results.Job(spec, task, seed).key | measured | returns)
    found = results.curves()
    assert "| sac | 100.0 [100.0, 100.0] |" in results.returns_of(found, ["sac"], [task])
    assert "| qsm | not run |" in results.returns_of(found, ["qsm"], [task])
    table = results.speed(found, ["sac", "td3", "dpmd"], [task])
    # half of the way from 0 to td3's 40, first seen at 10.5 k: half of the 190 s that 19 000 updates took
    assert "(at 20)" in table and "| sac | 10.5 k, 95 s |" in table and "| td3 | 10.5 k, 95 s |" in table
    assert "| dpmd | not reached |" in table


def test_runs_of_other_settings_are_not_counted(scripts, monkeypatch) -> None:
    results = scripts("make_results")
    key = results.Job("dpmd", results.TASKS[0], 0).key
    settings = dict.fromkeys(results.SPECS, ()) | {"dpmd": (*results.SPECS["dpmd"], "train.batch=1")}
    monkeypatch.setattr(results, "SPECS", settings)
    assert not key.items() <= results.Job("dpmd", results.TASKS[0], 0).key.items()
    assert json.loads(json.dumps(key)) == key, "a key read back from the file must be the same"


def test_a_record_of_another_algorithm_is_shown_with_a_mark_and_repeated(scripts, tmp_path, monkeypatch) -> None:
    records = scripts("records")
    monkeypatch.setattr(records, "DOCS", tmp_path)
    kept = records.Records("results.jsonl")
    key = {"spec": "sac", "seed": 0, "algorithm": records.fingerprint("sac", None, ())}
    assert kept.shown(key) is None and kept.mark([key]) == ""
    kept.add({"spec": "sac", "seed": 0, "value": 1})
    assert kept.find(key) is None and kept.shown(key)["value"] == 1 and kept.mark([key]) == " †"
    kept.add(key | {"value": 2})
    assert kept.find(key)["value"] == 2 and kept.mark([key]) == ""


def test_fingerprints_are_those_of_algorithms(scripts) -> None:
    fingerprint = scripts("records").fingerprint
    assert fingerprint("sac", None, ()) == fingerprint("sac", None, ("train.batch=256", "train.steps=7"))
    assert fingerprint("sac", None, ()) != fingerprint("sac", None, ("train.batch=255",))
