"""FRL0224 to FRL0229: literals, params, lets and definitions."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code
from flowrl_dsl.codes.examples import complete, objective

CODES = (
    Code(
        "FRL0224",
        "arithmetic without a value",
        "The arithmetic of the literals divides by zero, or its result is too large.",
        complete("train { batch = 256 / 0 }"),
        "Write the number itself.",
    ),
    Code(
        "FRL0225",
        "never used",
        "A param, a let, a def or an argument of a def is read by nothing.  Nothing in a spec may go unread.",
        complete("param temperature = 0.1 in (0, 10]"),
        "Use it or remove it.",
    ),
    Code(
        "FRL0226",
        "an option goes unread",
        "The option is valid, but nothing in this algorithm reads it.",
        complete(policy="  policy { backbone = tanh_gaussian  sampler = ddpm(steps = 20) }"),
        "Remove the option, or choose the component that reads it.",
    ),
    Code(
        "FRL0227",
        "reserved name",
        "Functions, sizes, sections and mechanisms keep their names, so that a spec reads the same everywhere.",
        objective("softmax * mean(Q(s, a), over = ensemble)", "param softmax = 1 in (0, 2]"),
        "Choose another name.",
    ),
    Code(
        "FRL0228",
        "used before it is defined",
        "A let reads only lets above it, and a definition never leads back to itself.",
        objective("x", "let x = y", "let y = mean(Q(s, a), over = ensemble)"),
        "Move the let up, or break the cycle.",
    ),
    Code(
        "FRL0229",
        "formula too large",
        "With all definitions expanded, the formula has more parts than a program should hold: usually a definition "
        "that uses its argument twice, nested many times.",
        objective(
            "d(d(d(d(mean(Q(s, a), over = ensemble)))))",
            "def b(x) = x + x + x + x\ndef c(x) = b(b(x))\ndef d(x) = c(c(x))",
        ),
        "Give a name to what is used often with `let`: a let is computed once.",
    ),
)
