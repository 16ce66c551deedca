"""The action that zero noise becomes, of every policy of the registry that has one."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.components import random_numbers
from flowrl_dsl.components.samplers import noisy_euler
from flowrl_dsl.diagnostics import DiagnosticError
from flowrl_dsl.driver import resolve_or_raise
from flowrl_dsl.lowering.evaluate import node_by_node
from flowrl_dsl.registry import members_of
from flowrl_dsl.testing.traced import Traced
from tests.helpers import graphs_of, random_state

OBS = np.random.default_rng(0).normal(size=(5, 3)).astype("f")


def policies() -> list[tuple[str, str]]:
    """Backbones that turn zero noise into an action, alone or by a sampler, as spec text."""
    backbones, samplers = members_of("backbone"), members_of("sampler")
    alone = [(name, "none") for name, cls in backbones.items() if "zero_noise" in cls.provides]
    drawn = [
        (backbone, sampler)
        for backbone, cls in backbones.items()
        for sampler, by in samplers.items()
        if "zero_noise" in by.provides and cls.requires & by.provides
    ]
    return alone + drawn


@cache
def small(backbone: str, sampler: str) -> Algorithm:
    options = {"steps": 2, "clip": "none"}.items()
    known = getattr(members_of("sampler").get(sampler), "model_fields", ())
    written = "" if sampler == "none" else f"({', '.join(f'{name} = {value}' for name, value in options if name in known)})"
    sets = [f"policy.backbone={backbone}", f"policy.sampler={sampler}{written}", "policy.network=mlp([8])"]
    sets += ["act.explore=sample", "act.evaluate=zero_noise", "observe.normalize=none"]
    base = "ppo" if "rollouts" in members_of("backbone")[backbone].requires else "td3"
    return resolve_or_raise(base, None, sets)[0]


def acted(found: Algorithm, mode: str, counter: int = 0) -> np.ndarray:
    """The actions of a policy with random parameters, before the bounds of the task clip them."""
    graphs, hyper = graphs_of(found, passes=False)
    state = random_state(found)
    state["policy"] = jax.tree.map(lambda leaf: 0.3 * leaf, state["policy"])
    inputs: dict[str, Any] = {f"state.{name}": value for name, value in state.items()}
    inputs |= {f"hyper.{name}": np.float32(value) for name, value in hyper.items()} | {"obs": OBS}

    def act(inputs: Any) -> Any:
        seen = {}
        given = {**inputs, "counter": np.int32(counter)}
        node_by_node(graphs[mode], given, lambda node, value: seen.update({node.name: value}))
        return seen["action"]

    return np.asarray(Traced(act, inputs)(inputs))


def test_policies_of_every_kind_are_among_them() -> None:
    assert {backbone for backbone, _ in policies()} >= {"flow", "diffusion", "edm", "generator", "coupled_flow"}


@pytest.mark.parametrize(("backbone", "sampler"), policies())
def test_it_is_a_sample_whose_noise_is_zero(backbone: str, sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = small(backbone, sampler)
    chosen, drawn = acted(found, "evaluate"), acted(found, "explore")
    np.testing.assert_array_equal(chosen, acted(found, "evaluate", counter=1))
    assert (np.abs(chosen - drawn) > 1e-3).any() and len(np.unique(chosen)) > 1
    for module in (random_numbers, noisy_euler):  # the first noise, and that of steps
        monkeypatch.setattr(module, "normal_numbers", lambda key, shape, quick: jnp.zeros(shape))
    np.testing.assert_allclose(chosen, acted(found, "explore"), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("backbone", "sampler"), [("diffusion", "ddpm(2)"), ("tanh_gaussian", "none"), ("deterministic", "none")]
)
def test_other_policies_have_none(backbone: str, sampler: str) -> None:
    sets = [f"policy.backbone={backbone}", f"policy.sampler={sampler}", "act.explore=sample", "act.evaluate=zero_noise"]
    with pytest.raises(DiagnosticError) as error:
        resolve_or_raise("td3", None, sets)
    assert any(found.code == "FRL0212" and "zero_noise" in found.message for found in error.value.diagnostics)


def test_exploring_without_noise_is_reported() -> None:
    _, resolution = resolve_or_raise("fql_online", None, ["act.explore=zero_noise from behavior"])
    assert "FRL0305" in [found.code for found in resolution.diagnostics.warnings]


def test_every_map_of_noise_has_it() -> None:
    """A sampler that draws no random numbers turns any noise into an action, so also zero."""
    for cls in [*members_of("sampler").values(), *members_of("backbone").values()]:
        assert "noise_map" not in cls.provides or "zero_noise" in cls.provides, cls.name
