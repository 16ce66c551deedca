"""What may be written at a place, each proposal with its documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from flowrl_dsl.axes import AXES
from flowrl_dsl.copies import readable, sources
from flowrl_dsl.diagnostics import Span
from flowrl_dsl.editor import describe
from flowrl_dsl.editor import expected as roles
from flowrl_dsl.editor.document import Place, View
from flowrl_dsl.editor.expected import Expected, called, class_of, expected_at, is_phase
from flowrl_dsl.editor.meaning import BEGINNINGS
from flowrl_dsl.editor.names import Declared, Names
from flowrl_dsl.editor.outline import Block, Spot
from flowrl_dsl.formula import PRIMITIVES
from flowrl_dsl.registry import Component, SectionKind, functions, members_of, sections, visible
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.spec.kinds import choices, kinds, without_none
from flowrl_dsl.spec.merge import PHASE_OPTIONS
from flowrl_dsl.spec.order import TARGETS, WORDS
from flowrl_dsl.spec.overrides import SETTINGS
from flowrl_dsl.spec.typecheck import GRADIENT
from flowrl_dsl.syntax.sources import SUFFIX, specs_in
from flowrl_dsl.syntax.tokens import Token

STATEMENTS = ("param", "let", "def", "improve", "for")


@dataclass(frozen=True)
class Proposed:
    """``insert`` is what is written for ``label`` where it differs; proposals with a lower ``rank`` come first."""

    label: str
    kind: str
    text: str = field(default="", compare=False)
    insert: str = ""
    rank: int = 0


@dataclass(frozen=True)
class Completion:
    """The proposals, and the word that one of them replaces."""

    proposals: tuple[Proposed, ...]
    span: Span | None


def complete(view: View, place: Place) -> Completion:
    """What may be written at a place, best first."""
    document = view.document
    if document.in_comment(place):
        return Completion((), None)
    string = document.entry_at((place[0], place[1] - 1)) if place[1] > 1 else None
    if string is not None and string.token.type == "STRING" and (string.token.line, string.token.column) < place:
        found = _specs(view) if string.token is document.base else ()
        return Completion(tuple(found), document.span(string.token))
    spot, word = document.spot_at(place)
    proposals = dict.fromkeys(_proposals(view, spot, word, place))
    span = None if word is None else document.span(word)
    return Completion(tuple(sorted(proposals, key=lambda one: one.rank)), span)


def _specs(view: View) -> Iterator[Proposed]:
    own = [name for name in specs_in(view.path.rpartition("/")[0]) if not view.path.endswith(f"/{name}")]
    for name in dict.fromkeys([*own, *(name + SUFFIX for name in shipped_specs())]):
        yield Proposed(f'"{name}"', "file")


def _proposals(view: View, spot: Spot, word: Token | None, place: Place) -> Iterator[Proposed]:
    if spot.block.header is None:
        yield from _outside(spot)
    elif spot.statement is None or spot.ends_value:
        yield from _statements(spot.block, word)
        if spot.ends_value and spot.before is not None and spot.before.end_line == place[0]:
            yield from _behind_value(spot)
    elif spot.statement.kind == "IMPROVE" and not spot.brackets:
        yield from (_component(cls) for cls in members_of("mechanism").values())
        yield from _declared(view, spot, ("param",))
    elif spot.statement.kind == "FOR":
        yield Proposed("task", "keyword", describe.WORDS["task"])
    else:
        yield from _values(view, spot)


def _outside(spot: Spot) -> Iterator[Proposed]:
    if spot.statement is None:
        yield Proposed("algorithm", "keyword", describe.WORDS["algorithm"])
    elif spot.statement.kind == "ALGORITHM":
        yield Proposed("extends", "keyword", describe.WORDS["extends"])


def _behind_value(spot: Spot) -> Iterator[Proposed]:
    """Words that go on behind a complete value."""
    statement = spot.statement
    if statement is not None and statement.kind == "PARAM" and spot.part == "value":
        yield Proposed("in", "keyword", describe.WORDS["in"])
    elif expected_at(spot).role in (roles.DRAWN, roles.FORMULA):
        yield Proposed("from", "keyword", describe.WORDS["from"])


# --- statements


def _statements(block: Block, word: Token | None) -> Iterator[Proposed]:
    """The statements that may begin in a block; options that others than the one being written set are left out."""
    there = {str(one.name) for one in block.statements if one.kind in ("assign", "section") and one.name is not word}
    cls = class_of(block)
    if cls is not None:
        yield from (one for one in _options(cls, " = ") if one.label not in there)
        formulas = any(kind.role == "formula" for kind in kinds(cls).values())
        improves = isinstance(cls, type) and issubclass(cls, SectionKind) and cls.acts
        words = [*(["let"] if formulas else []), *(["improve"] if improves else [])]
    elif is_phase(block):
        yield from (
            Proposed(name, "option", describe.WORDS[name], f"{name} = ") for name in PHASE_OPTIONS if name not in there
        )
        words = []
    else:
        yield from (_component(section) for name, section in sections().items() if section.named or name not in there)
        yield from (Proposed(name, "option", describe.WORDS[name], f"{name} = ") for name in SETTINGS if name not in there)
        yield Proposed("phase", "section", describe.WORDS["phase"], rank=1)
        words = [word for word in STATEMENTS if word != "for" or block.kind == "ALGORITHM"]
    yield from (Proposed(word, "keyword", describe.WORDS[word], rank=2) for word in words)


def _options(cls: type[Component], behind: str) -> Iterator[Proposed]:
    for name in kinds(cls):
        yield Proposed(name, "option", describe.option(cls, name), f"{name}{behind}")


def _component(cls: type[Component]) -> Proposed:
    return Proposed(cls.name, "section" if cls.family == "section" else "component", describe.component(cls))


# --- values


def _values(view: View, spot: Spot) -> Iterator[Proposed]:
    want = expected_at(spot)
    yield from _arguments(spot)
    match want.role:
        case roles.FORMULA:
            yield from _formula(view, spot, want)
        case roles.AXIS:
            yield from (Proposed(name, "axis", text) for name, text in AXES.items())
        case roles.VARIABLE:
            yield from _slot_values(want)
        case roles.SOURCE:
            yield from _sources(view)
        case roles.ORDER | roles.PART:
            yield from _parts(view, want)
        case roles.BEGIN:
            yield from (Proposed(name, "keyword", describe.WORDS[name]) for name in BEGINNINGS)
        case roles.LITERAL:
            yield from _choices(want)
        case roles.NUMBER:
            yield from _declared(view, spot, ("param",))
    for family in want.families:
        yield from (_component(cls) for cls in members_of(family).values())
    if want.kind is not None and want.kind.optional:
        yield Proposed("none", "choice", describe.WORDS["none"], rank=2)


def _arguments(spot: Spot) -> Iterator[Proposed]:
    """The named arguments of the innermost call, where one may begin."""
    if not spot.brackets or spot.before is None or spot.before.type not in ("LPAR", "COMMA"):
        return
    *outer, bracket = spot.brackets
    if bracket.function is None:
        return
    around = expected_at(Spot(spot.block, spot.statement, spot.part, tuple(outer), None))
    cls = called(around, bracket.function)
    if cls is not None:
        left = [name for name in list(kinds(cls))[bracket.position :] if name not in bracket.given]
        yield from (one for one in _options(cls, " = ") if one.label in left)
    elif around.role == roles.FORMULA and bracket.position > 0:
        word = "wrt" if bracket.function == GRADIENT else "over"
        yield Proposed(word, "option", describe.WORDS[word], f"{word} = ")


def _formula(view: View, spot: Spot, want: Expected) -> Iterator[Proposed]:
    """Values of the slots, declared names, then functions; those of the networks before arithmetic."""
    yield from _slot_values(want)
    yield from _declared(view, spot, ("argument", "let", "param", "def"))
    seen = {name for slot in want.slots for name in visible(slot)}
    for name in functions():
        if name in seen:
            yield Proposed(name, "function", describe.function(name), rank=1)
    for name in (*PRIMITIVES, GRADIENT):
        yield Proposed(name, "function", describe.function(name), rank=3)


def _slot_values(want: Expected) -> Iterator[Proposed]:
    for slot in want.slots:
        yield from (Proposed(name, "value", f"`{name}`: {describe.axes(axes)}") for name, axes in slot.values.items())
        yield from (Proposed(name, "value", f"the length of the axis `{axis}`") for name, axis in slot.sizes.items())


def _declared(view: View, spot: Spot, kinds_of_names: Iterable[str]) -> Iterator[Proposed]:
    for name, one in Names(view.chain).seen(spot, view.document).items():
        if one.kind in kinds_of_names and not _is_own(one, spot):
            yield Proposed(name, one.kind, describe.declaration(one), rank=2 if one.kind == "def" else 0)


def _is_own(one: Declared, spot: Spot) -> bool:
    """Whether a name is that of the statement being written, which cannot use it."""
    return one.statement is spot.statement and one.kind != "argument"


def _sources(view: View) -> Iterator[Proposed]:
    named = _named_sections(view)
    for name in dict.fromkeys([*sources(named), *readable(named)]):
        yield Proposed(name, "source")


def _named_sections(view: View) -> dict[str, type[SectionKind]]:
    """The kinds of the sections that have names of their own."""
    declared = [found[0] for found in Names(view.chain).by_home.values() if found[0].kind == "section"]
    kinds_of = {one.name: sections().get(str(one.statement.name)) for one in declared}
    return {name: kind for name, kind in kinds_of.items() if kind is not None}


def _parts(view: View, want: Expected) -> Iterator[Proposed]:
    known = [cls for cls in sections().values() if cls.stage is not None or want.role == roles.PART]
    yield from (Proposed(cls.name, "section", describe.component(cls)) for cls in known)
    for (_, name), found in Names(view.chain).by_home.items():
        if found[0].kind in ("section", "param"):
            yield Proposed(name, found[0].kind, describe.declaration(found[0]))
    for owner, cls in {**sections(), **_named_sections(view)}.items():
        yield from (Proposed(copy.group.format(owner), "source", rank=1) for copy in cls.copies)
    if want.role == roles.ORDER:
        yield Proposed(TARGETS, "section", describe.WORDS[TARGETS])
        yield from (Proposed(word, "keyword", describe.WORDS[word], rank=1) for word in WORDS)
    else:
        yield Proposed("optimizers", "keyword", describe.WORDS["reset"])


def _choices(want: Expected) -> Iterator[Proposed]:
    assert want.owner is not None
    annotation, _ = without_none(want.owner.model_fields[want.option].annotation)
    words = choices(annotation) or (("true", "false") if annotation is bool else ())
    yield from (Proposed(word, "choice", describe.option(want.owner, want.option)) for word in words)
