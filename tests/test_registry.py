"""Registration: a component that lacks what its family asks for is refused, with one sentence for all that it lacks."""

from __future__ import annotations

import subprocess
import sys
from typing import ClassVar

import pytest

from flowrl_dsl.components.base import Backbone, Critic, Sampled, Sampler
from flowrl_dsl.components.changing import Target
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.energy_sampling import EnergySampler
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.registry import HOMES, Component, families, members_of, names_of, register


class Still(Target):
    """A whole target, and the base of incomplete ones."""

    name = "still"

    def follow(self, ctx: Context, copy: Value, params: Value, name: str) -> Value:
        return copy


class Nameless(Target):
    pass


class Followless(Target):
    name = "followless"


class Clipless(Sampler):
    name = "clipless"
    steps: int = 3
    kernel: ClassVar[str] = "ddim"


class Rolling(Sampler):
    name = "rolling"
    provides = frozenset({"edm_sampler"})
    steps: int = 3
    clip: None = None
    kernel: ClassVar[str] = "ddim"
    draws: ClassVar[bool] = False


class Chainless(EnergySampler):
    name = "chainless"


class Fieldless(Backbone):
    name = "fieldless"
    provides = frozenset({"flow_field", "mode", "reparameterized"})

    def init(self, ctx: Context, key: Value) -> Value:
        return key

    def draw(self, ctx: Context, params: Value, s: Value, name: str, particles: int | None) -> Sampled:
        return Sampled(action=s)

    def mode(self, ctx: Context, params: Value, s: Value, name: str) -> Value:
        return s


class Flat(Critic):
    name = "flat"
    provides = frozenset({"energy"})


@pytest.mark.parametrize(
    "component, message",
    [
        (Nameless, "Nameless must set the class variables family and name"),
        (Followless, 'target "followless" is incomplete: it lacks the method follow'),
        (
            Clipless,
            'sampler "clipless" is incomplete: '
            "it lacks the option or class variable draws, the option or class variable clip",
        ),
        (Rolling, 'sampler "rolling" is incomplete: it lacks the method levels, which providing edm_sampler takes'),
        (Chainless, 'sampler "chainless" is incomplete: it lacks the method chain'),
        (Fieldless, 'backbone "fieldless" is incomplete: it lacks the method velocity, which providing flow_field takes'),
        (
            Flat,
            'critic "flat" is incomplete: it lacks the method init, the method loss, the method value, '
            "the method energy, which providing energy takes",
        ),
    ],
)
def test_an_incomplete_component_is_refused(component: type[Component], message: str) -> None:
    before = set(members_of(component.family))
    with pytest.raises(ValueError, match=f"^{message}$"):
        register(component)
    assert set(members_of(component.family)) == before


def test_a_method_of_another_base_class_counts(components_leave: None) -> None:
    """What a capability takes may be inherited from any class but the one that declares it for the family."""

    class Inherits(Fieldless):
        name = "inherits"
        provides = frozenset({"mode"})

    register(Inherits)
    assert members_of("backbone")["inherits"] is Inherits


@pytest.mark.parametrize("family", [*families(), *HOMES])
def test_names_need_no_import_and_are_complete(family: str) -> None:
    assert names_of(family) == set(members_of(family))


def test_registering_a_class_again_from_its_module_replaces_it(components_leave: None) -> None:
    register(Still)
    assert members_of("target")["still"] is register(Still)


def test_members_are_in_the_order_of_their_names_whoever_is_imported_first() -> None:
    """Else the resolved spec of a run, and with it the digest of its algorithm, would depend on what was imported before."""
    show = "from flowrl_dsl.driver import resolve_or_raise; from flowrl_dsl.spec.show import show; import hashlib; "
    show += "print(hashlib.sha256(show(resolve_or_raise('dpmd', None, ())[0]).encode()).hexdigest())"
    firsts = ("", "import flowrl_dsl.components.sections.train; ", "import flowrl_dsl.components.sections.observe; ")
    found = {subprocess.run([sys.executable, "-c", first + show], capture_output=True, text=True).stdout for first in firsts}
    assert len(found) == 1 and found != {""}
    for family in families():
        assert list(members_of(family)) == sorted(members_of(family))
