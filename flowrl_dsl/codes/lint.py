"""FRL03xx: specs that are valid and probably not what their author wants."""

from __future__ import annotations

from flowrl_dsl.codes.base import Code
from flowrl_dsl.codes.examples import complete, diffusion, objective

CODES = (
    Code(
        "FRL0301",
        "division by a parameter that is 0",
        "The parameter starts at 0 and stands under a fraction bar: the loss is infinite from the first update.",
        objective("mean(Q(s, a), over = ensemble) / tau", "param tau = 0 in [-1, 1]"),
        "Start above 0, and say so in the range: in (0, 1].",
    ),
    Code(
        "FRL0302",
        "parameter at the edge of its range",
        "The parameter starts where its range ends: either the range is too narrow or the value a slip.",
        objective("beta * mean(Q(s, a), over = ensemble)", "param beta = 1 in (0, 1]"),
        "Widen the range or change the value.",
    ),
    Code(
        "FRL0303",
        "parameter without range",
        "A range says which values make sense, and guards --set and sweeps against slips.",
        objective("beta * mean(Q(s, a), over = ensemble)", "param beta = 1"),
        "Add one: param beta = 1 in (0, 10].",
    ),
    Code(
        "FRL0304",
        "the best of one",
        "The best of one sample is that sample; the critic has no say.",
        complete("act { evaluate = best_of(1) }"),
        "Write sample, or best_of with more samples.",
    ),
    Code(
        "FRL0305",
        "exploration without randomness",
        "Collecting data with the same action in the same state shows the critic nothing new.",
        complete("act { explore = mean }"),
        "Explore with sample, or with noise(0.1).",
    ),
    Code(
        "FRL0306",
        "updates before there is a batch",
        "The warm-up is shorter than one batch, so that the first batches hold the same transitions many times.",
        complete("train { warmup = 100 }"),
        "Warm up for several batches; published settings are 5000 to 25 000 steps.",
    ),
    Code(
        "FRL0307",
        "replay buffer too small",
        "The replay buffer holds less than one batch or less than the warm-up collects.",
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
        "With rate 1 a copy equals the parameters, with rate 0 it never moves.",
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
        "Adam with a learning rate beyond 0.01 rarely settles; most often the exponent is a slip.",
        complete(policy="  policy { backbone = tanh_gaussian  optimizer = adam(3e-1) }"),
        "Choose a smaller one: 1e-4 to 1e-3 are common.",
    ),
    Code(
        "FRL0312",
        "copy that nobody reads",
        "A target or old copy costs memory and time, and no formula or choice of actions reads it.",
        complete(policy="  policy { backbone = tanh_gaussian  target = ema(0.005) }"),
        "Leave it out, or draw from it.",
    ),
    Code(
        "FRL0313",
        "critic that nobody reads",
        "The critic is trained, but neither the policy's loss nor the choice of actions depends on it.",
        objective("-log_prob(s, a)"),
        "Leave the section out, or use Q in a formula.",
    ),
    Code(
        "FRL0314",
        "term of weight 0",
        "A term of the policy's loss with weight 0 is computed and changes nothing.",
        complete(improve="  improve 0 * reparameterized { }"),
        "Remove the block, or give it a weight.",
    ),
    Code(
        "FRL0315",
        "weights among one particle",
        "With one particle, a softmax over particles is 1 whatever the values are.",
        diffusion(
            improve="weighted_regression {\n    particles = 1\n"
            "    weight = softmax(mean(Q(s, a), over = ensemble), over = particle)\n  }"
        ),
        "Draw more particles: 16 to 64 are common.",
    ),
    Code(
        "FRL0316",
        "comparison among one member",
        "The ensemble has one member, so that its smallest value is that value and its spread is 0.",
        objective("min(Q(s, a), over = ensemble)").replace("critic { }", "critic { ensemble = 1 }"),
        "Use mean, or more members.",
    ),
    Code(
        "FRL0317",
        "tiny bound on errors",
        "Where a squared error is cut, its gradient is 0; with so small a bound nearly every error is cut.",
        diffusion(
            improve="weighted_regression {\n"
            "    weight = softmax(mean(Q(s, a), over = ensemble), over = particle)\n    clip_error = 1e-4\n  }"
        ),
        "Choose a larger bound: 3 and 5 are published.",
    ),
    Code(
        "FRL0318",
        "gradient that is always 0",
        "Nothing in the argument of grad depends on what the gradient is taken by.",
        diffusion(improve="score_matching { target = noise + grad(mean(Q(s, a), over = ensemble), wrt = a_t) }"),
        "Take the gradient by a value that stands in it.",
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
        "The schedule stays where it starts, or the run is over before it ends.",
        complete(policy="  policy { backbone = tanh_gaussian  optimizer = adam(linear(1e-3 -> 1e-4, over = 5_000_000)) }"),
        "End it before the run does.",
    ),
    Code(
        "FRL0322",
        "long spec",
        "A spec of more than 30 lines of its own hides what is new in it.",
        complete("\n".join(f"def f{i}(x) = x + {i}" for i in range(31)), improve="").replace(
            "\n}\n",
            "\n  improve reparameterized { objective = "
            + "".join(f"f{i}(" for i in range(31))
            + "min(Q(s, a), over = ensemble)"
            + ")" * 31
            + " }\n}\n",
        ),
        "Leave out what is default, or extend a spec that has most of it.",
    ),
    Code(
        "FRL0323",
        "dropout that is never on",
        "The policy's dropout is on where its network is fitted by regression: in weighted regression, selection and score "
        "matching.  Where actions are drawn it is off.",
        complete(policy="  policy { backbone = tanh_gaussian  network = mlp([256, 256], dropout = 0.1) }"),
        "Remove the option, or set it on the critic's network.",
    ),
    Code(
        "FRL0324",
        "more steps than noise levels",
        "A sampler takes at most one step per noise level of a discrete schedule.",
        complete(policy="  policy { backbone = diffusion(schedule = discrete_vp)  sampler = ddpm(steps = 20) }"),
        "Give the schedule more levels, or the sampler fewer steps.",
    ),
)
