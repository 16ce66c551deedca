"""The scripts behind the pages of results: whom they cover, what they keep, and the numbers in their tables."""

from __future__ import annotations

import importlib
from dataclasses import replace
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
    offline = [name for name, one in algorithms.items() if one.regime.name == "offline"]
    answered = {
        entry.spec for name in ("make_offline_answers", "climbing_answers") for entry in scripts(name).SPECS.values()
    }
    assert answered == set(offline) - scripts("climbing_answers").WITHOUT
    on_policy = [name for name, one in algorithms.items() if one.regime.name == "on_policy"]
    assert sorted(scripts("make_on_policy_answers").SPECS) == sorted(on_policy)


def test_every_offline_answer_is_recorded_and_shown(scripts) -> None:
    page = (DOCS / "known_answers_offline.md").read_text()
    for one in map(scripts, ("make_offline_answers", "climbing_answers")):
        for name in one.SPECS:
            assert all(one.RECORDS.shown(one.key_of(name, problem)) for problem in one.PROBLEMS), name
            assert all(f" {one.cell(name, problem)} |" in page for problem in one.PROBLEMS), name


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
    with pytest.raises(ValueError, match=r"page.md has no place between <!-- b --> and <!-- end of b -->"):
        records.fill("page.md", "b", "new")
    assert "newer" in (tmp_path / "page.md").read_text()


def _curve(job, values: dict[int, float], algorithm: str | None = None):
    """A result of this job, with an update for each step and a hundred of them in a second."""
    from flowrl_dsl.suites.results import FINISHED, Evaluation, Result

    asked = job.question if algorithm is None else replace(job.question, algorithm=algorithm)
    measured = tuple(Evaluation(step, value, 0.0, seconds=step / 100) for step, value in values.items())
    name = "" if job.data is None else job.data.name
    return Result(job.spec, asked, job.sets, "{}", "", FINISHED, asked.steps, 100.0, "", measured, name)


def test_returns_and_speed_of_runs_with_known_curves(scripts) -> None:
    results = scripts("make_results")
    task = results.TASKS[0]
    whole = results.study()
    jobs = [(job, last) for spec, last in (("sac", 100), ("td3", 40), ("dpmd", 10)) for job in whole.of(spec, task)]
    found = results.Study(whole.jobs, [_curve(job, {2_500: 0, 10_500: 0.6 * last, 20_000: last}) for job, last in jobs])
    assert "| sac | 100.0 [100.0, 100.0] |" in found.returns(["sac"], [task])
    assert "| qsm | not run |" in found.returns(["qsm"], [task])
    table = results.speed(found, ["sac", "td3", "dpmd"], [task])
    # half of the way from 0 to td3's 40, first seen at 10.5 k
    assert "(at 20)" in table and "| sac | 10.5 k |" in table and "| td3 | 10.5 k |" in table
    assert "| dpmd | not reached |" in table


def test_a_result_of_an_earlier_form_is_shown_with_a_mark(scripts) -> None:
    results = scripts("make_results")
    jobs = results.study().of("sac", "InvertedPendulum-v5")
    earlier = [_curve(job, {20_000: 1.0}, algorithm="of before") for job in jobs]
    found = results.Study(jobs, earlier)
    assert found.shown(jobs[0]) == earlier[0] and found.is_outdated(jobs[0]) and found.marked("sac") == "sac †"
    found = results.Study(jobs, [*earlier, *(_curve(job, {20_000: 2.0}) for job in jobs)])
    assert found.shown(jobs[0]).evaluations[-1].return_mean == 2.0
    assert not found.is_outdated(jobs[0]) and found.marked("sac") == "sac"
    assert results.Study(jobs, []).shown(jobs[0]) is None and results.Study(jobs, []).marked("sac") == "sac"


def test_a_variant_is_not_an_earlier_form_of_another(scripts) -> None:
    """Groups of a suite that train one spec at different settings have rows and curves of their own."""
    studied = scripts("make_on_policy_results").study("dppo_clip")
    place = studied.tasks[0]
    assert studied.specs == [f"dppo ({name})" for name in ("each_component", "summed", "unclipped", "short_reach")]
    results = [_curve(job, {524_288: 1.0}) for job in studied.of("dppo (summed)")]
    found = scripts("make_on_policy_results").Study(studied.jobs, results)
    assert found.final("dppo (summed)", place) == "1.0 [1.0, 1.0]"
    assert found.final("dppo (unclipped)", place) == "not run" and found.marked("dppo (unclipped)") == "dppo (unclipped)"


def test_the_results_of_the_documents_answer_the_suite(scripts) -> None:
    results = scripts("make_results")
    whole = results.study()
    assert {*results.TASKS} == {*whole.tasks} and len(whole.complete) >= 4
    compared = scripts("make_comparisons").compared(whole)
    assert {*compared.tasks} <= {*whole.complete} and len(compared.tasks) >= 4 and {*compared.runs} == {*results.SPECS}


def test_a_task_is_shown_when_all_of_its_runs_are_there(scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    results = scripts("make_results")
    jobs = [job for job in results.study().jobs if job.label in results.SCORES]
    first, other = results.TASKS[:2]
    missing = next(job for job in jobs if job.question.task == other)
    run = [job for job in jobs if job.question.task in (first, other) and job is not missing]
    partly = results.Study(jobs, [_curve(job, {20_000: 2.0}) for job in run])
    assert partly.complete == [first] and (missing.label, other) in partly.curves
    shown: dict[str, str] = {}
    drawn: list[set[str]] = []
    monkeypatch.setattr(results, "study", lambda: partly)
    monkeypatch.setattr(results, "fill", lambda page, mark, text: shown.update({mark: text}))
    monkeypatch.setattr(results, "draw", lambda curves, path: drawn.append({curve.task for curve in curves}))
    results.write()
    assert drawn == [{first}] and first in shown["speed"] and not any(other in text for text in shown.values())


def test_the_offline_results_answer_the_suite_where_their_sets_are_not(scripts) -> None:
    offline = scripts("make_offline_results")
    whole = offline.study()
    sets = {offline.DataSet(one, level).name for one in offline.TASKS for level in offline.LEVELS}
    assert {job.data.name for job in whole.jobs} == sets
    for task in offline.TASKS:
        jobs = [job for job in whole.jobs if job.question.task == task.name]
        assert len(jobs) == 3 * len(offline.LEVELS) * len(whole.specs)
        assert all(whole.shown(job) is not None and not whole.is_outdated(job) for job in jobs)
        assert "not run" not in offline.returns_of(whole, task)


def test_fine_tuning_counts_the_steps_of_the_environment_alone(scripts) -> None:
    offline = scripts("make_offline_results")
    task, whole = offline.TASKS[0], offline.study("fine_tuning")
    assert {name for names in offline.FINE_TUNED.values() for name in names} == {*whole.specs}
    good = offline.known(whole, offline.DataSet(task, "good"))["returns"]["mean"]
    # the 2000 updates before fql_online acts do not count, even where they were enough; fql acts from its start
    values = {1_000: good, 2_000: 0.0, 7_000: good, 12_000: 1.0}
    jobs = [job for spec in ("fql_online", "fql") for job in whole.of(spec) if job.question.task == task.name]
    found = offline.Study(whole.jobs, [_curve(job, values) for job in jobs])
    row = next(line for line in offline.fine_tuned(found).splitlines() if line.startswith("| fql_online"))
    assert row.startswith("| fql_online | 5000 steps; ends at 1.0 | 1000 steps; ends at 1.0 | not run |")
    fallen = offline.Study(whole.jobs, [_curve(job, {7_000: good / 2, 12_000: 3.0}) for job in jobs])
    assert "| fql_online | not reached; ends at 3.0 |" in offline.fine_tuned(fallen)


def test_a_set_in_tables_is_the_one_that_the_runs_learned_from(scripts) -> None:
    """Collected anew on another processor, a set has another digest; of one that none learned from, its policy decides."""
    offline = scripts("make_offline_results")
    task, whole, again = offline.TASKS[0], offline.study(), offline.study("fine_tuning")
    middling, good = (offline.DataSet(task, level) for level in ("middling", "good"))
    for of in (whole, again):
        learned = {job.question.data for job in of.jobs if job.place == middling.place}
        assert {offline.known(of, middling)["sha256"]} == learned
    assert offline.known(whole, middling) != offline.known(again, middling)
    began = offline.known(again, middling)[offline.TEACHER_BEGAN]
    assert offline.known(again, good)[offline.TEACHER_BEGAN] == began
    assert offline.known(offline.Study(whole.jobs, []), good) is None


def test_a_study_begins_without_records_and_borrows_results(scripts, tmp_path) -> None:
    from flowrl_dsl.suites import exchange

    studies = scripts("studies")
    jobs = scripts("make_results").study().of("sac", "InvertedPendulum-v5")
    first, other = _curve(jobs[0], {20_000: 1.0}), _curve(jobs[1], {20_000: 2.0})
    assert studies.recorded(tmp_path / "none.jsonl") == []
    words = ["--specs", "sac", "--tasks", "InvertedPendulum-v5", "--seeds", "0", "1"]
    records = tmp_path / "records.jsonl"
    # both are there already, so that nothing is run; the borrowed one stays where it is
    studies.run_suite("small", tmp_path / "runs", records, words, borrowed=[first, other])
    assert studies.recorded(records) == []
    exchange.write([first], records)
    studies.run_suite("small", tmp_path / "runs", records, words, borrowed=[first, other])
    assert [one.question for one in studies.recorded(records)] == [first.question]


def test_equal_time_is_the_median_of_what_all_steps_take(scripts, monkeypatch, tmp_path) -> None:
    comparisons, results = scripts("make_comparisons"), scripts("make_results")
    whole, task = results.study(), "InvertedPendulum-v5"
    jobs = [job for spec in ("sac", "td3", "qsm") for job in whole.of(spec, task)]
    monkeypatch.setattr(scripts("records"), "DOCS", tmp_path)
    monkeypatch.setattr(comparisons, "COSTS", scripts("records").Records("costs.jsonl"))
    found = results.Study(jobs, [_curve(job, {10_000: 400.0, 20_000: 1000.0}) for job in jobs])
    assert comparisons.compared(found).runs == {}, "nothing is compared before its cost is measured"
    for spec, rate in (("sac", 1900.0), ("td3", 950.0), ("qsm", 475.0)):
        cost = {"spec": spec, "steps_per_second": rate, "update_ms": 1000 / rate, "machine": {}}
        comparisons.COSTS.add(comparisons.key_of(found.of(spec, task)[0]) | cost)
    of = comparisons.compared(found)
    # 19 000 updates after 1000 random steps: 10, 20 and 40 seconds
    assert of.limits == {task: 20.0} and of.tasks == [task]
    own = {label: tasks[0] for label, tasks in of.runs.items()}
    assert [bool(of.ended(own[spec])) for spec in ("sac", "td3", "qsm")] == [True, False, False]
    returns = {spec: of.returns_in_time(own[spec]) for spec in own}
    assert returns["sac"] == pytest.approx([1000.0] * 3) and returns["td3"] == pytest.approx([1000.0] * 3)
    assert returns["qsm"] == pytest.approx([400.0] * 3), "after 20 seconds its last evaluation is that at 10 k"
    table = comparisons.in_time(of)
    assert "(20 s)" in table and "| sac | 1000.0 * |" in table and "| qsm | 400.0 |" in table
    assert comparisons.scores(of).splitlines()[-1].startswith("| qsm | 1.00 [1.00, 1.00] | 0.40 [0.40, 0.40] | 0 of 1 |")
    comparisons.draw_costs(of, tmp_path / "costs.png")
    assert (tmp_path / "costs.png").stat().st_size > 1000


def test_the_values_of_sensitivities_are_those_of_their_suites(scripts) -> None:
    sensitivities = scripts("make_sensitivities")
    for spec in sensitivities.SPECS:
        of = sensitivities.study(spec)
        middle = of.of(f"{spec} ({sensitivities.MIDDLE})")[0]
        groups = {sensitivities.MIDDLE, *(group for pair in sensitivities.FACTORS.values() for group in pair)}
        assert {*of.specs} == {f"{spec} ({group})" for group in groups}
        for factor, (less, more) in sensitivities.FACTORS.items():
            low, _, high = sensitivities.values_of(spec)[factor]
            for group, value in ((less, low), (more, high)):
                changed = " ".join(set(of.of(f"{spec} ({group})")[0].sets) - set(middle.sets))
                assert changed and (value in changed or factor == "network size"), (spec, group, changed)


def test_on_policy_curves_lie_at_their_seconds_too(scripts) -> None:
    results = scripts("make_on_policy_results")
    jobs = results.study("on_policy").of("ppo", "Hopper-v5")
    found = results.Study(jobs, [_curve(job, {50_000: 10.0, 1_000_000: 20.0}) for job in jobs])
    (curve,) = results.by_seconds(found)
    assert list(curve.steps) == [50_000, 1_000_000] and list(curve.places) == [500, 10_000]
    assert results.costs(found).endswith("| ppo | 10000 |")
    assert found.returns(["ppo"], ["Hopper-v5"]).endswith("| ppo | 20.0 [20.0, 20.0] |")
    parts = [results.study(suite) for suite in results.SUITES]
    assert all(not part.is_outdated(job) for part in parts for job in part.jobs)


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
