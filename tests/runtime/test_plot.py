"""Learning curves: what is grouped, the numbers of line and band, and that a picture comes out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from flowrl_dsl.runtime.aggregate import bootstrap_interval
from flowrl_dsl.runtime.curves import read_curves
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.logs import expanded
from flowrl_dsl.runtime.plot import plot


def _run(
    folder: Path,
    means: dict[int, float],
    spec: str = "qsm",
    task: str = "HalfCheetah-v5",
    sets: tuple = (),
    seed: int | None = None,
    resolved: str = "",
    steps: int = 100,
) -> Path:
    seed = len(list(folder.parent.iterdir())) if seed is None else seed
    folder.mkdir()
    settings = {"task": task, "seed": seed, "steps": steps, "checkpoint_every": seed + 1}
    said = {"spec": spec, "task": task, "sets": list(sets), "seed": seed, "settings": settings}
    (folder / "run.json").write_text(json.dumps(said))
    (folder / "resolved.flowrl").write_text(resolved)
    records = [{"kind": "eval", "step": k, "return_mean": m, "return_std": 2.0} for k, m in means.items()]
    lines = [json.dumps(record) + "\n" for record in [{"kind": "train", "step": 1}, *records]]
    # the last line is torn, as a kill may leave it
    (folder / "metrics.jsonl").write_text("".join(lines) + '{"kind": "ev')
    return folder


def test_seeds_are_pooled_where_they_were_evaluated_alike(tmp_path: Path) -> None:
    values = [{10: 1.0, 20: 4.0}, {10: 2.0, 20: 8.0}, {10: 6.0, 20: 9.0, 30: 1.0}]
    runs = [_run(tmp_path / str(k), means) for k, means in enumerate(values)]
    (curve,) = read_curves(runs)
    assert (curve.seeds, curve.steps.tolist(), curve.center.tolist()) == (3, [10, 20], [3.0, 7.0])
    assert (curve.low[0], curve.high[0]) == bootstrap_interval([[1.0], [2.0], [6.0]])


def test_specs_tasks_and_sets_are_kept_apart_and_one_seed_shows_its_episodes(tmp_path: Path) -> None:
    runs = [
        _run(tmp_path / "a", {10: 1.0}),
        _run(tmp_path / "b", {10: 1.0}, spec="sac"),
        _run(tmp_path / "c", {10: 1.0}, task="Hopper-v5"),
        _run(tmp_path / "d", {10: 1.0}, sets=("temperature=2",)),
    ]
    curves = read_curves(runs)
    assert [(c.spec, c.sets, c.task) for c in curves] == [
        ("qsm", (), "HalfCheetah-v5"),
        ("sac", (), "HalfCheetah-v5"),
        ("qsm", (), "Hopper-v5"),
        ("qsm", ("temperature=2",), "HalfCheetah-v5"),
    ]
    assert (curves[0].low[0], curves[0].high[0]) == (-1.0, 3.0)


def test_only_runs_that_differ_in_nothing_but_the_seed_are_pooled(tmp_path: Path) -> None:
    """Specs of one name and other contents, and other settings of the training, are other curves; no run counts twice."""
    runs = [
        _run(tmp_path / "a", {10: 1.0}, resolved="discount = 0.98"),
        _run(tmp_path / "b", {10: 3.0}, resolved="discount = 0.98"),
        _run(tmp_path / "c", {10: 5.0}, resolved="discount = 0.5"),
        _run(tmp_path / "d", {10: 7.0}, resolved="discount = 0.98", steps=200),
        _run(tmp_path / "e", {10: 9.0}, resolved="discount = 0.98", seed=0),
    ]
    twice = expanded([*runs, runs[0], tmp_path / "x" / ".." / "a"])
    assert twice == runs
    curves = read_curves(twice)
    assert [(curve.seeds, curve.center[0]) for curve in curves] == [(2, 2.0), (1, 5.0), (1, 7.0)]
    plot(twice, tmp_path / "c.svg")
    picture = (tmp_path / "c.svg").read_text()
    assert all(label in picture for label in ("qsm #1 (2 seeds)", ">qsm #2<", ">qsm #3<"))


def test_labels_name_the_settings_that_curves_differ_in(tmp_path: Path) -> None:
    shared = "train.batch=64"
    runs = [_run(tmp_path / t, {10: 1.0}, sets=(shared, f"temperature={t}")) for t in ("1", "2")]
    runs.append(_run(tmp_path / "sac", {10: 1.0}, spec="sac", sets=(shared, "temperature=9")))
    plot(runs, tmp_path / "c.svg")
    picture = (tmp_path / "c.svg").read_text()
    for label in ("qsm temperature=1", "qsm temperature=2", ">sac<"):
        assert label in picture
    assert shared not in picture and "temperature=9" not in picture


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_a_picture_comes_out(tmp_path: Path, suffix: str, start: bytes) -> None:
    tasks = ("InvertedPendulum-v5", "HalfCheetah-v5", "dm_control/cheetah-run", "unknown-v0")
    runs = [_run(tmp_path / str(k), {10: 900.0, 20: 990.0}, task=task) for k, task in enumerate(tasks)]
    output = tmp_path / "new" / f"curve{suffix}"
    plot(runs, output)
    assert output.read_bytes().startswith(start)


def test_the_picture_says_solved_where_gymnasium_does(tmp_path: Path) -> None:
    near = _run(tmp_path / "near", {10: 900.0, 20: 940.0}, task="InvertedPendulum-v5")
    far = _run(tmp_path / "far", {10: 1.0, 20: 2.0}, task="InvertedPendulum-v5")
    for run, words in ((near, "solved (950)"), (far, "solved at 950, above")):
        plot([run], tmp_path / "c.svg")
        assert words in (tmp_path / "c.svg").read_text()


def test_what_cannot_be_drawn_is_an_error(tmp_path: Path) -> None:
    run = _run(tmp_path / "a", {10: 1.0})
    with pytest.raises(RunError, match="FRL0432"):
        plot([run], tmp_path / "curve.txt")
    with pytest.raises(RunError, match="FRL0431"):
        plot([_run(tmp_path / "b", {})], tmp_path / "c.png")
    with pytest.raises(RunError, match="FRL0431"):
        plot([run, _run(tmp_path / "c", {11: 1.0})], tmp_path / "c.png")
    assert not np.array(list(tmp_path.glob("c.*"))).size


def test_many_labels_stand_once_beside_all_panels(tmp_path: Path) -> None:
    specs = ("sac", "td3", "qsm", "dpmd", "qvpo")
    tasks = ("dm_control/cartpole-swingup", "dm_control/cheetah-run")
    runs = [_run(tmp_path / f"{spec}{k}", {10: 1.0}, spec, task) for spec in specs for k, task in enumerate(tasks)]
    plot(runs, tmp_path / "many.svg")
    plot(runs[:4], tmp_path / "few.svg")
    many, few = ((tmp_path / name).read_text() for name in ("many.svg", "few.svg"))
    assert all(many.count(f">{spec}<") == 1 for spec in specs)
    assert all(few.count(f">{spec}<") == len(tasks) for spec in specs[:2])


def test_each_phase_after_the_first_begins_at_a_line(tmp_path: Path) -> None:
    run = _run(tmp_path / "a", {10: 1.0, 20: 2.0})
    begins = [{"kind": "phase", "step": step, "phase": number} for number, step in ((1, 0), (2, 7), (3, 15))]
    lines = "".join(json.dumps(record) + "\n" for record in begins)
    (run / "metrics.jsonl").write_text(lines + (run / "metrics.jsonl").read_text())
    (curve,) = read_curves([run])
    assert curve.begins == (7, 15)
    plot([run], tmp_path / "three.svg")
    plot([_run(tmp_path / "b", {10: 1.0, 20: 2.0})], tmp_path / "one.svg")
    three, one = ((tmp_path / name).read_text().count("stroke-dasharray") for name in ("three.svg", "one.svg"))
    assert three - one == 2


def test_curves_over_updates_and_seconds(tmp_path: Path) -> None:
    """Seconds are those of updates, by their rate; a pause between records and a step reached twice count once."""
    run = _run(tmp_path / "a", {100: 1.0, 150: 2.0, 200: 3.0})
    trained = [{"kind": "train", "step": step, "updates": updates} for step, updates in ((100, 0), (200, 50))]
    with (run / "metrics.jsonl").open("w") as file:
        evaluated = [{"kind": "eval", "step": k, "return_mean": k / 100, "return_std": 1.0} for k in (100, 150, 200)]
        file.writelines(json.dumps(record) + "\n" for record in [*trained, *evaluated])
    clock = [(100, 0.0, 1000.0), (200, 2.0, 5000.0), (200, 10.0, 9000.0)]
    lines = [{"step": step, "updates_per_second": rate, "time": time} for step, rate, time in clock]
    (run / "timing.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    places = {by: read_curves([run], by=by)[0].places.tolist() for by in ("steps", "updates", "seconds")}
    assert places == {"steps": [100, 150, 200], "updates": [0, 25, 50], "seconds": [0, 2.5, 5]}


def test_metrics_are_drawn_in_rows(tmp_path: Path) -> None:
    run = _run(tmp_path / "a", {10: 1.0, 20: 3.0})
    with (run / "metrics.jsonl").open("w") as file:
        for step in (10, 20):
            file.write(json.dumps({"kind": "train", "step": step, "updates": step, "critic_loss": None}) + "\n")
            file.write(json.dumps({"kind": "eval", "step": step, "return_mean": 1.0, "return_std": 2.0, "q": 7.0}) + "\n")
    returns, q = read_curves([run], ["return_mean", "q"])
    assert (returns.low[0], returns.high[0]) == (-1, 3) and (q.low[0], q.center[0], q.high[0]) == (7, 7, 7)
    plot([run], tmp_path / "c.svg", ["return_mean", "q"], "updates")
    picture = (tmp_path / "c.svg").read_text()
    assert picture.count(">updates<") == 2 and ">q<" in picture and ">return of an evaluation<" in picture
    # null throughout, no metric at all, and a misspelled one
    for name, hint in (("critic_loss", ""), ("step", ""), ("return_men", 'did you mean "return_mean"?')):
        with pytest.raises(RunError, match="FRL0483") as caught:
            plot([run], tmp_path / "d.svg", [name])
        assert hint in "".join(caught.value.diagnostics[0].notes)


def test_the_figure_fits_a_column_of_a_paper(tmp_path: Path) -> None:
    """Its letters are letters of a font, as publishers ask for, and it has the width of a column."""
    plot([_run(tmp_path / "a", {10: 1.0, 20: 3.0})], tmp_path / "c.pdf")
    data = (tmp_path / "c.pdf").read_bytes()
    assert b"/Type3" not in data and b"/Type0" in data
    (box,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ", data)
    assert abs(float(box) / 72 - 3.3) < 0.01
