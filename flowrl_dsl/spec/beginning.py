"""What happens where a phase begins: ``begin = [copy(SOURCE, SECTION), reset(SECTION, ...)]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flowrl_dsl.algorithm import Action, CopyParameters, ResetOptimizers
from flowrl_dsl.diagnostics import Span, did_you_mean
from flowrl_dsl.registry import Component, SectionKind
from flowrl_dsl.spec.check import Check
from flowrl_dsl.spec.compatibility import unread
from flowrl_dsl.spec.kinds import kinds
from flowrl_dsl.spec.order import TARGETS
from flowrl_dsl.spec.show import show_option
from flowrl_dsl.spec.text import text_of
from flowrl_dsl.syntax import tree

OPTIMIZERS = "optimizers"
"""In ``reset(...)``: the optimizers of all sections and learned parameters."""
FORMS = "write copy(SOURCE, SECTION), reset(optimizers) or reset(SECTION, ...)"


@dataclass
class BeginReader:
    """Reads the entries of ``begin``.  ``movable`` are the parts of the algorithm's order."""

    check: Check
    movable: Sequence[str]

    def read(self, expr: tree.Expr) -> tuple[Action, ...]:
        """The actions in the order written; invalid ones are reported and left out."""
        items = expr.items if isinstance(expr, tree.List) else (expr,)
        if not items:
            self.check.error("FRL0238", "`begin` is empty", expr.span, "leave it out")
        found = [self._action(item) for item in items]
        return tuple(action for action in found if action is not None)

    def _action(self, expr: tree.Expr) -> Action | None:
        names = _names(expr)
        match expr:
            case tree.Call(tree.Name("copy"), _) if names is not None and len(names) == 2:
                return self._copy(*names)
            case tree.Call(tree.Name("reset"), _) if names:
                return self._reset(names)
        self.check.error("FRL0238", f"`{text_of(expr)}` is nothing a phase can begin with", expr.span, FORMS)
        return None

    def _reset(self, names: Sequence[tree.Name]) -> Action | None:
        known = self._optimized()
        if [name.id for name in names] == [OPTIMIZERS]:
            return ResetOptimizers(tuple(known))
        wrong = [name for name in names if name.id not in known]
        for name in wrong:
            message = f'"{name.id}" has no optimizer'
            self.check.error("FRL0238", message, name.span, did_you_mean(name.id, [OPTIMIZERS, *known]))
        return None if wrong else ResetOptimizers(tuple(dict.fromkeys(name.id for name in names)))

    def _optimized(self) -> list[str]:
        """The parts with an optimizer, in the default order."""
        learned = {name: parameter.learned for name, parameter in self.check.scope.parameters.items()}
        parts = {name: self.check.sections.get(name, learned.get(name)) for name in self.movable if name != TARGETS}
        return [name for name, part in parts.items() if part is not None and _steps(part)]

    def _copy(self, source: tree.Name, owner: tree.Name) -> Action | None:
        sections = {name: one for name, one in self.check.sections.items() if isinstance(one, SectionKind) and one.shape}
        keepers = {name: name for name in sections}
        keepers |= {group: name for name, section in sections.items() for group in section.kept(name)}
        unknown = [name for name, known in ((source, keepers), (owner, sections)) if name.id not in known]
        for name in unknown:
            hint = did_you_mean(name.id, [*(keepers if name is source else sections)])
            what = "a section or a copy with parameters to copy" if name is source else "a section to copy into"
            self.check.error("FRL0238", f'"{name.id}" is not {what}', name.span, hint)
        if unknown:
            return None
        self._check_alike(keepers[source.id], owner.id, source.span)
        if source.id == owner.id:
            self.check.error("FRL0238", f'"{owner.id}" is copied into itself', source.span, "name a copy or another section")
        return CopyParameters(source.id, owner.id)

    def _check_alike(self, left: str, right: str, span: Span) -> None:
        """Report the first difference between two sections that gives them other parameters, or another meaning to them."""
        one, other = self.check.sections[left], self.check.sections[right]
        assert isinstance(one, SectionKind) and isinstance(other, SectionKind)
        if type(one) is not type(other):
            message = f"{left} is a {one.name} and {right} a {other.name}: their parameters are of different kinds"
            self.check.error("FRL0239", message, span)
            return
        for option in one.shape:
            texts = show_option(one, option), show_option(other, option)
            if texts[0] != texts[1]:
                message = f"{left} and {right} have different parameters: their {option} differs"
                notes = (f"{name}.{option} = {text}" for name, text in zip((left, right), texts, strict=True))
                self.check.error("FRL0239", message, span, *notes)
                return


def _names(expr: tree.Expr) -> list[tree.Name] | None:
    """The arguments of a call, if all of them are names."""
    arguments = expr.arguments if isinstance(expr, tree.Call) else ()
    names = [a.value for a in arguments if a.name is None and isinstance(a.value, tree.Name)]
    return names if len(names) == len(arguments) else None


def _steps(part: Component) -> bool:
    """Whether a section or an adaptation has an optimizer that trains its parameters."""
    silent = unread(part)
    options = {name: kind for name, kind in kinds(type(part)).items() if kind.role == "component"}
    return any(kind.family == "optimizer" and name not in silent for name, kind in options.items())
