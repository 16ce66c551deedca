"""Trainings in pure worlds on several devices, among which the copies of the world are split."""

from __future__ import annotations

from typing import Any

import jax

from flowrl_dsl.lowering.devices import split
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.settings import Settings
from flowrl_dsl.runtime.worlds import catalogue


def check(program: Any, settings: Settings) -> None:
    """Raise FRL0428 for a run that cannot be split among its devices; called before it has a folder."""
    if settings.devices > 1:
        spread(program, settings, catalogue.make(settings.task, 1, 0, entries=program.entries).pure is not None)


def spread(program: Any, settings: Settings, pure: bool) -> Any:
    """The program for the devices of a run; raises FRL0428 if the run cannot be split among them.

    ``pure``: whether its world is one of pure functions.
    """
    many, there = settings.devices, len(jax.devices())
    if many == 1:
        return program
    if many > there:
        raise RunError("FRL0428", f"devices = {many}, but JAX has {there}", _virtual(many))
    if not pure or program.chunk > 1:
        raise RunError("FRL0428", f"{settings.task} is stepped on the host, not on {many} devices", "leave out --devices")
    for name, number in (("envs", settings.envs), ("the capacity of the replay", program.data.capacity)):
        if number % many:
            hint = f"a multiple of {many} is split into equal parts"
            raise RunError("FRL0428", f"{name} = {number} cannot be split among {many} devices", hint)
    return program.spread(split(many))


def _virtual(many: int) -> str:
    """How a machine without them has so many."""
    return f"XLA_FLAGS=--xla_force_host_platform_device_count={many} makes a processor as many devices, to try it out"
