"""Scores of a suite: curves on common steps, with failed runs in their place; tables and figures of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flowrl_dsl.suites import figures, reporting, tables
from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.suites.jobs import Job
from flowrl_dsl.suites.references import RANDOM, reference_of
from flowrl_dsl.suites.results import Result
from flowrl_dsl.suites.scores import measured
from flowrl_dsl.suites.store import Store
from tests.suites.samples import TINY, jobs, result_for

CART = TINY.replace('"Pendulum-v1"', '"Hopper-v5"')
LOW = RANDOM["InvertedPendulum-v5"]


@pytest.fixture
def found(tmp_path: Path) -> list[Job]:
    return jobs(tmp_path, CART)


def counted(results: list[Result]) -> dict:
    return {one.question: one for one in results}


def returns_of(job: Job) -> tuple[float, ...]:
    return tuple(100.0 * k + 10 * job.question.seed + (job.spec == "td3") for k in range(3))


def test_runs_of_a_task(found: list[Job]) -> None:
    runs = measured(found, counted([result_for(job, *returns_of(job)) for job in found]))
    assert [*runs] == ["sac", "td3"] and [one.task for one in runs["sac"]] == ["InvertedPendulum-v5", "Hopper-v5"]
    one = runs["sac"][0]
    assert one.steps.tolist() == [100, 200, 300]
    assert one.returns.tolist() == [[0, 100, 200], [10, 110, 210]]
    assert one.seconds.tolist() == [[0, 2, 4], [0, 2, 4]]
    assert one.final == pytest.approx((np.array([200, 210]) - LOW) / (1000 - LOW))
    assert one.areas == pytest.approx((np.array([100, 110]) - LOW) / (1000 - LOW))
    assert one.at_shares(np.array([0.1, 0.7, 1.0]))[0] == pytest.approx([0, (100 - LOW) / (1000 - LOW), one.final[0]])
    assert one.at_seconds(np.array([3.0, 9.0]))[0] == pytest.approx([(100 - LOW) / (1000 - LOW), one.final[0]])


def test_a_failed_run_counts_as_random_actions_from_its_end_on(found: list[Job]) -> None:
    results = [result_for(found[0], 500.0, outcome="FRL0420"), result_for(found[4], outcome="FRL0420")]
    (one,) = measured(found, counted(results))["sac"]
    assert one.returns.tolist() == [[500, LOW, LOW], [LOW, LOW, LOW]]
    assert one.final.tolist() == [0, 0] and one.failures == 2 and one.count == 2
    table = tables.summary({"sac": [one]})
    assert table.rows[0][:4] == ["sac", "1", "2", "2"]


def test_a_failed_run_on_a_task_without_references_gets_the_worst_return(tmp_path: Path) -> None:
    found = [job for job in jobs(tmp_path) if job.question.task == "Pendulum-v1"]
    results = [result_for(found[0], -900.0, -300.0, -200.0), result_for(found[2], -5.0, outcome="FRL0420")]
    (one,) = measured(found, counted(results))["sac"]
    assert one.reference is None and one.returns.tolist() == [[-900, -300, -200], [-5, -900, -900]]


def test_a_store_without_results_of_the_suite(found: list[Job], tmp_path: Path) -> None:
    with pytest.raises(SuiteError) as caught:
        reporting.text(found, Store(tmp_path / "none.sqlite"), None, "markdown")
    assert caught.value.code == "FRL0504"


def test_tables_in_every_form(found: list[Job], tmp_path: Path) -> None:
    store = Store(tmp_path / "results.sqlite")
    store.add([result_for(job, *returns_of(job)) for job in found[:-1]])
    text = reporting.text(found, store, None, "markdown")
    assert "| td3 | 2 | 3 of 4 | 0 |" in text and "better than sac" in text
    assert "| td3 | 206.0 [201.0, 211.0] | 201.0 (1 of 2) |" in text
    assert "| td3 | 2 | 0.62 |" in text, "(3/4 + 1/2) / 2 of the pairs are won"
    lines = reporting.text(found, store, "td3", "csv").splitlines()
    assert lines[0] == "spec,tasks,runs,failed,final,area,updates/s" and lines[-1].startswith("sac,2,0.38")
    assert r"\begin{tabular}{lrrrrrr}" in reporting.text(found, store, None, "latex")
    with pytest.raises(SuiteError) as caught:
        reporting.text(found, store, "qsm", "csv")
    assert caught.value.code == "FRL0508"


def test_latex_escapes_what_it_would_read() -> None:
    table = tables.Table("x", ["spec", "a_b"], [["c&d", "5 %"]], "note")
    assert r"c\&d & 5 \% \\" in tables.latex(table) and r"a\_b" in tables.latex(table)


def test_a_report_has_tables_and_figures(found: list[Job], tmp_path: Path) -> None:
    store = Store(tmp_path / "results.sqlite")
    store.add([result_for(job, *returns_of(job)) for job in found])
    paths = reporting.write(found, store, None, tmp_path / "report")
    names = {path.name for path in paths}
    assert {"report.md", "summary.csv", "tasks.tex", "improvement.csv", "profiles.svg", "steps.png", "seconds.svg"} <= names
    assert all(path.stat().st_size > 40 for path in paths)
    assert "![profiles](profiles.png)" in (tmp_path / "report" / "report.md").read_text()


def test_tasks_without_references_are_named(tmp_path: Path) -> None:
    found = jobs(tmp_path)
    store = Store(tmp_path / "results.sqlite")
    store.add([result_for(job, *returns_of(job)) for job in found])
    reporting.write(found, store, None, tmp_path / "report")
    page = (tmp_path / "report" / "report.md").read_text()
    assert "in no score: Pendulum-v1." in page and "| sac | 1 | 4 | 0 |" in page


def test_many_specs_get_several_panels(found: list[Job]) -> None:
    own = measured(found, counted([result_for(job, *returns_of(job)) for job in found]))["sac"]
    many = {f"spec{k}": own for k in range(figures.PANEL + 1)}
    figure = figures._figure(many, "x", "y", figures._over_steps)
    assert [len(axis.lines) for axis in figure.axes] == [figures.PANEL, 1]


@pytest.mark.parametrize("suite", ["gym_mujoco", "dm_control", "known_answers", "small", "on_policy"])
def test_every_task_of_the_shipped_suites_has_references(suite: str) -> None:
    from flowrl_dsl import driver

    for group in driver.resolve_suite_or_raise(suite).groups:
        for task in group.tasks:
            reference = reference_of(task)
            assert reference is not None and reference.random < reference.reference and reference.source
    assert reference_of("Hopper-v5(frame_skip=2)") == reference_of("Hopper-v5") and reference_of("Pendulum-v1") is None
