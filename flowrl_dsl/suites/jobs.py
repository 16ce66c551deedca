"""The runs of a suite, and what decides the results of each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from flowrl_dsl import driver
from flowrl_dsl.diagnostics import Diagnostics, did_you_mean
from flowrl_dsl.spec.applies import applies
from flowrl_dsl.spec.load import Loader, located
from flowrl_dsl.spec.show import show
from flowrl_dsl.spec.suites.suite import Group, Suite
from flowrl_dsl.suites.data_sets import DataSet, data_set
from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.syntax import tree

OF_THE_BUDGET = ("steps", "evaluate_every", "episodes")
"""Settings of the section ``train`` that change how long an algorithm is trained and how it is measured, not what it is."""


@cache
def fingerprint(spec: str, task: str | None, sets: tuple[str, ...], data: str | None = None) -> str:
    """A digest of the algorithm that a spec resolves to: 12 hexadecimal digits of the SHA-256 of its resolved text.

    How long it is trained and how it is evaluated takes no part.  Neither do options that are none, so that an option which
    later versions add, and which a spec does not use, leaves its digest as it is.  ``data`` is the name of the data set,
    with which ``for task`` blocks are compared.
    """
    fixed = tuple(f"train.{name}=1" for name in OF_THE_BUDGET)
    algorithm, _ = driver.resolve_or_raise(spec, task, (*sets, *fixed), data)
    return digest(show(algorithm))


def digest(text: str) -> str:
    """The digest of a resolved text, whatever its layout, without the options that are none.

    A call that is written over several lines, as a longer one is, ends with a comma.
    """
    joined = "".join(re.sub(r"\b\w+\s*=\s*none\b,?", "", text).split())
    return hashlib.sha256(re.sub(r",(?=[)\]}])", "", joined).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Question:
    """All that decides the results of a run but the software and the machine.

    ``data`` is the digest of the data set that the run learns from, empty for a run without one.
    """

    algorithm: str
    task: str
    seed: int
    steps: int
    evaluate_every: int
    episodes: int
    data: str = ""


@dataclass(frozen=True)
class Job:
    """One run.  ``label`` is the name of the spec in tables, with its group where two groups train it."""

    label: str
    spec: str
    path: str
    sets: tuple[str, ...]
    question: Question
    warmup: int
    updates: int
    action_repeat: int
    acts: bool
    """Whether the algorithm collects its own data; ``warmup`` are the steps before its first update."""
    collected: int = 0
    """The steps that it keeps in its replay."""
    needs_data: bool = False
    data: DataSet | None = None

    @property
    def place(self) -> str:
        """The task in tables, with the data set where there is one."""
        return self.question.task if self.data is None else f"{self.question.task}, {self.data.name}"

    @property
    def folder(self) -> str:
        """The place of its files below the folder of runs; runs of different suites that agree share it."""
        return f"{self.population}-seed{self.question.seed}"

    @property
    def population(self) -> str:
        """The common part of the places of runs that differ in their seeds alone."""
        ask = self.question
        rest = (ask.steps, ask.evaluate_every, ask.episodes, *filter(None, [ask.data]))
        budget = hashlib.sha256(repr(rest).encode()).hexdigest()[:6]
        return f"{self.spec}/{ask.task.replace('/', '_')}/{ask.algorithm}-{budget}"

    def __str__(self) -> str:
        return f"{self.label} on {self.place}, seed {self.question.seed}"


@dataclass(frozen=True)
class _Variant:
    """What a spec resolves to: the same for tasks and data sets on which the same of its ``for task`` blocks hold."""

    algorithm: str
    steps: int
    evaluate_every: int
    episodes: int
    warmup: int
    updates: int
    action_repeat: int
    acts: bool
    collected: int
    needs_data: bool


def jobs_of(suite: Suite, budget: str | None = None) -> list[Job]:
    """The runs of a suite, seed by seed, so that an interrupted suite has covered every spec and task.

    ``budget`` names one in place of the suite's; raises FRL0508 for one that it does not have.
    """
    _check_known("budget", None if budget is None else [budget], suite.budgets)
    labels = _labels(suite)
    resolver = _Resolver()
    found = [job for group in suite.groups for job in _jobs(suite, group, budget, labels, resolver)]
    unique = {(job.label, job.question): job for job in found}
    return sorted(unique.values(), key=lambda job: job.question.seed)


def chosen(
    jobs: Sequence[Job],
    specs: Sequence[str] | None,
    tasks: Sequence[str] | None,
    seeds: Sequence[int] | None,
    data: Sequence[str] | None = None,
) -> list[Job]:
    """The jobs of these specs (by name or label), tasks, seeds and data sets (by name); None for all.

    Raises FRL0508 for what there is not.
    """
    _check_known("spec", specs, {name for job in jobs for name in (job.spec, job.label)})
    _check_known("task", tasks, {job.question.task for job in jobs})
    _check_known("seed", seeds, {job.question.seed for job in jobs})
    _check_known("data set", data, {job.data.name for job in jobs if job.data is not None})
    return [
        job
        for job in jobs
        if (specs is None or job.spec in specs or job.label in specs)
        and (tasks is None or job.question.task in tasks)
        and (seeds is None or job.question.seed in seeds)
        and (data is None or (job.data is not None and job.data.name in data))
    ]


def _check_known(what: str, wanted: Sequence[object] | None, known: Collection[object]) -> None:
    for name in wanted or ():
        if name not in known:
            hint = did_you_mean(str(name), map(str, known))
            raise SuiteError("FRL0508", f'the suite has no {what} "{name}"', hint)


def _labels(suite: Suite) -> dict[tuple[str, str], str]:
    """The name of each spec of each group in tables."""
    counts: dict[str, int] = {}
    for group in suite.groups:
        for spec in group.specs:
            counts[spec] = counts.get(spec, 0) + 1
    pairs = ((group.name, spec) for group in suite.groups for spec in group.specs)
    return {(group, spec): f"{spec} ({group})" if counts[spec] > 1 else spec for group, spec in pairs}


def _jobs(
    suite: Suite, group: Group, budget: str | None, labels: dict[tuple[str, str], str], resolver: _Resolver
) -> Iterator[Job]:
    for spec, path in group.specs.items():
        for task, source in group.places():
            name, data = (None, None) if source is None else (source.name, data_set(source, group.made_by))
            sets = tuple(override.text for override in suite.overrides(group, task, name, budget))
            variant = resolver.variant(path, task, sets, None if data is None else data.own_name)
            budgeted = (variant.steps, variant.evaluate_every, variant.episodes)
            for seed in group.seeds:
                question = Question(variant.algorithm, task, seed, *budgeted, "" if data is None else data.key)
                amounts = (variant.warmup, variant.updates, variant.action_repeat, variant.acts)
                needs = (variant.collected, variant.needs_data, data)
                yield Job(labels[group.name, spec], spec, path, sets, question, *amounts, *needs)


@cache
def _patterns(path: str) -> tuple[tuple[str, ...], ...]:
    """The names of each ``for task`` block of a spec and the specs that it extends."""
    chain = Loader(Diagnostics()).chain(located(path), tree.Algorithm) or []
    blocks = (statement for algorithm in chain for statement in algorithm.body)
    return tuple(block.patterns for block in blocks if isinstance(block, tree.ForTask))


class _Resolver:
    """Resolves a spec once for all tasks and data sets on which the same of its ``for task`` blocks hold."""

    def __init__(self) -> None:
        self._found: dict[tuple, _Variant] = {}

    def variant(self, path: str, task: str, sets: tuple[str, ...], data: str | None) -> _Variant:
        held = tuple(applies(patterns, task, data) for patterns in _patterns(path))
        key = (path, held, sets)
        if key not in self._found:
            self._found[key] = _resolved(path, task, sets, data)
        return self._found[key]


def _resolved(path: str, task: str, sets: tuple[str, ...], data: str | None) -> _Variant:
    algorithm, _ = driver.resolve_or_raise(path, task, sets, data)
    train: Any = algorithm.sections["train"]
    regime: Any = algorithm.regime
    phases = train.in_phases(algorithm)
    steps, warmup = phases.get("steps", train.steps), train.warmup if regime.acts else 0
    updates = (steps - warmup) * train.updates if "steps" in phases else regime.updates(algorithm)
    acting = steps - phases.get("offline", 0) if regime.collects(algorithm) else 0
    collected = min(acting, regime.capacity(algorithm, train.envs))
    needs = not regime.acts or train.sampling.needs_data
    budget = (steps, train.evaluate_every, train.episodes)
    amounts = (warmup, updates, train.action_repeat)
    return _Variant(fingerprint(path, task, sets, data), *budget, *amounts, regime.acts, collected, needs)
