"""The differences between two suites, choice by choice and setting by setting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flowrl_dsl.spec.compare import ABSENT, Difference
from flowrl_dsl.spec.literals import spec_text
from flowrl_dsl.spec.suites.suite import LENGTHS, Group, Layer, Suite


def compare_suites(left: Suite, right: Suite) -> list[Difference]:
    """Every choice and setting that differs; names and titles are not compared."""
    texts = [_texts(suite) for suite in (left, right)]
    paths = list(dict.fromkeys((*texts[0], *texts[1])))
    pairs = ((path, texts[0].get(path, ABSENT), texts[1].get(path, ABSENT)) for path in paths)
    return [Difference(path, one, other) for path, one, other in pairs if one != other]


def _texts(suite: Suite) -> dict[str, str]:
    """All that a suite says, as text by path."""
    found: dict[str, str] = {}
    for group in suite.groups:
        where = f"group {group.name} " if group.name else ""
        found |= {f"{where}{name}": text for name, text in _choices(group)}
        found |= {f"{where}{path}": text for path, text in _settings(group.layers)}
    for name, budget in suite.budgets.items():
        found |= {f"budget {name} {path.removeprefix(f'{LENGTHS}.')}": text for path, text in _settings(budget.layers)}
    return found


def _choices(group: Group) -> Iterator[tuple[str, str]]:
    yield "specs", f"[{', '.join(group.specs)}]"
    yield "tasks", spec_text(tuple(map(str, group.tasks)))
    yield "seeds", spec_text(group.seeds)
    yield "budget", group.budget
    for layer in group.data:
        names = ", ".join(f'"{task}"' for task in layer.tasks)
        yield f"data for task {names}" if names else "data", f"[{', '.join(one.name for one in layer.sources)}]"
    if group.made_by:
        yield "made_by", group.made_by


def _settings(layers: Sequence[Layer]) -> Iterator[tuple[str, str]]:
    """The settings by path, each the one that wins; those for some tasks with their names."""
    for layer in layers:
        names = ", ".join(f'"{task}"' for task in layer.tasks)
        for override in layer.sets:
            path, _, value = override.text.partition("=")
            yield f"{path} for task {names}" if names else path, value
