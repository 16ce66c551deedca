"""The command ``flowrl-dsl search``: runs with values proposed by Optuna, and the one with the greatest return."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowrl_dsl import driver, resuming, runs
from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.diagnostics import DiagnosticError, did_you_mean
from flowrl_dsl.runtime.errors import RunError, require_extra

if TYPE_CHECKING:
    import optuna

_STUDY, _NAME, _ASKED = "study.log", "search", "search"
"""File, name and attribute of a study."""
_DECADES = 1e-3
"""Share of the upper bound at which a declared range that is open at 0 begins: three decades."""

_DIVERGED = ("FRL0420", "FRL0421")
"""Codes of runs that the values of a trial may have made fail."""


@dataclass(frozen=True)
class Range:
    """The values of an option or parameter, both ends included: uniform, or uniform in the logarithm."""

    name: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __str__(self) -> str:
        return f"{self.name}={self.low:g}..{self.high:g}{':log' if self.log else ''}{':int' if self.whole else ''}"


@dataclass(frozen=True)
class Trial:
    """One run of a search; the return is that of its last evaluation, None if it failed or has not ended."""

    number: int
    values: Mapping[str, float]
    episode_return: float | None
    run: str

    def as_json(self) -> dict[str, Any]:
        """The trial by the names of its columns."""
        return {"trial": self.number, "values": dict(self.values), "return": self.episode_return, "run": self.run}


def ranges(arguments: runs.TrainArguments, given: Sequence[Range | str]) -> list[Range]:
    """The ranges of a search: those given, names alone by the spec's declaration; with none, all that the spec declares.

    Raises FRL0493 for a parameter without a finite declared range.
    """
    algorithm, _ = driver.resolve_or_raise(arguments.spec, arguments.task, arguments.sets)
    if given:
        return [_declared(algorithm, one) if isinstance(one, str) else one for one in given]
    found = [name for name, parameter in algorithm.parameters.items() if isfinite(parameter.interval.high)]
    if not found:
        hint = "declare one, `param temperature = 0.1 in (0, 10]`, or write --range temperature=0.01..1:log"
        raise RunError("FRL0493", f"{algorithm.name} declares no finite range", hint)
    return [_declared(algorithm, name) for name in found]


def _declared(algorithm: Algorithm, name: str) -> Range:
    parameter = algorithm.parameters.get(name)
    if parameter is None:
        hint = did_you_mean(name, algorithm.parameters) if algorithm.parameters else ""
        raise RunError("FRL0493", f'{algorithm.name} has no parameter "{name}"', hint, f"or write --range {name}=LOW..HIGH")
    low, high = parameter.interval.low, parameter.interval.high
    if not (isfinite(low) and isfinite(high)):
        raise RunError("FRL0493", f"{name} is declared in {parameter.interval}", f"write --range {name}=LOW..HIGH")
    from_zero = low == 0 and parameter.interval.low_open
    return Range(name, high * _DECADES if from_zero else low, high, log=from_zero)


def search(arguments: runs.TrainArguments, given: Sequence[Range | str], trials: int, out: Path) -> list[Trial]:
    """Run trials until the study in the folder ``out`` has this number; returns all, the best first.

    A search that was interrupted continues with the trial that it was in.  The proposals are those of the
    tree-structured Parzen estimator (Bergstra et al., 2011), and depend on the seed and the results so far.
    """
    require_extra("search", "optuna")
    chosen = ranges(arguments, given)
    study = _opened(arguments, chosen, out)
    for number in _open_trials(study):
        _run(study, number, arguments, out)
    while len(study.trials) < trials:
        _propose(study, chosen, arguments.seed)
        _run(study, len(study.trials) - 1, arguments, out)
    return results(study, out)


def _opened(arguments: runs.TrainArguments, chosen: Sequence[Range], out: Path) -> optuna.Study:
    """The study in a folder, or a new one; raises FRL0493 for that of another search."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    from flowrl_dsl.runtime import files

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with files.disk(out):
        out.mkdir(parents=True, exist_ok=True)
        storage = JournalStorage(JournalFileBackend(str(out / _STUDY)))
        study = optuna.create_study(storage=storage, study_name=_NAME, direction="maximize", load_if_exists=True)
    asked = asdict(replace(arguments, out=None)) | {"ranges": list(map(str, chosen))}
    asked = json.loads(json.dumps(asked))
    before = study.user_attrs.get(_ASKED, asked)
    differing = [name for name in asked if before.get(name) != asked[name]]
    if differing:
        message = f"the search in {out} has another {differing[0]}: {before.get(differing[0])!r}"
        raise RunError("FRL0493", message, "repeat its command to continue it, or choose another folder with --out")
    study.set_user_attr(_ASKED, asked)
    return study


def _open_trials(study: optuna.Study) -> Iterator[int]:
    """The trials that were interrupted."""
    import optuna

    yield from (one.number for one in study.trials if one.state == optuna.trial.TrialState.RUNNING)


def _propose(study: optuna.Study, chosen: Sequence[Range], seed: int) -> None:
    """Begin a trial."""
    import optuna

    # a generator for each trial: a search that was interrupted proposes what an uninterrupted one does
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    trial = study.ask()
    for one in chosen:
        if one.whole:
            trial.suggest_int(one.name, int(one.low), int(one.high), log=one.log)
        else:
            trial.suggest_float(one.name, one.low, one.high, log=one.log)


def _run(study: optuna.Study, number: int, arguments: runs.TrainArguments, out: Path) -> None:
    """Train the run of a trial, from its last checkpoint if it has begun, and report its return."""
    import optuna

    values = study.trials[number].params
    path = run_folder(out, number)
    print(f"trial {number}: {_shown(values)}", flush=True)
    try:
        if (path / "run.json").exists():
            resuming.resume(path)
        else:
            sets = (*arguments.sets, *(f"{name}={value!r}" for name, value in values.items()))
            runs.train(replace(arguments, sets=sets, out=path))
        study.tell(number, final_return(path))
    except DiagnosticError as error:
        if error.diagnostics[0].code not in _DIVERGED:
            raise
        # the values made this run fail; others may not
        print(f"trial {number} failed: {error.diagnostics[0].code}: {error.diagnostics[0].message}", flush=True)
        study.tell(number, state=optuna.trial.TrialState.FAIL)


def run_folder(out: Path, number: int) -> Path:
    """The run of a trial."""
    return out / f"trial{number}"


def final_return(path: Path) -> float:
    """The mean return of the last evaluation of a run."""
    from flowrl_dsl.runtime.logs import RunFolder

    return float(next(one["return_mean"] for one in reversed(RunFolder(path).records()) if one["kind"] == "eval"))


def results(study: optuna.Study, out: Path) -> list[Trial]:
    """All trials, those with the greatest return first and those without one last."""
    found = [
        Trial(one.number, one.params, one.value if one.state.is_finished() else None, str(run_folder(out, one.number)))
        for one in study.trials
    ]
    return sorted(found, key=lambda one: -float("inf") if one.episode_return is None else one.episode_return, reverse=True)


def table(found: Sequence[Trial]) -> str:
    """One line for each trial."""
    return "\n".join(
        f"trial {one.number:<4} return {'-' if one.episode_return is None else format(one.episode_return, '.1f'):>10}  "
        f"{_shown(one.values)}  {one.run}"
        for one in found
    )


def _shown(values: Mapping[str, float]) -> str:
    return " ".join(f"{name}={value:.6g}" for name, value in values.items())
