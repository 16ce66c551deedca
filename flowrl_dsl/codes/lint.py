"""FRL03xx: valid specs that are probably not intended."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code
from flowrl_dsl.codes.examples import complete, diffusion, example, objective

CODES = (
    Code(
        "FRL0301",
        "division by a parameter that is 0",
        "The initial value of the parameter is 0 and a formula divides by it: the loss is infinite from the first update.",
        objective("mean(Q(s, a), over = ensemble) / tau", "param tau = 0 in [-1, 1]"),
        "Choose an initial value above 0, and a range that excludes 0: in (0, 1].",
    ),
    Code(
        "FRL0302",
        "parameter at the edge of its range",
        "The initial value is at a bound of the range: either the range is too narrow or the value is a typing error. A "
        "parameter that stays 0 is no such case, as it switches off what it weighs.",
        objective("beta * mean(Q(s, a), over = ensemble)", "param beta = 1 in (0, 1]"),
        "Widen the range or change the value.",
    ),
    Code(
        "FRL0303",
        "parameter without range",
        "A range defines the meaningful values, and protects --set and sweeps against typing errors.",
        objective("beta * mean(Q(s, a), over = ensemble)", "param beta = 1"),
        "Add one: param beta = 1 in (0, 10].",
    ),
    Code(
        "FRL0304",
        "the best of one",
        "The best of one sample is that sample; the critic is not used.",
        complete("act { evaluate = best_of(1) }"),
        "Write sample, or best_of with more samples.",
    ),
    Code(
        "FRL0305",
        "exploration without randomness",
        "Always taking the same action in the same state provides no new information to the critic.",
        complete("act { explore = mean }"),
        "Explore with sample, or with noise(0.1).",
    ),
    Code(
        "FRL0306",
        "updates before there is a batch",
        "The warm-up is shorter than one batch, so the first batches contain the same transitions many times.",
        complete("train { warmup = 100 }"),
        "Increase the warm-up to several batches; published settings are 5000 to 25 000 steps.",
    ),
    Code(
        "FRL0307",
        "replay buffer too small",
        "The replay buffer is smaller than one batch or than the data of the warm-up.",
        complete("train { replay = 1000 }"),
        "Make it larger; published settings are 1 000 000.",
    ),
    Code(
        "FRL0308",
        "never evaluated",
        "The run ends before its first evaluation.",
        complete("train { evaluate_every = 2_000_000 }"),
        "Evaluate more often or train longer.",
    ),
    Code(
        "FRL0309",
        "average that does not average",
        "With rate 1 a copy equals the parameters, with rate 0 it never changes.",
        complete(critic="  critic { target = ema(1) }"),
        "Choose a small rate: 0.005 is the published one.",
    ),
    Code(
        "FRL0310",
        "discount 0 or 1",
        "With discount 0 values are single rewards; with discount 1 they grow without bound on tasks without end.",
        complete(critic="  critic { discount = 1 }"),
        "Choose a discount below 1: 0.99 is the published one.",
    ),
    Code(
        "FRL0311",
        "large learning rate",
        "Adam with a learning rate above 0.01 rarely converges; most often the exponent is a typing error.",
        complete(policy="  policy { backbone = tanh_gaussian  optimizer = adam(3e-1) }"),
        "Choose a smaller one: 1e-4 to 1e-3 are common.",
    ),
    Code(
        "FRL0312",
        "copy that nobody reads",
        "A target or old copy costs memory and time, and neither a formula nor the selection of actions reads it.",
        complete(policy="  policy { backbone = tanh_gaussian  target = ema(0.005) }"),
        "Leave it out, or draw from it.",
    ),
    Code(
        "FRL0313",
        "critic that nobody reads",
        "The critic is trained, but neither the policy's loss nor the selection of actions depends on it.",
        objective("-log_prob(s, a)"),
        "Leave the section out, or use Q in a formula.",
    ),
    Code(
        "FRL0314",
        "term of weight 0",
        "A term of the policy's loss with factor 0 is computed without effect.",
        complete(improve="  improve 0 * reparameterized { }"),
        "Remove the block, or give it another factor.",
    ),
    Code(
        "FRL0315",
        "weights among one particle",
        "With one particle, a softmax over particles is 1 for all values.",
        diffusion(
            improve="weighted_regression {\n    particles = 1\n"
            "    weight = softmax(mean(Q(s, a), over = ensemble), over = particle)\n  }"
        ),
        "Draw more particles: 16 to 64 are common.",
    ),
    Code(
        "FRL0316",
        "comparison among one member",
        "The ensemble has one member, so its minimum is that member's value and its spread is 0.",
        objective("min(Q(s, a), over = ensemble)").replace("critic { }", "critic { ensemble = 1 }"),
        "Use mean, or more members.",
    ),
    Code(
        "FRL0317",
        "tiny bound on errors",
        "A clipped error has gradient 0; such a small bound clips nearly every error, so almost no gradient remains.",
        diffusion(
            improve="weighted_regression {\n"
            "    weight = softmax(mean(Q(s, a), over = ensemble), over = particle)\n    clip_error = 1e-4\n  }"
        ),
        "Choose a larger bound: 3 and 5 are published.",
    ),
    Code(
        "FRL0318",
        "gradient that is always 0",
        "The argument of grad does not depend on the value of wrt.",
        diffusion(improve="score_matching { target = noise + grad(mean(Q(s, a), over = ensemble), wrt = a_t) }"),
        "Differentiate with respect to a value that occurs in the argument.",
    ),
    Code(
        "FRL0319",
        "option without effect",
        "An option is set that changes nothing in this algorithm, such as a weight of uniform actions where there are none.",
        diffusion(improve="selection { uniform_weight = 0.1 }"),
        "Remove the option, or add what the message names.",
    ),
    Code(
        "FRL0320",
        "every(1, ...)",
        "every(1, x) is the same as x.",
        complete("order = critic -> every(1, policy) -> targets"),
        "Remove every, or count to 2 or more.",
    ),
    Code(
        "FRL0321",
        "schedule without effect",
        "The schedule is constant, or the run ends before it does.",
        complete(policy="  policy { backbone = tanh_gaussian  optimizer = adam(linear(1e-3 -> 1e-4, over = 5_000_000)) }"),
        "End it before the run does.",
    ),
    Code(
        "FRL0322",
        "long spec",
        "More than 30 lines of its own hide the new part of a spec.",
        complete("\n".join(f"def f{i}(x) = x + {i}" for i in range(31)), improve="").replace(
            "\n}\n",
            "\n  improve reparameterized { objective = "
            + "".join(f"f{i}(" for i in range(31))
            + "min(Q(s, a), over = ensemble)"
            + ")" * 31
            + " }\n}\n",
        ),
        "Remove options at their defaults, or extend a spec that contains most of it.",
    ),
    Code(
        "FRL0323",
        "dropout that is never on",
        "The policy's dropout is active only when its network is fitted by regression: in weighted regression, selection "
        "and score matching.  It is inactive when actions are drawn.",
        complete(policy="  policy { backbone = tanh_gaussian  network = mlp([256, 256], dropout = 0.1) }"),
        "Remove the option, or set it on the critic's network.",
    ),
    Code(
        "FRL0324",
        "more steps than noise levels",
        "A sampler takes at most one step per noise level of a discrete schedule.",
        complete(policy="  policy { backbone = diffusion(schedule = discrete_vp)  sampler = ddpm(steps = 20) }"),
        "Increase the levels of the schedule, or reduce the steps of the sampler.",
    ),
    Code(
        "FRL0325",
        "unread state values",
        "State values, or values of noisy actions, are trained, but no other part reads them.",
        complete("value { fit = square(mean(Q_target(s, a), over = ensemble) - V(s)) }"),
        "Read them, for instance in the critic's backup or by `guided`, or remove the section.",
    ),
    Code(
        "FRL0326",
        "order that no phase uses",
        "Phases use the order of the algorithm where they have none of their own; here every phase has one.",
        complete("order = policy -> critic -> targets", "phase main { order = critic -> policy -> targets }"),
        "Remove the order, or that of a phase.",
    ),
    Code(
        "FRL0327",
        "transitions that an epoch leaves out",
        "The minibatches of an epoch are equal parts of the rollout.  Where their number does not divide it, some "
        "transitions are left out, different ones in each epoch.",
        example(
            "regime = on_policy",
            "rollout { steps = 100  minibatches = 32 }",
            "value { fit = square(V(s) - returns)  old = rollout }",
            "policy { backbone = gaussian  old = rollout }",
            "improve surrogate {}",
        ),
        "Choose minibatches that divide rollout.steps times train.envs.",
    ),
    Code(
        "FRL0329",
        "bonus for a constant entropy",
        "What the policy draws has the same entropy whatever its parameters are.  The mean of -log_prob has no gradient "
        "where actions are drawn afresh; for stored actions it is a cross-entropy, which moves the policy away from them.",
        example(
            "regime = on_policy",
            "rollout {}",
            "value { fit = square(V(s) - returns)  old = rollout }",
            "policy { backbone = coupled_flow  old = rollout }",
            "improve surrogate { objective = clipped(ratio, gain, 0.2) - 0.01 * log_prob(s, a) }",
        ),
        "Leave the term out.  The options mixing and steps of coupled_flow decide how much noise there is.",
    ),
    Code(
        "FRL0330",
        "auxiliary variable that is lost",
        "The density of an action is that of the action together with the auxiliary variable drawn with it.  Adding noise "
        "to the action, or choosing among several, loses the variable, so that ratios are not those of what was drawn.",
        example(
            "regime = on_policy",
            "rollout {}",
            "value { fit = square(V(s) - returns)  old = rollout }",
            "policy { backbone = coupled_flow  old = rollout }",
            "improve surrogate {}",
            "act { explore = noise(0.1) }",
        ),
        "Explore with sample: the policy has noise of its own.",
    ),
    Code(
        "FRL0331",
        "acting needs entries that the policy does not read",
        "The action of an evaluation is chosen by values of another section, which reads other entries of the observation "
        "than the policy.  Such entries are often known in a simulation alone, and an exported policy then needs them too.",
        complete(
            "act { evaluate = best_of(8) }",
            policy="  policy { backbone = tanh_gaussian  observation = state }",
            critic="  critic { observation = privileged_state }",
        ),
        "Evaluate with sample or mean, which read what the policy reads.",
    ),
)
