"""FRL0230 to FRL0239: the order of the stages, and phases."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code
from flowrl_dsl.codes.examples import complete

CODES = (
    Code(
        "FRL0230",
        "not a stage",
        "The order joins parts by ->; in [a, b] both parts read the same values, every(n, a) runs a part every n-th update.",
        complete("order = critic + policy -> targets"),
        "Write, for instance, critic -> [policy, temperature] -> targets.",
    ),
    Code(
        "FRL0231",
        "unknown part of the order",
        "The order contains a name that is not a stage of this algorithm.  Its stages are the critic, the policy, each "
        "learned parameter, and `targets` if there are copies.",
        complete("order = critic -> actor -> targets"),
        "Remove or correct the name.",
    ),
    Code(
        "FRL0232",
        "the order leaves out a part",
        "Every stage occurs in the order exactly once, or, with phases, in at least one of their orders.",
        complete("order = critic -> policy"),
        "Insert the missing part at its place.",
    ),
    Code(
        "FRL0233",
        "twice in the order",
        "Every stage occurs in the order, or in that of one phase, at most once.",
        complete("order = critic -> policy -> critic -> targets"),
        "Remove one of the two.",
    ),
    Code(
        "FRL0234",
        "bad use of every, after or until",
        "every(n, part), after(n, part) and until(n, part) take a whole number of updates and a part; every "
        "may be followed by the counts after and until, and after by the count until.",
        complete("order = critic -> every(0, policy -> targets)"),
        "Write, for instance, every(2, policy -> targets).",
    ),
    Code(
        "FRL0235",
        "parameter learned before it is measured",
        "A learned parameter uses a measurement of the stage `policy` in the same update (the divergence from the "
        "proposals, or the entropy), so that stage must not run after it.",
        """algorithm example extends "dpmd.flowrl" {
  order = temperature -> critic -> policy -> targets
}
""",
        "Move the parameter after `policy`, or beside it: [critic, policy, temperature] -> targets.",
    ),
    Code(
        "FRL0236",
        "two stages move the critic at once",
        "A mechanism such as value_denoising updates the critic's parameters in the stage `policy`.  In parallel with the "
        "stage `critic` both would start from the same parameters, and one of the two steps would be lost.",
        """algorithm example extends "nclql.flowrl" {
  order = [critic, policy] -> targets
}
""",
        "Write one after the other: critic -> policy -> targets.",
    ),
    Code(
        "FRL0237",
        "bad phase",
        "A phase has a name and a number of updates, a whole number from 1 on.  Only the last phase may leave the number "
        "out: it lasts to the end of the run.",
        complete("phase pretrain { order = critic -> targets }", "phase main { }"),
        "Write, for instance, phase pretrain { updates = 10_000  order = critic -> targets }.",
    ),
    Code(
        "FRL0238",
        "bad begin of a phase",
        "A phase begins with copies of parameters and fresh optimizers: copy(SOURCE, SECTION) overwrites a policy or state "
        "values by another section of the kind or a copy, reset(SECTION, ...) makes optimizers begin anew.",
        complete("phase pretrain { updates = 100 }", "phase main { begin = restart }"),
        "Write, for instance, begin = [copy(policy_target, policy), reset(optimizers)].",
    ),
    Code(
        "FRL0239",
        "copy between unlike sections",
        "Parameters can be copied only into a section of the same kind with the same options of its network, and for "
        "policies with the same backbone.",
        complete(
            "phase pretrain { updates = 100 }",
            "phase main { begin = copy(value, policy) }",
            "value { fit = square(mean(Q(s, a), over = ensemble) - V(s)) }",
            critic="  critic { backup = r + discount * (1 - d) * V(s_next) }",
        ),
        "Copy from a section of the same kind, or give both the same network.",
    ),
    Code(
        "FRL0259",
        "misplaced steps of a phase",
        "`steps` are the environment steps of a phase that acts.  It is the last phase of an algorithm with "
        "`regime = offline`, after phases that are counted in updates; a phase has one of the two.",
        """algorithm example extends "iql.flowrl" {
  phase online { steps = 10_000 }
  phase main { updates = 10_000 }
}
""",
        "Write phase main { updates = 10_000 } first, and phase online { steps = 10_000 } after it.",
    ),
)
