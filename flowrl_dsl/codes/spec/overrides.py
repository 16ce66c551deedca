"""FRL0260 and FRL0261: settings on the command line."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code

CODES = (
    Code(
        "FRL0260",
        "--set without path=value",
        "Overrides have the form path=value.",
        "flowrl-dsl check qsm --set temperature",
        "Write, for instance, --set temperature=0.05.",
    ),
    Code(
        "FRL0261",
        "--set of something that is not there",
        "The path of an override consists of names of parameters, sections, improve blocks (by label) and options.",
        "flowrl-dsl check qsm --set policy.sampler.stepz=5",
        "Correct the path; the hint suggests the closest one.",
    ),
)
