"""Score matching: the noise prediction, or the velocity, regresses to a given target."""

from __future__ import annotations

from pydantic import Field, model_validator

from flowrl_dsl.axes import union
from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.common import mean_squared_error
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.noisy import NOISED, Noised
from flowrl_dsl.components.random_numbers import uniform_numbers
from flowrl_dsl.formula import variables
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR, TREE, Type
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import Formula, Slot, register, slot

SEEN = {
    "s": ("batch", "obs"),
    "a": ("batch", "action"),
    **NOISED,
    "a_hat": ("batch", "reverse", "action"),
    "noise_hat": ("batch", "reverse", "action"),
}
SIZES = {"A": "action", "M": "reverse"}
REVERSE = frozenset({"a_hat", "noise_hat", "M"})
"""The values of the reverse samples available to formulas."""
NOISE = Slot(result=("batch", "action"), values=SEEN, functions=("Q", "Q_target", "eps"), sizes=SIZES)
VELOCITY = Slot(result=("batch", "action"), values=SEEN, functions=("Q", "Q_target", "velocity"), sizes=SIZES)


@kernel
def cut_normal(u, low, high):
    """Standard normal numbers between low and high, high >= |low|, from u in (0, 1) by inversion.

    Probabilities are measured from the upper end, where float32 resolves the smallest ones; good for low up to 10.
    """
    above_low, above_high = (jax.lax.erfc(jnp.minimum(x, 10.0) / 2**0.5) / 2 for x in (low, high))
    above = jnp.clip(above_high + u * (above_low - above_high), 1e-30, 1 - 1e-7)
    return jnp.clip(-jax.scipy.special.ndtri(above), low, high)


@kernel
def cut_exponential(u, rate):
    """Numbers in [0, 1] with density proportional to exp(-rate x), rate >= 0, from u in (0, 1) by inversion."""
    steep = jnp.maximum(rate, 1e-3)
    return jnp.where(rate < steep, 1 - u, -jnp.log1p((1 - u) * jnp.expm1(-steep)) / steep)


@kernel(quick="quick")
def reverse_samples(key, a_t, alpha, sigma, count, quick=False):
    """Clean actions that could have produced a_t, and the noise that did: (a_hat, noise_hat), [..., count, action].

    noise_hat is standard normal, truncated so that a_hat = (a_t - sigma noise_hat) / alpha stays in [-1, 1].  Computed for
    a_t >= 0, and mirrored otherwise: noise_hat is then between low and high with high >= |low|.  Where that interval is
    short, or far out, exp(-noise^2/2) is exponential in it to within 2 %, and a_hat is drawn accordingly in [-1, 1], because
    float32 has only a few numbers between low and high there.
    """
    a_t, alpha, sigma = a_t[..., None, :], alpha[..., None, None], jnp.maximum(sigma, 1e-6)[..., None, None]
    u = uniform_numbers(key, (*a_t.shape[:-2], count, a_t.shape[-1]), 1e-7, 1.0, quick, rows=True)
    side, size = jnp.where(a_t < 0, -1.0, 1.0), jnp.abs(a_t)
    low, high = (size - alpha) / sigma, (size + alpha) / sigma
    flat = (low > 10) | (high - low < 0.02)
    share = cut_exponential(u, low * (high - low))
    drawn = (size - sigma * cut_normal(u, low, high)) / jnp.where(flat, 1.0, alpha)
    a_hat = side * jnp.clip(jnp.where(flat, 1 - 2 * share, drawn), -1.0, 1.0)
    return a_hat, (a_t - alpha * a_hat) / sigma


@register
class ScoreMatching(Mechanism):
    """``E[(eps(s, a_t, t) - target)^2]``, a from the batch, t random, ``a_t = alpha a + sigma noise``.

    The target is a constant.  Since the score is ``-eps / sigma``, a target ``-sigma grad Q / temperature`` fits the
    score of exp(Q / temperature).  With ``velocity`` instead of ``target``, the velocity of a flow regresses to it.

    ``reverse`` samples a_hat of each a_t, from p(a | a_t) with a uniform prior on [-1, 1], and the noise noise_hat that maps
    each of them to a_t allow a target to be an expectation: ``sum(w * noise_hat, over = reverse)``.
    """

    name = "score_matching"
    paper = "arXiv:2312.11752"
    requires = frozenset({"noise_process", "noise_prediction"})

    alternatives = (frozenset({"target", "velocity"}),)

    target: Formula | None = slot("regression target of the noise prediction", NOISE, "none")
    velocity: Formula | None = slot("regression target of the velocity, instead of target", VELOCITY, "none")
    reverse: int | None = Field(None, ge=1, description="number of reverse samples M per noisy action")

    @model_validator(mode="after")
    def _one_target(self) -> ScoreMatching:
        if (self.target is None) == (self.velocity is None):
            raise ValueError("give exactly one of target and velocity")
        used = sorted(REVERSE & variables(self._formula))
        if used and self.reverse is None:
            raise ValueError(f"{' and '.join(used)} need reverse samples: add, for instance, `reverse = 64`")
        return self

    @property
    def _formula(self) -> Formula:
        """The given one of ``target`` and ``velocity``; ``TypeError`` if an error in a spec left neither."""
        given = self.target or self.velocity
        if given is None:
            raise TypeError("score_matching has neither target nor velocity")
        return given

    def unread(self) -> dict[str, str]:
        used = REVERSE & variables(self._formula)
        return {} if used else {"reverse": "no formula uses a_hat or noise_hat"}

    def needs(self) -> frozenset[str]:
        return self.requires | ({"flow_field"} if self.velocity is not None else set())

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        b, backbone = ctx.builder, ctx.own.backbone
        noised = backbone.noised(ctx, a)
        values = noised.values() | self._reverse_samples(ctx, noised)
        sizes = {} if self.reverse is None else {"M": self.reverse}
        target = b.stop(ctx.formula(self._formula, "target", sizes, s=s, a=a, **values))
        target = ctx.broadcast(target, ("batch", "action"), noised.a_t)
        predict = backbone.predict if self.velocity is None else backbone.velocity
        said = predict(*ctx.in_training().actor(ctx.owner, s), noised.a_t, noised.t)
        return Loss(b.add("Loss", call(mean_squared_error, Arg(0), Arg(1)), (said, target), SCALAR, "loss"))

    def _reverse_samples(self, ctx: Context, noised: Noised) -> dict[str, Value]:
        if self.reverse is None:
            return {}
        b, type = ctx.builder, Type(union(noised.a_t.axes, ("reverse",)))
        expr = call(reverse_samples, *map(Arg, range(4)), count=self.reverse)
        inputs = (ctx.draw_key("reverse"), noised.a_t, noised.alpha, noised.sigma)
        drawn = b.add("Noise", expr, inputs, TREE, "reverse_samples")
        return {name: b.item(drawn, i, type, name) for i, name in enumerate(("a_hat", "noise_hat"))}
