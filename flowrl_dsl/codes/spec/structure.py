"""FRL0201 to FRL0211: what a spec consists of: its files, sections, blocks and components."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code
from flowrl_dsl.codes.examples import complete

CODES = (
    Code(
        "FRL0201",
        "no algorithm in the file",
        "Files of definitions alone are for the standard library.  A spec holds one algorithm, and its definitions "
        "stand inside of it.",
        "def half(x) = x / 2\n",
        "Put algorithm name { ... } around the definitions, or give another file.",
    ),
    Code(
        "FRL0202",
        "base not found",
        "The file after `extends` is looked for beside the extending file, then among the shipped specs.",
        'algorithm example extends "qsn.flowrl" { }\n',
        "Correct the name; the hint has the nearest one.",
    ),
    Code(
        "FRL0203",
        "a spec extends itself",
        "Following `extends` from file to file leads back to a file that has already been read.",
        'algorithm example extends "example.flowrl" { }\n',
        "Break the cycle: one of its files must stand for itself.",
    ),
    Code(
        "FRL0204",
        "no such improve block for a task",
        "An `improve` block of a `for task` block changes the options of the algorithm's block of the same mechanism.  "
        "It never adds a mechanism, so that an algorithm means the same on every task.",
        complete('for task "Hopper-v5" { improve selection { uniform = 10 } }'),
        "Name a mechanism that the algorithm has, or write a spec of its own that extends this one.",
    ),
    Code(
        "FRL0205",
        "statement in the wrong place",
        "Params, definitions, sections, improve blocks and `for task` blocks stand at the top level of an algorithm; "
        "lets also inside improve blocks and sections with formulas.",
        complete(policy="  policy { backbone = tanh_gaussian  param width = 256 in [1, 1000] }"),
        "Move the statement to the top level.",
    ),
    Code(
        "FRL0206",
        "given twice",
        "An option, a section, a param, a let, a def or an argument stands twice in one place, or one name is declared "
        "as two different things.  Which one should hold?",
        complete("train { batch = 256  batch = 512 }"),
        "Remove one of them, or give it another name.",
    ),
    Code(
        "FRL0207",
        "unknown section",
        "A braced block has a name that no section has.",
        complete("actor { backbone = tanh_gaussian }"),
        "Correct the name; a mechanism is written `improve name { ... }`.",
    ),
    Code(
        "FRL0208",
        "unknown option",
        "An option or argument that nothing would read.  Nothing in a spec may go unread.",
        complete(policy="  policy { backbone = tanh_gaussian  optimiser = adam(3e-4) }"),
        "Correct the name, or leave the option out.",
    ),
    Code(
        "FRL0209",
        "missing option",
        "The component or section cannot do without this option, and it has no default.",
        complete(policy="  policy { network = mlp([256, 256]) }"),
        "Give the option; the hint says what it is.",
    ),
    Code(
        "FRL0210",
        "missing section or improve block",
        "Every algorithm has a section `policy` and at least one `improve` block.",
        complete(improve=""),
        "Add it.",
    ),
    Code(
        "FRL0211",
        "unknown component",
        "The option takes a component of one family, and none of that family has this name.",
        complete(policy="  policy { backbone = tanh_gausian }"),
        "Correct the name; docs/reference/components.md lists all of them.",
    ),
)
