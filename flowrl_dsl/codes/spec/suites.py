"""FRL0270 to FRL0279: suites."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code


def suite(*lines: str, specs: str = "specs = [sac]", budget: str = "budget small { steps = 20_000 }") -> str:
    """Some statements in a suite that chooses all that a suite has to."""
    chosen = (specs, 'tasks = ["Hopper-v5"]', "seeds = 3", "budget = small", budget)
    return "\n".join(["suite example {", *(f"  {line}" for line in filter(None, (*chosen, *lines))), "}"]) + "\n"


CODES = (
    Code(
        "FRL0270",
        "a suite where an algorithm is expected",
        "A suite compares algorithms; it cannot be trained or extended as one.",
        'algorithm example extends "small.flowrl" { }\n',
        "Name a spec, or run the suite with `flowrl-dsl suite run`.",
    ),
    Code(
        "FRL0271",
        "an algorithm where a suite is expected",
        "`flowrl-dsl suite` and the `extends` of a suite need a file with suite name { ... }.",
        'suite example extends "sac.flowrl" { }\n',
        "Name a suite; `flowrl-dsl list suites` prints the shipped ones.",
    ),
    Code(
        "FRL0272",
        "a suite lacks a choice",
        "A suite has specs, tasks, seeds and a budget.  A group takes from its suite what it does not choose itself.",
        suite(specs=""),
        "Add the choice in the hint, to the suite or to each of its groups.",
    ),
    Code(
        "FRL0273",
        "no such budget",
        "`budget = NAME` names a block budget NAME { ... } of the suite or of one that it extends.",
        suite(budget="budget smal { steps = 20_000 }"),
        "Correct the name, or add the block.",
    ),
    Code(
        "FRL0274",
        "no such spec for a suite",
        "The specs of a suite are names of shipped specs, or paths of files, with their ending and relative to the suite.",
        suite(specs="specs = [sacc]"),
        "Correct the name; write a path in quotes.",
    ),
    Code(
        "FRL0275",
        "listed twice",
        "Specs, tasks, seeds and data sets are listed once, and no two specs of a group, or data sets of a task, have files "
        "of one name, which tables show.",
        suite(specs="specs = [sac, td3, sac]"),
        "Remove the repetition, or rename the file.",
    ),
    Code(
        "FRL0276",
        "not a statement of a suite",
        "A suite changes settings of specs as `--set` does, with a block for each part of a path; it does not define "
        "formulas, parameters with ranges or mechanisms.",
        suite("improve score_matching { reverse = 32 }"),
        "Write the settings as nested blocks: score_matching { reverse = 32 } sets score_matching.reverse.",
    ),
    Code(
        "FRL0277",
        "a group or a budget without a name",
        "Budgets are chosen by their names, and tables name groups.",
        suite("group { specs = [td3] }"),
        "Write budget small { ... } or group diffusion { ... }.",
    ),
    Code(
        "FRL0278",
        "settings for a task that the suite does not have",
        "The names of a `for task` block are compared with the tasks and the data sets of the suite, `*` matching any text, "
        "and where the block chooses data sets with the tasks alone; this block holds on none of them.",
        suite('for task "Ant-v5" { train { batch = 64 } }'),
        "Correct the name, or add the task or the data set.",
    ),
    Code(
        "FRL0279",
        "the length of a phase that no group sets",
        "In a budget, the length of a phase takes the place of the one that a group gives, in updates or in steps; a group "
        "without it keeps that of its specs.",
        suite(budget="budget small { steps = 20_000  pretrain { updates = 500 } }"),
        "Correct the name, or set the length in the groups whose specs have the phase.",
    ),
)
