"""FRL0201 to FRL0211: the parts of a spec: files, sections, blocks and components."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code
from flowrl_dsl.codes.examples import complete

CODES = (
    Code(
        "FRL0201",
        "no algorithm in the file",
        "Only the standard library consists of files of definitions.  A spec contains one algorithm, and its definitions "
        "are inside it.",
        "def half(x) = x / 2\n",
        "Put algorithm name { ... } around the definitions, or name another file.",
    ),
    Code(
        "FRL0202",
        "base not found",
        "The file after `extends` is looked for beside the extending file, then among the shipped specs.",
        'algorithm example extends "qsn.flowrl" { }\n',
        "Correct the name; the hint suggests the closest one.",
    ),
    Code(
        "FRL0203",
        "a spec extends itself",
        "The `extends` clauses of the files form a cycle.",
        'algorithm example extends "example.flowrl" { }\n',
        "Break the cycle: one of its files must not extend another.",
    ),
    Code(
        "FRL0204",
        "no such improve block for a task",
        "An `improve` block of a `for task` block changes the options of the algorithm's block of the same mechanism.  "
        "It never adds a mechanism, so the algorithm is the same on every task.",
        complete('for task "Hopper-v5" { improve selection { uniform = 10 } }'),
        "Name a mechanism that the algorithm has, or write another spec that extends this one.",
    ),
    Code(
        "FRL0205",
        "statement in the wrong place",
        "Params, definitions, sections, improve blocks and `for task` blocks belong to the top level of an algorithm; "
        "lets are also allowed inside improve blocks and sections with formulas.",
        complete(policy="  policy { backbone = tanh_gaussian  param width = 256 in [1, 1000] }"),
        "Move the statement to the top level.",
    ),
    Code(
        "FRL0206",
        "given twice",
        "An option, a section, a param, a let, a def or an argument occurs twice in one place, or one name is declared "
        "as two different things.",
        complete("train { batch = 256  batch = 512 }"),
        "Remove one of them, or give it another name.",
    ),
    Code(
        "FRL0207",
        "unknown section",
        "The name of the braced block is not that of a section.",
        complete("actor { backbone = tanh_gaussian }"),
        "Correct the name; a mechanism is written `improve name { ... }`.",
    ),
    Code(
        "FRL0208",
        "unknown option",
        "The option or argument does not exist.  A spec may not contain unused settings.",
        complete(policy="  policy { backbone = tanh_gaussian  optimiser = adam(3e-4) }"),
        "Correct the name, or remove the option.",
    ),
    Code(
        "FRL0209",
        "missing option",
        "The component or section requires this option, which has no default.",
        complete(policy="  policy { network = mlp([256, 256]) }"),
        "Set the option; the hint describes it.",
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
        "The option takes a component of one family, and the family has no component of this name.",
        complete(policy="  policy { backbone = tanh_gausian }"),
        "Correct the name; docs/reference/components.md lists all components.",
    ),
)
