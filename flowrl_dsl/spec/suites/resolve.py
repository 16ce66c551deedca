"""Suites with their specs: every spec of a group is checked with the settings it is trained with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from flowrl_dsl.diagnostics import Diagnostic, Diagnostics
from flowrl_dsl.spec.load import Loader, located
from flowrl_dsl.spec.resolve import Resolution, resolve
from flowrl_dsl.spec.suites.read import read_suite
from flowrl_dsl.spec.suites.suite import Group, Suite
from flowrl_dsl.syntax import tree

SHOWN = 3
"""Specs that a note names one by one."""


@dataclass(frozen=True)
class SuiteResolution:
    """A suite as :class:`~flowrl_dsl.spec.resolve.Resolution` has an algorithm: None exactly when there is an error."""

    suite: Suite | None
    diagnostics: Diagnostics
    sources: dict[str, str]


def check_file(path: str, opened: Mapping[str, str] = MappingProxyType({})) -> Resolution | SuiteResolution:
    """Read and check what a file holds; ``opened`` has the texts of files that are not read, by path."""
    loader = Loader(Diagnostics(), opened=opened)
    file = loader.file(located(path))
    return resolve_suite(path, loader) if file is not None and file.suite is not None else resolve(path, loader=loader)


def resolve_suite(path: str, loader: Loader | None = None) -> SuiteResolution:
    """Read and check the suite ``path`` and its specs; the ``loader`` may have read its file.

    Never raises for what a user wrote.
    """
    loader = loader or Loader(Diagnostics())
    diagnostics = loader.diagnostics
    try:
        chain = loader.chain(located(path), tree.Suite)
        suite = None if chain is None else read_suite(chain, diagnostics)
        if suite is not None:
            _check_specs(suite, loader)
    except RecursionError:
        diagnostics.error("FRL0229", "the suite is nested too deeply to be checked", None)
        suite = None
    return SuiteResolution(None if diagnostics.errors else suite, diagnostics, loader.sources)


def _check_specs(suite: Suite, loader: Loader) -> None:
    """Report what is wrong with the specs under the settings of the suite, each error once, and who has it."""
    found: dict[Diagnostic, dict[str, None]] = {}
    own = set(loader.sources)
    for name, resolution in _resolutions(suite):
        loader.sources |= resolution.sources
        for diagnostic in resolution.diagnostics:
            of_suite = diagnostic.span is not None and diagnostic.span.file in own
            if diagnostic.severity == "error" or of_suite:
                found.setdefault(diagnostic, {})[name] = None
    for diagnostic, names in found.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        note = f"in {', '.join([*names][:SHOWN])}{more}"
        loader.diagnostics.extend([replace(diagnostic, notes=(*diagnostic.notes, note))])


def _resolutions(suite: Suite) -> Iterator[tuple[str, Resolution]]:
    """Every spec with the settings of its group, and the first one of each group with every other budget."""
    for group in suite.groups:
        for name, path in group.specs.items():
            for task, data in suite.variants(group):
                yield name, resolve(path, task=task, data=data, overrides=suite.overrides(group, task, data))
        yield from _other_budgets(suite, group)


def _other_budgets(suite: Suite, group: Group) -> Iterator[tuple[str, Resolution]]:
    """Their errors alone: a shorter budget cuts off schedules that are meant for the group's own."""
    name, path = next(iter(group.specs.items()))
    for budget in suite.budgets:
        if budget != group.budget:
            task, data = next(suite.variants(group))
            found = resolve(path, task=task, data=data, overrides=suite.overrides(group, task, data, budget))
            yield name, replace(found, diagnostics=Diagnostics(found.diagnostics.errors))
