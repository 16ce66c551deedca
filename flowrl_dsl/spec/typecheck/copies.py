"""``EXPR from COPY``: the section or copy whose parameters the functions of an expression read."""

from __future__ import annotations

from dataclasses import replace

from flowrl_dsl.copies import Readable
from flowrl_dsl.diagnostics import did_you_mean
from flowrl_dsl.formula import Operation, Term, terms
from flowrl_dsl.spec.scope import Required
from flowrl_dsl.spec.typecheck.frame import Frame
from flowrl_dsl.syntax import tree


def reading(expr: tree.From, frame: Frame) -> Term | None:
    """The expression, its functions of the copy's section with the parameters of the copy."""
    source, known = expr.source.id, frame.scope.readable
    if source not in known:
        if frame.scope.complete:
            frame.error("FRL0219", f'unknown source "{source}"', expr.source.span, did_you_mean(source, known))
        frame.term(expr.value)
        return None
    copy = known[source]
    if copy.needs:
        site, place = frame.checking.site, frame.call or expr.source.span
        frame.scope.required.append(Required(site.path, copy.needs, site, place, source, how="reads", owner=copy.owner))
    term = replace(frame, source=source).term(expr.value)
    if term is not None and not any(isinstance(part, Operation) and part.source == source for part in terms(term)):
        frame.error("FRL0258", f"nothing in this expression reads {source}", expr.value.span, _cure(copy))
        return None
    return term


def _cure(copy: Readable) -> str:
    calls = ", ".join(f"{name}(...)" for name in sorted(copy.functions))
    return f"`from` selects the parameters that {calls} of the section {copy.owner} read"
