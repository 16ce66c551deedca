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
        "A param, a let, a def or an argument of a def is never used.  A spec may not contain unused declarations.",
        complete("param temperature = 0.1 in (0, 10]"),
        "Use it or remove it.",
    ),
    Code(
        "FRL0226",
        "an option goes unread",
        "The option is valid, but unused in this algorithm.",
        complete(policy="  policy { backbone = tanh_gaussian  sampler = ddpm(steps = 20) }"),
        "Remove the option, or choose a component that uses it.",
    ),
    Code(
        "FRL0227",
        "reserved name",
        "The names of functions, sizes, sections and mechanisms are reserved, so they have the same meaning in every spec.",
        objective("softmax * mean(Q(s, a), over = ensemble)", "param softmax = 1 in (0, 2]"),
        "Choose another name.",
    ),
    Code(
        "FRL0228",
        "used before it is defined",
        "A let may only use lets above it, and definitions may not be recursive.",
        objective("x", "let x = y", "let y = mean(Q(s, a), over = ensemble)"),
        "Move the let up, or break the cycle.",
    ),
    Code(
        "FRL0229",
        "formula too large",
        "With all definitions expanded, the formula is too large for a program; the usual cause is a definition "
        "that uses its argument twice, nested many times.",
        objective(
            "d(d(d(d(mean(Q(s, a), over = ensemble)))))",
            "def b(x) = x + x + x + x\ndef c(x) = b(b(x))\ndef d(x) = c(c(x))",
        ),
        "Name repeated parts with `let`: a let is computed once.",
    ),
)
