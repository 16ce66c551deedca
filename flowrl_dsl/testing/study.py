"""What a long study of random specs has covered: compositions, pairs of components, failures. ::

study = Study()
with study.composition(text):        # one for each random spec
    invariants.check_program(invariants.trial(text))
print(study.summary())
study.check()                        # raises if any composition failed
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from hypothesis.errors import HypothesisException

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.registry import Component, families
from flowrl_dsl.testing.invariants import resolve_text


def components_of(algorithm: Algorithm) -> frozenset[str]:
    """Every component that an algorithm holds, at any depth, as ``family:name``; sections are left out."""
    found: set[str] = set()

    def look(part: Any) -> None:
        if isinstance(part, Component) and part.family != "section":
            found.add(f"{part.family}:{part.name}")
        for name in getattr(type(part), "model_fields", ()):
            look(getattr(part, name))

    for part in (*algorithm.sections.values(), algorithm.regime, *algorithm.improvements, *algorithm.parameters.values()):
        look(part)
    return frozenset(found)


@dataclass
class Study:
    """Counts over compositions: each is a spec that was checked, whether it failed or not."""

    compositions: set[frozenset[str]] = field(default_factory=set)
    """The distinct sets of components."""
    specs: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Specs that failed, and how."""

    @contextmanager
    def composition(self, text: str) -> Iterator[None]:
        """What is checked inside is noted, and a failure is kept so that the study goes on."""
        try:
            yield
        except HypothesisException:
            raise  # this example was given up, not failed
        except Exception as error:
            notes = " ".join(getattr(error, "__notes__", ()))
            self.failures.append((text, f"{type(error).__name__} {notes}: {str(error)[:2000]}"))
        self.specs += 1
        algorithm = resolve_text(text).algorithm
        if algorithm is not None:
            self.compositions.add(components_of(algorithm))

    @property
    def components(self) -> set[str]:
        """Components that took part."""
        return set().union(*self.compositions)

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """Unordered pairs of different components that stood in one spec."""
        return {pair for together in self.compositions for pair in combinations(sorted(together), 2)}

    def summary(self) -> str:
        registered = sum(len(members) for family, members in families().items() if family != "section")
        return (
            f"{self.specs} specs, {len(self.compositions)} distinct sets of components; "
            f"{len(self.components)} of {registered} components, {len(self.pairs)} distinct pairs of them; "
            f"{len(self.failures)} failures"
        )

    def check(self) -> None:
        """Raises ``AssertionError`` with all failures, where there are any."""
        shown = [f"{how}\n\n{text}" for text, how in self.failures]
        assert not shown, f"{self.summary()}\n\n" + "\n\n--------\n\n".join(shown)
