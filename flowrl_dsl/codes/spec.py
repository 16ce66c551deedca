"""FRL02xx: text that is the language but says something that cannot be."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code

_POLICY = "  policy { backbone = tanh_gaussian }"
_CRITIC = "  critic { }"
_IMPROVE = "  improve reparameterized { }"


def _algorithm(*lines: str) -> str:
    """A smallest algorithm around some statements."""
    body = "\n".join(f"  {line}" for statement in lines for line in statement.splitlines())
    return f"algorithm example {{\n{body}\n}}\n"


def _with(*lines: str, policy: str = _POLICY, critic: str = _CRITIC, improve: str = _IMPROVE) -> str:
    """The same with the sections that every algorithm has."""
    rest = [f"  {line}" for statement in lines for line in statement.splitlines()]
    return "\n".join(["algorithm example {", *rest, *filter(None, (policy, critic, improve)), "}"]) + "\n"


def _objective(formula: str, *lines: str) -> str:
    """The same around one formula; ``Q(s, a)`` has the axes [ensemble, batch]."""
    return _with(*lines, improve=f"  improve reparameterized {{ objective = {formula} }}")


def _diffusion(*lines: str, improve: str, sampler: str = "  sampler = ddpm(steps = 20)") -> str:
    policy = f"  policy {{ backbone = diffusion{sampler} }}"
    return _with(*lines, policy=policy, improve=f"  improve {improve}")


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
        _with('for task "Hopper-v5" { improve selection { uniform = 10 } }'),
        "Name a mechanism that the algorithm has, or write a spec of its own that extends this one.",
    ),
    Code(
        "FRL0205",
        "statement in the wrong place",
        "Params, definitions, sections, improve blocks and `for task` blocks stand at the top level of an algorithm; "
        "lets also inside improve blocks and sections with formulas.",
        _with(policy="  policy { backbone = tanh_gaussian  param width = 256 in [1, 1000] }"),
        "Move the statement to the top level.",
    ),
    Code(
        "FRL0206",
        "given twice",
        "An option, a section, a param, a let, a def or an argument stands twice in one place, or one name is declared "
        "as two different things.  Which one should hold?",
        _with("train { batch = 256  batch = 512 }"),
        "Remove one of them, or give it another name.",
    ),
    Code(
        "FRL0207",
        "unknown section",
        "A braced block has a name that no section has.",
        _with("actor { backbone = tanh_gaussian }"),
        "Correct the name; a mechanism is written `improve name { ... }`.",
    ),
    Code(
        "FRL0208",
        "unknown option",
        "An option or argument that nothing would read.  Nothing in a spec may go unread.",
        _with(policy="  policy { backbone = tanh_gaussian  optimiser = adam(3e-4) }"),
        "Correct the name, or leave the option out.",
    ),
    Code(
        "FRL0209",
        "missing option",
        "The component or section cannot do without this option, and it has no default.",
        _with(policy="  policy { network = mlp([256, 256]) }"),
        "Give the option; the hint says what it is.",
    ),
    Code(
        "FRL0210",
        "missing section or improve block",
        "Every algorithm has a section `policy` and at least one `improve` block.",
        _with(improve=""),
        "Add it.",
    ),
    Code(
        "FRL0211",
        "unknown component",
        "The option takes a component of one family, and none of that family has this name.",
        _with(policy="  policy { backbone = tanh_gausian }"),
        "Correct the name; docs/reference/components.md lists all of them.",
    ),
    Code(
        "FRL0212",
        "a component lacks what another one needs",
        "Components say what they provide and what they need.  Here something needs what nothing in this algorithm "
        "provides: a log-density, an action value, a copy of a network.",
        _diffusion(
            sampler="  sampler = ddim(steps = 20)  old = copy(every = 1000)",
            improve="likelihood_ratio { advantage = mean(Q(s, a), over = ensemble) }",
        ),
        "Choose one of the components that the hint lists, or add the option it names.",
    ),
    Code(
        "FRL0213",
        "wrong kind of value",
        "A number, a word, a list or a component stands where the option takes something else.",
        _with("train { batch = many }"),
        "Write what the message says was expected.",
    ),
    Code(
        "FRL0214",
        "number out of range",
        "The number, or the length of the list, is outside of what the option or parameter admits.",
        _with("train { batch = 0 }"),
        "Choose a number in the range.",
    ),
    Code(
        "FRL0215",
        "not among the choices",
        "The option takes one of a few words.",
        _with(policy="  policy { backbone = tanh_gaussian  network = mlp([256], activation = mich) }"),
        "Write one of the words in the message.",
    ),
    Code(
        "FRL0216",
        "options contradict one another",
        "Each option is valid by itself, but the component cannot have them together.",
        _objective("min(Q(s, a), over = ensemble) - alpha * log_prob(s, a)", "param alpha = learned(1.0) in (0, inf)"),
        "Follow the message of the component.",
    ),
    Code(
        "FRL0217",
        "too many arguments",
        "The component has fewer options than the call has arguments.",
        _with("act { evaluate = mean(10) }"),
        "Remove the extra arguments.",
    ),
    Code(
        "FRL0218",
        "nothing is drawn here",
        "`value from source` says from which copy of the policy actions are drawn; this option draws none.",
        _with(policy="  policy { backbone = tanh_gaussian from policy_target }"),
        "Remove `from` and the name after it.",
    ),
    Code(
        "FRL0219",
        "unknown source",
        "Actions are drawn from policy, policy_target or old_policy.",
        _with("act { explore = sample from behaviour }"),
        "Write one of the three.",
    ),
    Code(
        "FRL0220",
        "the copy drawn from is not kept",
        "Actions are drawn from a copy of the policy that the section policy does not keep.",
        _with("act { explore = sample from old_policy }"),
        "Add the option in the hint to the section policy, or draw from policy.",
    ),
    Code(
        "FRL0221",
        "parameter outside of the option's range",
        "The option is set to a parameter whose value the option does not admit.",
        _with("param rate = 2 in [0, 5]", critic="  critic { target = ema(rate) }"),
        "Change the parameter, or set the option to something else.",
    ),
    Code(
        "FRL0222",
        "not the value of a parameter",
        "A parameter is a number, a schedule such as linear(1 -> 0, over = 100_000), or learned(...).",
        _objective("beta * mean(Q(s, a), over = ensemble)", "param beta = [1, 2]"),
        "Write a number; for what depends on other values, use let.",
    ),
    Code(
        "FRL0224",
        "arithmetic without a value",
        "The arithmetic of the literals divides by zero, or its result is too large.",
        _with("train { batch = 256 / 0 }"),
        "Write the number itself.",
    ),
    Code(
        "FRL0225",
        "never used",
        "A param, a let, a def or an argument of a def is read by nothing.  Nothing in a spec may go unread.",
        _with("param temperature = 0.1 in (0, 10]"),
        "Use it or remove it.",
    ),
    Code(
        "FRL0226",
        "an option goes unread",
        "The option is valid, but nothing in this algorithm reads it.",
        _with(policy="  policy { backbone = tanh_gaussian  sampler = ddpm(steps = 20) }"),
        "Remove the option, or choose the component that reads it.",
    ),
    Code(
        "FRL0227",
        "reserved name",
        "Functions, sizes, sections and mechanisms keep their names, so that a spec reads the same everywhere.",
        _objective("softmax * mean(Q(s, a), over = ensemble)", "param softmax = 1 in (0, 2]"),
        "Choose another name.",
    ),
    Code(
        "FRL0228",
        "used before it is defined",
        "A let reads only lets above it, and a definition never leads back to itself.",
        _objective("x", "let x = y", "let y = mean(Q(s, a), over = ensemble)"),
        "Move the let up, or break the cycle.",
    ),
    Code(
        "FRL0229",
        "formula too large",
        "With all definitions expanded, the formula has more parts than a program should hold: usually a definition "
        "that uses its argument twice, nested many times.",
        _objective(
            "d(d(d(d(mean(Q(s, a), over = ensemble)))))",
            "def b(x) = x + x + x + x\ndef c(x) = b(b(x))\ndef d(x) = c(c(x))",
        ),
        "Give a name to what is used often with `let`: a let is computed once.",
    ),
    Code(
        "FRL0230",
        "not a stage",
        "The order joins parts by ->; [a, b] lets parts read the same values, every(n, a) moves a part in each n-th update.",
        _with("order = critic + policy -> targets"),
        "Write for instance critic -> [policy, temperature] -> targets.",
    ),
    Code(
        "FRL0231",
        "unknown part of the order",
        "The order names something that does not move in this algorithm.  What moves is the critic, the policy, each "
        "learned parameter, and `targets` where copies are kept.",
        _with("order = critic -> actor -> targets"),
        "Remove or correct the name.",
    ),
    Code(
        "FRL0232",
        "the order leaves out a part",
        "Every part that moves stands in the order exactly once.",
        _with("order = critic -> policy"),
        "Append the missing part where it should move.",
    ),
    Code(
        "FRL0233",
        "twice in the order",
        "Every part that moves stands in the order exactly once.",
        _with("order = critic -> policy -> critic -> targets"),
        "Remove one of the two.",
    ),
    Code(
        "FRL0234",
        "bad use of every, after or until",
        "every(n, part), after(n, part) and until(n, part) take a whole number of updates and a part; behind it, every "
        "may have the counts after and until, after the count until.",
        _with("order = critic -> every(0, policy -> targets)"),
        "Write for instance every(2, policy -> targets).",
    ),
    Code(
        "FRL0235",
        "parameter learned before it is measured",
        "A learned parameter follows what the stage `policy` measures in the same update (the divergence from the "
        "proposals, or the entropy), so that stage must not come after it.",
        """algorithm example extends "dpmd.flowrl" {
  order = temperature -> critic -> policy -> targets
}
""",
        "Move the parameter behind `policy`, or beside it: [critic, policy, temperature] -> targets.",
    ),
    Code(
        "FRL0236",
        "two stages move the critic at once",
        "A mechanism such as value_denoising descends the critic's parameters in the stage `policy`.  Side by side with the "
        "stage `critic` both would start from the same parameters, and one of the two steps would be lost.",
        """algorithm example extends "nclql.flowrl" {
  order = [critic, policy] -> targets
}
""",
        "Write one behind the other: critic -> policy -> targets.",
    ),
    Code(
        "FRL0240",
        "unknown name in a formula",
        "The formula sees the values of its slot, the parameters, lets and sizes; this name is none of them.",
        _objective("mean(Q(s, action), over = ensemble)"),
        "Correct the name; the hint has the nearest one.",
    ),
    Code(
        "FRL0241",
        "the slot cannot see this name",
        "The name exists, but not in this slot: sigma, for instance, is a value of the denoising target only.",
        _objective("sigma * mean(Q(s, a), over = ensemble)"),
        "Use what the slot sees; the hint lists it.",
    ),
    Code(
        "FRL0242",
        "unknown function",
        "No function of the networks, of arithmetic, of the standard library or of this spec has this name.",
        _objective("average(Q(s, a), over = ensemble)"),
        "Correct the name, or define the function with def.",
    ),
    Code(
        "FRL0243",
        "wrong number of arguments",
        "The function takes another number of arguments.",
        _objective("min(Q(s, a), 0)"),
        "Give as many as the message says; min and max reduce axes, minimum and maximum compare two values.",
    ),
    Code(
        "FRL0244",
        "wrong axes of an argument",
        "Networks read the axis obs of an observation and the axis action of an action; mean_shift reads the axis action of "
        "its points.  Further arguments of functions along an axis, such as that of simplex_linear, are single numbers.",
        _objective("mean(Q(s, s), over = ensemble)"),
        "Put the arguments in their order, or reduce what is too much.",
    ),
    Code(
        "FRL0245",
        "unknown axis",
        "After `over` stand names of axes: ensemble, batch, state, particle, reverse, obs, action.",
        _objective("mean(Q(s, a), over = members)"),
        "Write the name of an axis.",
    ),
    Code(
        "FRL0246",
        "axis not there",
        "The value that is reduced does not have this axis.",
        _objective("mean(Q(s, a), over = particle)"),
        "Name an axis that the value has; the hint lists them.",
    ),
    Code(
        "FRL0247",
        "needs exactly one axis",
        "softmax and its like keep their axes and work along one of them, which must be named; for mean_shift it is not the "
        "one that holds the components of its points.",
        _objective("sum(softmax(Q(s, a)), over = ensemble)"),
        "Add `over = ` and one axis.",
    ),
    Code(
        "FRL0248",
        "wrong axes of a formula",
        "The formula has an axis that its slot does not hold, most often the ensemble that Q adds.",
        _objective("Q(s, a)"),
        "Reduce the axis, for instance by min(..., over = ensemble).",
    ),
    Code(
        "FRL0249",
        "gradient of several numbers",
        "A gradient needs one number for each row of what it is taken by; an axis left over would be summed silently.",
        _diffusion(improve="score_matching { target = grad(Q(s, a_t), wrt = a_t) }"),
        "Reduce the axis inside of grad.",
    ),
    Code(
        "FRL0250",
        "gradient by something else",
        "Gradients are taken by a value of the slot, such as a or a_t; never by a parameter or an expression.",
        _diffusion(improve="score_matching { target = grad(mean(Q(s, a_t)), wrt = x_t) }"),
        "Write `wrt = ` and the name of a value.",
    ),
    Code(
        "FRL0251",
        "not a formula",
        "Formulas are made of names, numbers, operators and calls.",
        _objective('"max Q"'),
        "Write an expression of values.",
    ),
    Code(
        "FRL0252",
        "ambiguous name",
        "A param or let has the name of a value that this slot sees.",
        _diffusion("param sigma = 1 in (0, 2]", improve="score_matching { target = sigma * noise * mean(Q(s, a_t)) }"),
        "Rename the param or let.",
    ),
    Code(
        "FRL0253",
        "unknown named argument",
        "Functions of formulas take their arguments in order; only over, wrt and the arguments of a def have names.",
        _objective("mean(Q(s, a), axis = ensemble)"),
        "Write `over = ` for the axis of a reduction; otherwise leave the name out.",
    ),
    Code(
        "FRL0254",
        "nothing to reduce",
        "The value is a single number already.",
        _objective("mean(beta) * mean(Q(s, a), over = ensemble)", "param beta = 1 in (0, 2]"),
        "Leave the reduction out.",
    ),
    Code(
        "FRL0255",
        "arrow in the wrong place",
        "An arrow joins the stages of `order`, or the two ends inside a schedule.",
        _with(policy="  policy { backbone = tanh_gaussian  optimizer = adam(3e-4 -> 3e-5) }"),
        "Write linear(3e-4 -> 3e-5, over = 200_000).",
    ),
    Code(
        "FRL0256",
        "formula without the value it is differentiated by",
        "An objective moves the policy by its gradient with respect to the action: a formula that does not contain the "
        "action, or only inside stop(...), has no gradient to follow.",
        _objective("stop(min(Q(s, a), over = ensemble))"),
        "Let the formula depend on the value named in the message.",
    ),
    Code(
        "FRL0257",
        "ensembles of different lengths",
        "A subset of an ensemble has fewer members than the whole, so that the two cannot be paired member by member.",
        _objective("mean(Q(s, a) - subset(Q(s, a), 1), over = ensemble)"),
        "Reduce both over ensemble before they meet, or draw subsets of the same length.",
    ),
    Code(
        "FRL0260",
        "--set without path=value",
        "Overrides are of the form path=value.",
        "flowrl-dsl check qsm --set temperature",
        "Write for instance --set temperature=0.05.",
    ),
    Code(
        "FRL0261",
        "--set of something that is not there",
        "The path of an override leads along parameters, sections, labels of improve blocks, options of components.",
        "flowrl-dsl check qsm --set policy.sampler.stepz=5",
        "Correct the path; the hint has the nearest one.",
    ),
)
