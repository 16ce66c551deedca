"""What is shown of the word under the cursor: its documentation, and the axes of the expression it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flowrl_dsl.axes import AXES, Axes
from flowrl_dsl.diagnostics import Span
from flowrl_dsl.editor import describe
from flowrl_dsl.editor.document import Place, View
from flowrl_dsl.editor.expected import expected_at
from flowrl_dsl.editor.meaning import Meaning, meaning
from flowrl_dsl.editor.names import Names
from flowrl_dsl.editor.navigation import overridden
from flowrl_dsl.editor.outline import Entry
from flowrl_dsl.spec.scope import inside
from flowrl_dsl.spec.settings import REGIME


@dataclass(frozen=True)
class Hover:
    """Markdown about a stretch of the text."""

    text: str
    span: Span


def hover(view: View, place: Place) -> Hover | None:
    """The documentation of the token at a place; None where there is nothing to tell."""
    document = view.document
    entry = document.entry_at(place)
    if entry is None or document.in_comment(place):
        return None
    found = meaning(entry, document, Names(view.chain))
    parts = [*_documented(entry, found, view), *_axes(view, document.span(entry.token))]
    return Hover("\n\n---\n\n".join(parts), document.span(entry.token)) if parts else None


def _documented(entry: Entry, found: Meaning, view: View) -> Iterator[str]:
    name = str(entry.token)
    if found.declared:
        yield describe.declaration(found.declared[0])
    elif found.component is not None:
        yield describe.component(found.component)
    elif found.owner is not None and found.option in found.owner.model_fields:
        yield describe.option(found.owner, found.option)
        yield from _value_of(entry, view)
    elif found.kind == "function":
        yield describe.function(name)
    elif found.kind == "axis":
        yield f"axis `{name}`: {AXES[name]}"
    elif found.kind == "value":
        axes = next(slot.values[name] for slot in found.expected.slots if name in slot.values)
        yield f"`{name}`: {describe.axes(axes)}"
    elif found.kind == "size":
        axis = next(slot.sizes[name] for slot in found.expected.slots if name in slot.sizes)
        yield f"`{name}`: the length of the axis `{axis}`"
    elif found.kind in ("string", "number"):
        yield from _around(entry)
    elif name in describe.WORDS and found.kind != "unknown":
        yield describe.WORDS[name] + (f"; default `{REGIME}`" if name == "regime" else "")


def _around(entry: Entry) -> Iterator[str]:
    """The option whose value, or part of it, a literal is."""
    want = expected_at(entry.spot)
    if want.owner is not None and want.option:
        yield describe.option(want.owner, want.option)


def _value_of(entry: Entry, view: View) -> Iterator[str]:
    """The value that an option has in the spec that this one extends."""
    for document, statement in overridden(entry, view)[:1]:
        first, last = document.span(statement.tokens[0]), document.span(statement.tokens[-1])
        yield f"in the spec that this one extends: `{document.written(first.to(last))}`"


def _axes(view: View, span: Span) -> Iterator[str]:
    """The axes of the smallest expression around a place, where the checker found them."""
    around: dict[Span, Axes] = {}
    for scope in view.resolution.scopes:
        around |= {whole: axes for whole, axes in scope.axes.items() if inside(span, whole)}
    if around:
        whole = max(around, key=lambda one: (one.line, one.column, -one.end_line, -one.end_column))
        text = " ".join(view.document.written(whole).split())
        yield f"`{text}`: {describe.axes(around[whole])}"
