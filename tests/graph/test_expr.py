"""Registering kernels: names and variants that are refused."""

from __future__ import annotations

import pytest

from flowrl_dsl.graph.expr import KERNELS, RESERVED, kernel


def named(name: str, module: str = __name__):
    def function(x, quick=False):
        return x

    function.__name__, function.__module__ = name, module
    return function


@pytest.mark.parametrize("name", ["sum", "max", "jnp", "partial", "step", "state", "batch", "key"])
def test_a_kernel_with_a_name_that_printed_programs_use_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"kernel {name} of {__name__}: printed programs use that name for something else"):
        kernel(named(name))
    assert name not in KERNELS


def test_no_kernel_of_the_package_has_such_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from flowrl_dsl import registry

    registry.families()
    assert not RESERVED & KERNELS.keys()


def test_two_kernels_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KERNELS, "twice", named("twice", "a"))
    with pytest.raises(ValueError, match="kernel twice of b is already defined in a"):
        kernel(named("twice", "b"))


def test_unknown_variants_are_refused() -> None:
    with pytest.raises(ValueError, match="no pass asks for a variant slow"):
        kernel(slow="quick")(named("varied"))
    with pytest.raises(ValueError, match="fast is neither one of its parameters nor a kernel"):
        kernel(quick="fast")(named("varied"))
    assert "varied" not in KERNELS
