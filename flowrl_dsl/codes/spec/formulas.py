"""FRL0240 to FRL0258: names, calls, axes and gradients of formulas."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code
from flowrl_dsl.codes.examples import complete, diffusion, objective

CODES = (
    Code(
        "FRL0240",
        "unknown name in a formula",
        "A formula can use the values of its slot, the parameters, lets and sizes; this name is none of them.",
        objective("mean(Q(s, action), over = ensemble)"),
        "Correct the name; the hint suggests the closest one.",
    ),
    Code(
        "FRL0241",
        "the slot cannot see this name",
        "The name exists, but not in this slot: sigma, for instance, is a value of the denoising target only.",
        objective("sigma * mean(Q(s, a), over = ensemble)"),
        "Use one of the slot's names; the hint lists them.",
    ),
    Code(
        "FRL0242",
        "unknown function",
        "No function of the networks, of arithmetic, of the standard library or of this spec has this name.",
        objective("average(Q(s, a), over = ensemble)"),
        "Correct the name, or define the function with def.",
    ),
    Code(
        "FRL0243",
        "wrong number of arguments",
        "The function takes another number of arguments.",
        objective("min(Q(s, a), 0)"),
        "Use the number in the message; min and max reduce axes, minimum and maximum compare two values.",
    ),
    Code(
        "FRL0244",
        "wrong axes of an argument",
        "Networks read the axis obs of an observation and the axis action of an action; mean_shift reads the axis action of "
        "its points.  Further arguments of functions along an axis, such as that of simplex_linear, are single numbers.",
        objective("mean(Q(s, s), over = ensemble)"),
        "Correct the order of the arguments, or reduce the extra axes.",
    ),
    Code(
        "FRL0245",
        "unknown axis",
        "`over` takes names of axes: ensemble, batch, state, particle, reverse, obs, action.",
        objective("mean(Q(s, a), over = members)"),
        "Write the name of an axis.",
    ),
    Code(
        "FRL0246",
        "axis not there",
        "The reduced value does not have this axis.",
        objective("mean(Q(s, a), over = particle)"),
        "Name an axis that the value has; the hint lists them.",
    ),
    Code(
        "FRL0247",
        "needs exactly one axis",
        "softmax and its like keep their axes and work along one of them, which must be named; for mean_shift it is not the "
        "axis of the components of its points.",
        objective("sum(softmax(Q(s, a)), over = ensemble)"),
        "Add `over = ` and one axis.",
    ),
    Code(
        "FRL0248",
        "wrong axes of a formula",
        "The formula has an axis that its slot does not have, most often the axis ensemble of Q.",
        objective("Q(s, a)"),
        "Reduce the axis, for instance by min(..., over = ensemble).",
    ),
    Code(
        "FRL0249",
        "gradient of several numbers",
        "A gradient needs one number per row of the value of wrt; a remaining axis would be summed silently.",
        diffusion(improve="score_matching { target = grad(Q(s, a_t), wrt = a_t) }"),
        "Reduce the axis inside grad.",
    ),
    Code(
        "FRL0250",
        "gradient by something else",
        "Gradients are taken with respect to a value of the slot, such as a or a_t, not a parameter or an expression.",
        diffusion(improve="score_matching { target = grad(mean(Q(s, a_t)), wrt = x_t) }"),
        "Write `wrt = ` and the name of a value.",
    ),
    Code(
        "FRL0251",
        "not a formula",
        "Formulas consist of names, numbers, operators and calls.",
        objective('"max Q"'),
        "Write an expression of values.",
    ),
    Code(
        "FRL0252",
        "ambiguous name",
        "A param or let has the name of a value of this slot.",
        diffusion("param sigma = 1 in (0, 2]", improve="score_matching { target = sigma * noise * mean(Q(s, a_t)) }"),
        "Rename the param or let.",
    ),
    Code(
        "FRL0253",
        "unknown named argument",
        "Functions of formulas take their arguments in order; only over, wrt and the arguments of a def have names.",
        objective("mean(Q(s, a), axis = ensemble)"),
        "Write `over = ` for the axis of a reduction; otherwise omit the name.",
    ),
    Code(
        "FRL0254",
        "nothing to reduce",
        "The value is already a scalar.",
        objective("mean(beta) * mean(Q(s, a), over = ensemble)", "param beta = 1 in (0, 2]"),
        "Remove the reduction.",
    ),
    Code(
        "FRL0255",
        "arrow in the wrong place",
        "An arrow is only allowed between the stages of `order` and between the two ends of a schedule.",
        complete(policy="  policy { backbone = tanh_gaussian  optimizer = adam(3e-4 -> 3e-5) }"),
        "Write linear(3e-4 -> 3e-5, over = 200_000).",
    ),
    Code(
        "FRL0256",
        "formula without the value it is differentiated by",
        "An objective trains the policy by its gradient with respect to the action: a formula that does not contain the "
        "action, or only inside stop(...), has gradient 0.",
        objective("stop(min(Q(s, a), over = ensemble))"),
        "Use the value named in the message in the formula.",
    ),
    Code(
        "FRL0257",
        "ensembles of different lengths",
        "Two ensembles of different lengths, such as a subset and the whole, cannot be combined member by member.",
        objective("mean(Q(s, a) - subset(Q(s, a), 1), over = ensemble)"),
        "Reduce both over ensemble before combining them, or draw subsets of the same length.",
    ),
    Code(
        "FRL0258",
        "from without a function",
        "`EXPR from COPY` selects the parameters that functions of networks in EXPR read; none in it is of that section.",
        objective("min(Q(s, a), over = ensemble) - (square(norm(a, over = action)) from policy)"),
        "Remove `from`, or call a function of the section.",
    ),
)
