"""The ``improve`` blocks: mechanisms compatible with the policy's capabilities, their options, lets and weights."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from hypothesis import reject

from flowrl_dsl.algorithm import POLICY
from flowrl_dsl.registry import POSITIVE, Component
from flowrl_dsl.spec.compatibility import unread
from flowrl_dsl.spec.kinds import kinds
from flowrl_dsl.spec.options import Options
from flowrl_dsl.spec.scope import Site
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.parser import parse
from flowrl_dsl.testing._specs.draft import PLACE, Draft
from flowrl_dsl.testing._specs.options import OptionWriter


@dataclass
class ImproveWriter:
    """Writes ``improve`` blocks."""

    draft: Draft
    options: OptionWriter

    def blocks(self, owner: str, most: int) -> list[str]:
        """The blocks of a policy, at most ``most``."""
        with self.draft.writing_for(owner):
            return [self._improve(mechanism) for mechanism in self._mechanisms(owner, most)]

    def _mechanisms(self, owner: str, most: int) -> list[type[Component]]:
        possible = self.draft.members_of("mechanism", self.draft.capabilities)
        if not possible:
            return reject()
        count = self.draft.one_of((1, *range(1, most + 1)))
        chosen: list[Any] = [possible[self.draft.pick("mechanism", possible)] for _ in range(count)]
        own: list[Any] = [cls for name, cls in sorted(possible.items()) if cls.trains == POLICY]  # type: ignore[attr-defined]
        if own and not any(cls.trains == POLICY for cls in chosen):
            chosen.append(self.draft.one_of(own))  # otherwise no block trains the policy
        for cls in chosen:
            self.draft.provide(*cls.provides)
            if cls.trains != POLICY:
                self.draft.trainers.add(owner)
        return chosen

    def _improve(self, cls: type[Component]) -> str:
        """A block of the mechanism that satisfies its validators and requirements."""
        optional = [name for name, kind in kinds(cls).items() if kind.optional and kind.default in (None, "none")]
        chosen = [name for name in optional if self.draft.perhaps()]
        subsets = [list(s) for n in range(len(optional) + 1) for s in itertools.combinations(optional, n)]
        # a random formula may ignore a value that an option provides, so the chosen options are tried several times
        for subset in [*[chosen] * 4, *(s for s in subsets if s != chosen)]:
            before, asked = self.draft.declared.copy(), dict(self.draft.including)
            body = self._block(cls, subset)
            if self._block_fits(cls, body):
                return f"improve {self._weight()}{cls.name} {{\n{body}\n}}"
            self.draft.declared, self.draft.including = before, asked
        return reject()

    def _block(self, cls: type[Component], optional: Collection[str]) -> str:
        lets: list[str] = []
        lines: list[str] = []
        for name, kind in kinds(cls).items():
            if kind.optional and kind.default in (None, "none") and name not in optional:
                continue
            if kind.role == "formula":
                written = kind.default in (None, "none") or not self.options.understands(kind) or self.draft.perhaps()
                text = self.options.formula(kind.slot, lets) if written else None
            else:
                text = self.options.option(cls, name, kind, True)
                if text is None and kind.role == "drawn":
                    text = self.options.drawn(kind, cls.of_source.get(name, ()))
            lines += [] if text is None else [f"{name} = {text}"]
        return "\n".join([*lets, *lines])

    def _block_fits(self, cls: type[Component], body: str) -> bool:
        """Whether the checker reports no error and no unread option in a block."""
        file, _ = parse(f"algorithm x {{ improve {cls.name} {{\n{body}\n}} }}", "generated")
        assert file is not None and file.algorithm is not None, body
        (block,) = file.algorithm.body
        assert isinstance(block, tree.Improve)
        lets = {s.name.id: s for s in block.body if isinstance(s, tree.Let)}
        given = {s.key.id: s.value for s in block.body if isinstance(s, tree.Assign)}
        scope = self.draft.scope()
        built = Options(scope).build(cls, given, PLACE, Site(cls.name, PLACE, lets))
        return not scope.diagnostics.errors and not unread(built).keys() & given and built.needs() <= self.draft.capabilities

    def _weight(self) -> str:
        way = self.draft.one_of(("none", "number", "parameter", "schedule"))
        if way == "none":
            return ""
        if way == "schedule":
            return f"({self.options.component('schedule', POSITIVE, True)}) * "
        return f"{self.options.parameter(POSITIVE) if way == 'parameter' else self.draft.one_of(('0.5', '2', '(1 / 3)'))} * "
