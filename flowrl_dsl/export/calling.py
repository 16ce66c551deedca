"""How programs call an exported policy that is a file of Python: by its functions ``act`` and ``draw``."""

from __future__ import annotations

from flowrl_dsl.export.acting import Acting
from flowrl_dsl.export.straight.rules import shape_text

_FUNCTIONS = '''\
OBSERVATION_SIZE, ACTION_SIZE = {observation_size}, {action_size}


def act(obs, noise=None, generator=None):
    """Actions for observations; ``noise`` is that of :func:`draw`, by default drawn with ``generator``, one of NumPy."""
    obs = {arrays}.asarray(obs, np.float32)
    rows = {arrays}.atleast_2d(obs)
    if obs.ndim not in (1, 2) or rows.shape[1] != OBSERVATION_SIZE:
        raise ValueError(f"expected observations [..., {{OBSERVATION_SIZE}}], one or several, found shape {{obs.shape}}")
    noise = draw(len(rows), generator) if noise is None else noise
    actions = _act(rows, **noise).astype(np.float32)
    return actions[0] if obs.ndim == 1 else actions


def draw(n, generator=None):
    """The random numbers of n actions by name: standard normal, or uniform in [0, 1)."""
    generator = np.random.default_rng() if generator is None else generator
    return {{{draws}}}
'''


def description(acting: Acting) -> str:
    """A sentence for the docstring of such a file."""
    in_chunks = len(acting.action_shape) > 1
    one, several = ("[h, A], to be taken one after another,", "[n, h, A]") if in_chunks else ("[A]", "[n, A]")
    return f"``act(obs)`` returns actions {one} for one observation [O], {several} for [n, O], within task bounds."


def functions(acting: Acting, arrays: str) -> str:
    """The text of both, for a file that defines ``_act(obs, **noise)`` for observations [n, O]; ``arrays`` is np or jnp."""
    return _FUNCTIONS.format(
        arrays=arrays,
        observation_size=acting.observation_size,
        action_size=acting.action_shape[-1],
        draws=", ".join(f'"{name}": {_drawn(draw.kind, draw.shape)}' for name, draw in acting.draws.items()),
    )


def _drawn(kind: str, shape: tuple) -> str:
    function = "standard_normal" if kind == "normal" else "random"
    return f"generator.{function}({shape_text(shape)}, np.float32)"
