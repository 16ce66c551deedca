"""Random specs as texts: they are valid, format and parse back, and damaged ones are refused in words."""

from __future__ import annotations

import os
import re
from collections import Counter
from functools import cache
from itertools import product

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from flowrl_dsl import registry
from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.diagnostics import Diagnostics, Span
from flowrl_dsl.driver import build_graphs
from flowrl_dsl.formula import PRIMITIVES, Slot, functions
from flowrl_dsl.registry import Component, families, members_of, register
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.spec import stdlib, typecheck
from flowrl_dsl.spec.kinds import kinds
from flowrl_dsl.spec.scope import Scope, Site
from flowrl_dsl.spec.walk import depends_on
from flowrl_dsl.syntax.parser import parse, parse_expression
from flowrl_dsl.testing import invariants, strategies

EXAMPLES = int(os.environ.get("FLOWRL_EXAMPLES", "60"))
TEXTS = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
SHIPPED = [path.read_text(encoding="utf-8") for path in shipped_specs().values()]
SLOTS: dict[str, Slot] = {
    f"{cls.name}.{name}": kind.slot
    for members in families().values()
    for cls in members.values()
    for name, kind in kinds(cls).items()
    if kind.slot is not None
}


@cache
def drawn() -> dict[str, Algorithm]:
    """Random specs, each with its algorithm; drawing them takes longer than most checks, so that tests share them."""
    found: dict[str, Algorithm] = {}

    @settings(TEXTS, phases=[Phase.generate])
    @given(strategies.specs())
    def note(text: str) -> None:
        found[text] = invariants.check_valid(text)

    note()
    return found


@st.composite
def specs(draw: st.DrawFn) -> str:
    return draw(st.sampled_from(list(drawn())))


def test_generated_specs_are_valid_and_formatting_is_the_inverse_of_parsing() -> None:
    assert len(drawn()) >= EXAMPLES // 2
    for text in drawn():
        invariants.check_parse_format(text)


@TEXTS
@given(specs().flatmap(lambda text: st.tuples(st.just(text), strategies.laid_out(text))))
def test_layout_means_nothing(texts: tuple[str, str]) -> None:
    plain, laid_out = texts
    assert parse(plain, "x")[0] == parse(laid_out, "x")[0]
    invariants.check_parse_format(laid_out)


@settings(TEXTS, max_examples=2 * EXAMPLES)
@given(st.one_of(specs(), st.sampled_from(SHIPPED)).flatmap(strategies.mangled))
def test_checking_a_mangled_spec_never_raises(text: str) -> None:
    invariants.check_never_raises(text)


@TEXTS
@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda data: data.decode("latin-1")))
def test_checking_any_text_never_raises(text: str) -> None:
    invariants.check_never_raises(text)


def typed(slot: Slot, text: str):
    expr, _ = parse_expression(text, "formula")
    scope = Scope(Diagnostics(), defines=dict(stdlib.definitions()), library=stdlib.LIBRARY)
    formula = typecheck.check(expr, slot, scope, Site("slot", Span("formula", 1, 1, 1, 1)))
    assert formula is not None, (text, [d.message for d in scope.diagnostics])
    return formula


@pytest.mark.parametrize("name", SLOTS)
def test_formulas_fit_their_slots(name: str) -> None:
    slot = SLOTS[name]

    @settings(TEXTS, max_examples=40)
    @given(strategies.formulas(slot))
    def fits(text: str) -> None:
        formula = typed(slot, text)
        assert set(formula.term.axes) <= set(slot.result)
        assert not slot.through or any(depends_on(formula.term, name) for name in slot.through)

    fits()


def test_formulas_reach_the_whole_language() -> None:
    """Every function of formulas, and every network function of the slot, occurs in some formula."""
    slot, used = SLOTS["weighted_regression.weight"], Counter()

    def note(text: str) -> None:
        used.update(functions(typed(slot, text)))

    wanted = {*PRIMITIVES, *registry.visible(slot)}
    for number in range(10):
        if wanted - used.keys():
            settings(TEXTS, max_examples=200, derandomize=False)(seed(number)(given(strategies.formulas(slot))(note)))()
    assert not wanted - used.keys()


def test_formulas_call_no_network_that_is_missing() -> None:
    @TEXTS
    @given(strategies.formulas(SLOTS["reparameterized.objective"], capabilities=("q_value",)))
    def look(text: str) -> None:
        assert "Q_target" not in text and "log_prob" not in text

    look()


def _holder(family: str, name: str) -> dict[str, str]:
    """A backbone, and a sampler, that have a place for the component, where not every one has; a critic serves any."""
    if family == "critic":
        return {}
    if family in ("noise_schedule", "embedding"):
        return {"backbone": "diffusion"}
    offers, needs = members_of(family)[name].provides, members_of(family)[name].requires
    fitting = [key for key, cls in members_of("backbone").items() if cls.requires & offers or set() < needs <= cls.provides]
    if fitting or family not in ("mechanism", "action"):
        return {"backbone": fitting[0]} if fitting else {}
    for sampler, drawing in members_of("sampler").items():
        for key, cls in members_of("backbone").items():
            if needs & drawing.provides and cls.requires & drawing.provides:
                return {"sampler": sampler, "backbone": key}
    return next(({"backbone": key} for key, cls in members_of("backbone").items() if needs & cls.provides), {})


CHOSEN = ("section", "source")
"""Families whose members no option of a spec names."""


WORDS = (
    *(r"every\(", r"after\(", r"until\(", ", after = ", ", until = "),
    *(" -> ", "let ", "def ", r"grad\(", "for task", r"learned\(", r"\npolicy \w+ {", r"from (old_)?(?!policy)\w+"),
)
"""Forms of the language that random specs have, as patterns."""


def test_specs_reach_every_component() -> None:
    """Every registered component and each form of an order is drawn; what random specs missed, when it is asked for."""
    seen: set[tuple[str, str]] = set()
    words: set[str] = set()

    def look(component: object) -> None:
        if isinstance(component, Component):
            seen.add((component.family, component.name))
        for name in getattr(type(component), "model_fields", ()):
            look(getattr(component, name))

    def note(text: str, algorithm: Algorithm) -> None:
        parts = [*algorithm.sections.values(), algorithm.regime, *algorithm.improvements, *algorithm.parameters.values()]
        for part in parts:
            look(part)
        words.update(word for word in WORDS if re.search(word, text))

    def wanted(text: str) -> None:
        note(text, invariants.check_valid(text))
        invariants.check_parse_format(text)

    for text, algorithm in drawn().items():
        note(text, algorithm)
    registered = {(family, name) for family, members in families().items() for name in members if family not in CHOSEN}
    for most, (family, name) in product((3, 15), sorted(registered - seen)):
        if (family, name) not in seen:
            including = {family: name, **_holder(family, name)}
            settings(TEXTS, max_examples=most)(given(strategies.specs(including=including))(wanted))()
    assert registered <= seen
    assert words == {*WORDS}


@pytest.fixture
def plugin(components_leave):
    """An optimizer that is registered from outside the package, for as long as a test lasts."""
    from pydantic import Field

    from flowrl_dsl.components.optimizers.adam import Adam

    @register
    class Careful(Adam):
        """Adam by another name."""

        name = "careful"

        patience: int = Field(2, ge=2, description="something of its own")

    return Careful


def test_a_plugin_takes_part_without_a_change_here(plugin) -> None:
    found = []

    @settings(TEXTS, max_examples=EXAMPLES // 3)
    @given(strategies.specs(including={"optimizer": "careful"}))
    def note(text: str) -> None:
        found.append("careful" in text)
        algorithm = invariants.check_valid(text)
        assert build_graphs(algorithm, 3, 2).graphs

    note()
    assert any(found)
