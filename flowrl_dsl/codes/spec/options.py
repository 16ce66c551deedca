"""FRL0212 to FRL0223, FRL0262 to FRL0264: the values of options, and the compatibility of components."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code
from flowrl_dsl.codes.examples import complete, diffusion, example, objective

CODES = (
    Code(
        "FRL0212",
        "a component lacks what another one needs",
        "Components declare the capabilities that they provide and require.  Here a required capability, such as a "
        "log-density, an action value or a copy of a network, is not provided by any part of this algorithm.",
        diffusion(
            sampler="  sampler = ddim(steps = 20)  old = copy(every = 1000)",
            improve="likelihood_ratio { advantage = mean(Q(s, a), over = ensemble) }",
        ),
        "Choose one of the components listed in the hint, or add the option it names.",
    ),
    Code(
        "FRL0213",
        "wrong kind of value",
        "The option takes another kind of value than this number, word, list or component.",
        complete("train { batch = many }"),
        "Write a value of this kind.",
    ),
    Code(
        "FRL0214",
        "number out of range",
        "The number, or the length of the list, is outside the range of the option or parameter.",
        complete("train { batch = 0 }"),
        "Choose a number in this range.",
    ),
    Code(
        "FRL0215",
        "not among the choices",
        "The option takes one of a few words.",
        complete(policy="  policy { backbone = tanh_gaussian  network = mlp([256], activation = mich) }"),
        "Write one of these words.",
    ),
    Code(
        "FRL0216",
        "options contradict one another",
        "Each option is valid by itself, but not in combination.",
        objective("min(Q(s, a), over = ensemble) - alpha * log_prob(s, a)", "param alpha = learned(1.0) in (0, inf)"),
        "Keep only options that the component takes together.",
    ),
    Code(
        "FRL0217",
        "too many arguments",
        "The component has fewer options than the call has arguments.",
        complete("act { evaluate = mean(10) }"),
        "Remove the extra arguments.",
    ),
    Code(
        "FRL0218",
        "nothing is drawn here",
        "`value from source` selects the copy of the policy from which actions are sampled; this option samples none.",
        complete(policy="  policy { backbone = tanh_gaussian from policy_target }"),
        "Remove `from` and the name after it.",
    ),
    Code(
        "FRL0219",
        "unknown source",
        "Actions are drawn from policy, policy_target or old_policy.",
        complete("act { explore = sample from behaviour }"),
        "Write one of the three.",
    ),
    Code(
        "FRL0220",
        "the copy drawn from is not kept",
        "Actions are sampled from a copy of the policy that the section policy does not have.",
        complete("act { explore = sample from old_policy }"),
        "Add the option in the hint to the section policy, or sample from policy.",
    ),
    Code(
        "FRL0221",
        "parameter outside of the option's range",
        "The option is set to a parameter whose value is outside the option's range.",
        complete("param rate = 2 in [0, 5]", critic="  critic { target = ema(rate) }"),
        "Change the parameter, or set the option to something else.",
    ),
    Code(
        "FRL0222",
        "not the value of a parameter",
        "A parameter is a number, a schedule such as linear(1 -> 0, over = 100_000), or learned(...).",
        objective("beta * mean(Q(s, a), over = ensemble)", "param beta = [1, 2]"),
        "Write a number; for a value that depends on others, use let.",
    ),
    Code(
        "FRL0223",
        "denoising steps that are not kept",
        "The denoising steps of an action are kept for the policy that acts, if act.explore takes the action that they led "
        "to.  A change of the action after them has no density, and another policy took other steps.",
        example(
            "regime = on_policy",
            "rollout { minibatches = 4 }",
            "value { fit = square(V(s) - returns)  old = rollout }",
            "policy { backbone = diffusion  sampler = ddpm(5, floor = 0.1)  old = rollout }",
            "improve surrogate {",
            "  ratio = exp(mean(step_log_prob(s, a) - (step_log_prob(s, a) from old_policy), over = action))",
            "}",
            "act { explore = noise(0.1) }",
        ),
        "Explore by a sample of the policy, and give the sampler a larger floor for more noise.",
    ),
    Code(
        "FRL0262",
        "chunks of actions beside single steps",
        "With act.chunk an action is that of several steps, and a transition goes from the first of them to the one after "
        "the last.  Advantages of rollouts, returns of another number of steps, values stored with every step and the next "
        "action of the data are those of single steps.",
        complete("act { chunk = 5 }", critic="  critic { n_step = 3 }"),
        "Leave out act.chunk, or the part that the message names.",
    ),
    Code(
        "FRL0263",
        "entries of the observation beside embeddings",
        "Sections may read different entries of observations that are dictionaries, but an encoder makes its embeddings of "
        "all entries, and policy and critic read them.",
        complete(
            "encoder {}",
            policy="  policy { backbone = deterministic  observation = state  target = copy(every = 250) }",
            critic="  critic { target = copy(every = 250) }",
        ),
        "Leave out the encoder, or the option that names an entry.",
    ),
    Code(
        "FRL0264",
        "a policy that is made of itself",
        "The actions of a policy with a `base` are made of those of another policy, which has to draw its own without "
        "the first.",
        complete(policy="  policy { backbone = tanh_gaussian  base = edited(0.1 from policy) }"),
        "Name another policy in `base`, one that draws its actions by itself: `policy behavior { ... }`.",
    ),
)
