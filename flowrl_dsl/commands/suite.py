"""``flowrl-dsl suite plan|run|status|table|report|export|import|random NAME``"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from flowrl_dsl.arguments import add_json, deviation, positive, seed
from flowrl_dsl.exits import OK, show

if TYPE_CHECKING:
    from flowrl_dsl.suites.jobs import Job
    from flowrl_dsl.suites.places import Home
    from flowrl_dsl.suites.running import Driver
    from flowrl_dsl.suites.store import Store

HELP = "compare specs on tasks: price, run and evaluate a declared suite"
OUTLIVES_ITS_SCREEN = True
_HOME = Path("runs/suites")
_KINDS = {
    "plan": "the price of a suite before it runs: runs, updates, hours and disk, and what cannot run here",
    "run": "run what the store does not have; the same command resumes it",
    "status": "how far every run is",
    "table": "tables of scores, with intervals and failures",
    "report": "tables in all forms, and figures, in a folder",
    "export": "write results to a file of JSON lines or Parquet",
    "import": "add exported results, such as docs/results.jsonl, to the store",
    "random": "measure the returns of random actions on the tasks of a suite",
}
_PLACES = ("local", "ray", "slurm")
_FORMS = ("markdown", "csv", "latex")


def declare(command: argparse.ArgumentParser) -> None:
    kinds = command.add_subparsers(title="kinds", metavar="KIND", dest="kind", required=True)
    made = {name: kinds.add_parser(name, help=text, description=text, allow_abbrev=False) for name, text in _KINDS.items()}
    for name in ("plan", "run", "status", "table", "report", "random"):
        _add_suite(made[name])
    for name in ("run", "status", "table", "report", "export", "import"):
        help_text = "the file of results (default OUT/results.sqlite)"
        made[name].add_argument("--store", type=Path, metavar="FILE", help=help_text)
        help_text = f"the folder of runs and results (default {_HOME}), or a URL of fsspec for the runs: s3://BUCKET/runs"
        made[name].add_argument("--out", default=str(_HOME), metavar="DIR|URL", help=help_text)
    made["plan"].add_argument("--no-bench", action="store_true", help="count only: do not measure the speed of each spec")
    _add_resources(made["run"])
    made["table"].add_argument("--format", choices=_FORMS, default="markdown")
    for name in ("plan", "status", "table", "random"):
        add_json(made[name])
    for name in ("table", "report"):
        help_text = "the spec that the others are compared with (default the first one)"
        made[name].add_argument("--against", metavar="SPEC", help=help_text)
    made["report"].add_argument("--to", type=Path, metavar="DIR", help="where to write (default OUT/reports/NAME)")
    made["export"].add_argument("file", type=Path, metavar="FILE", help="results.jsonl or results.parquet")
    made["import"].add_argument("file", nargs="+", type=Path, metavar="FILE")
    made["random"].add_argument("--episodes", type=positive, default=100, metavar="N")


def _add_suite(kind: argparse.ArgumentParser) -> None:
    kind.add_argument("suite", metavar="NAME", help="a file, or the name of a shipped suite")
    kind.add_argument("--budget", metavar="NAME", help="a budget of the suite in place of the one it chooses")
    kind.add_argument("--specs", nargs="+", metavar="SPEC", help="these specs of the suite alone")
    kind.add_argument("--tasks", nargs="+", metavar="TASK", help="these tasks of the suite alone")
    kind.add_argument("--data", nargs="+", metavar="NAME", help="these data sets of the suite alone")
    kind.add_argument("--seeds", nargs="+", type=seed, metavar="N", help="these seeds of the suite alone")


def _add_resources(kind: argparse.ArgumentParser) -> None:
    kind.add_argument("--on", choices=_PLACES, default="local", help="where to run (default local)")
    help_text = "train the seeds of a spec on a task side by side, in one process with one compiled program"
    kind.add_argument("--population", action="store_true", help=help_text)
    kind.add_argument("--jobs", type=positive, metavar="N", help="runs at a time (default: as many as there are cores)")
    kind.add_argument("--address", metavar="ADDRESS", help="a cluster of Ray, or a partition of Slurm")
    help_text = "cores of a cluster that are kept for a run, which has one thread (default 1)"
    kind.add_argument("--cpus", type=deviation, default=1.0, metavar="X", help=help_text)
    help_text = "with a URL: the folder on the machine of a run in which it is trained (default below the temporary folder)"
    kind.add_argument("--scratch", metavar="DIR", help=help_text)
    kind.add_argument("--gpus", type=deviation, default=0.0, metavar="X", help="accelerators of a run, or a share of one")


def run(parsed: argparse.Namespace) -> int:
    work = {
        "plan": _plan,
        "run": _run,
        "status": _status,
        "table": _table,
        "report": _report,
        "export": _export,
        "import": _import,
        "random": _random,
    }
    work[parsed.kind](parsed)
    return OK


def _jobs(parsed: argparse.Namespace) -> list[Job]:
    from flowrl_dsl import driver
    from flowrl_dsl.suites.jobs import chosen, jobs_of

    suite = driver.resolve_suite_or_raise(parsed.suite)
    return chosen(jobs_of(suite, parsed.budget), parsed.specs, parsed.tasks, parsed.seeds, parsed.data)


def _store(parsed: argparse.Namespace) -> Store:
    from flowrl_dsl.suites.store import Store

    return Store(parsed.store or _home(parsed).root / "results.sqlite")


def _home(parsed: argparse.Namespace) -> Home:
    from flowrl_dsl.suites.places import home_of

    return home_of(parsed.out, _HOME, getattr(parsed, "scratch", None))


def _driver(parsed: argparse.Namespace) -> Driver:
    from flowrl_dsl.suites.running import Driver

    home = _home(parsed)
    return Driver(home.root, _store(parsed), home)


def _plan(parsed: argparse.Namespace) -> None:
    from flowrl_dsl.suites import pricing, running

    jobs = _jobs(parsed)
    absent = running.missing(jobs)
    possible, measured = running.possible(jobs, absent), not parsed.no_bench

    def text() -> str:
        reasons = [f"cannot run here: {what}: {reason}" for what, reason in absent.items()]
        reasons += running.cures(jobs)
        return "\n".join([*reasons, pricing.text(possible, measured)])

    def value() -> object:
        specs = [asdict(price) for price in pricing.prices(possible, measured)]
        sets = [{"name": one.name, "sha256": one.sha256, "gigabytes": one.size / 1e9} for one in pricing.data_sets(possible)]
        return {"cannot_run": absent, "cures": running.cures(jobs), "specs": specs, "data": sets}

    show(parsed, value, text)


def _run(parsed: argparse.Namespace) -> None:
    from flowrl_dsl.suites.executors.base import Resources, executor
    from flowrl_dsl.suites.running import check_runnable

    jobs, driver = _jobs(parsed), _driver(parsed)
    place = executor(parsed.on, Resources(parsed.cpus, parsed.gpus, parsed.jobs, parsed.address, driver.root))
    check_runnable(jobs)
    driver.run(jobs, place, parsed.population)


def _status(parsed: argparse.Namespace) -> None:
    from flowrl_dsl.suites import running

    found = _jobs(parsed), _driver(parsed)
    show(parsed, lambda: [state.as_json() for state in running.states(*found)], lambda: running.status(*found))


def _table(parsed: argparse.Namespace) -> None:
    from flowrl_dsl.suites import reporting

    asked = _jobs(parsed), _store(parsed), parsed.against
    show(
        parsed,
        lambda: [table.as_json() for table in reporting.made(*asked)],
        lambda: reporting.text(*asked, parsed.format),
    )


def _report(parsed: argparse.Namespace) -> None:
    from flowrl_dsl.suites import reporting

    folder = parsed.to or _home(parsed).root / "reports" / Path(parsed.suite).stem
    for path in reporting.write(_jobs(parsed), _store(parsed), parsed.against, folder):
        print(path)


def _export(parsed: argparse.Namespace) -> None:
    from flowrl_dsl.suites import exchange

    print(f"{exchange.write(_store(parsed).results(), parsed.file)} runs in {parsed.file}")


def _import(parsed: argparse.Namespace) -> None:
    from flowrl_dsl.suites import exchange

    store = _store(parsed)
    for path in parsed.file:
        results = exchange.read(path)
        print(f"{path}: {len(results)} runs, of which {store.add(results)} are new in {store.path}")


def _random(parsed: argparse.Namespace) -> None:
    from flowrl_dsl import streams
    from flowrl_dsl.suites.random_policy import random_returns

    repeats = {job.question.task: job.action_repeat for job in _jobs(parsed)}
    found = []
    with streams.silenced(parsed.json):
        for task, repeat in repeats.items():
            returns = random_returns(task, parsed.episodes, repeat)
            mean, std = float(returns.mean()), float(returns.std())
            found.append({"task": task, "return_mean": mean, "return_std": std, "episodes": parsed.episodes})
            print(f"{task}: {mean:.4g} ± {std:.3g} over {parsed.episodes} episodes", flush=True)
    show(parsed, lambda: found)
