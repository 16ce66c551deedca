"""Smallest specs around a mistake, for the examples of codes."""

from __future__ import annotations

_POLICY = "  policy { backbone = tanh_gaussian }"
_CRITIC = "  critic { }"
_IMPROVE = "  improve reparameterized { }"


def complete(*lines: str, policy: str = _POLICY, critic: str = _CRITIC, improve: str = _IMPROVE) -> str:
    """Some statements in an algorithm with the sections that every algorithm has."""
    rest = [f"  {line}" for statement in lines for line in statement.splitlines()]
    return "\n".join(["algorithm example {", *rest, *filter(None, (policy, critic, improve)), "}"]) + "\n"


def example(*lines: str) -> str:
    """An algorithm of these statements alone."""
    return "\n".join(["algorithm example {", *(f"  {line}" for line in lines), "}"]) + "\n"


def objective(formula: str, *lines: str) -> str:
    """An algorithm around one formula; ``Q(s, a)`` has the axes [ensemble, batch]."""
    return complete(*lines, improve=f"  improve reparameterized {{ objective = {formula} }}")


def diffusion(*lines: str, improve: str, sampler: str = "  sampler = ddpm(steps = 20)") -> str:
    """An algorithm whose policy is a diffusion, around one ``improve`` block."""
    policy = f"  policy {{ backbone = diffusion{sampler} }}"
    return complete(*lines, policy=policy, improve=f"  improve {improve}")
