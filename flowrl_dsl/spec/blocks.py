"""Sections and ``improve`` blocks: each becomes a component under its name in the algorithm.

Of a block with a syntax error inside, only the header is checked.
"""

from __future__ import annotations

from dataclasses import replace

from flowrl_dsl.algorithm import FACTOR, POLICY, RESERVED, Improvement
from flowrl_dsl.diagnostics import Proposal, did_you_mean
from flowrl_dsl.registry import NOT_NEGATIVE, Component, Scalar, SectionKind, families, find, members_of, sections
from flowrl_dsl.spec import compatibility
from flowrl_dsl.spec.check import Check
from flowrl_dsl.spec.kinds import kinds
from flowrl_dsl.spec.merge import Block
from flowrl_dsl.spec.options import FAILED, Options
from flowrl_dsl.spec.parameters import check_name
from flowrl_dsl.spec.scope import SET_FILE, Site, inside
from flowrl_dsl.syntax import tree


def read_sections(check: Check) -> None:
    known = sections()
    for block in check.statements.sections.values():
        if block.name.id not in known:
            _unknown_section(check, block)
    for name, cls in known.items():
        for owner, block in sections_of(check, name):
            _section(check, cls, owner, block)
        if name in check.sections or name in check.statements.sections:
            continue
        if cls.implied:
            _section(check, cls, name, Block(tree.Name(name, check.place)))
        elif name == POLICY and check.statements.complete:
            check.error("FRL0210", "the algorithm has no policy", check.place, "add: policy { backbone = ... }")
            check.scope.maybe |= {c for members in families().values() for m in members.values() for c in m.provides}
    for owner, section in check.sections.items():
        if owner in check.statements.sections:
            compatibility.check_unread(section, owner, _own(check, check.statements.sections[owner]), check.scope)


def _own(check: Check, block: Block) -> dict[str, tree.Assign]:
    """The options of a block set by the spec itself or ``--set``; unread options of a base spec are no error.

    Neither are those that a ``for task`` block leaves unread: they are read for other tasks.
    """
    own, blocks = (check.main, SET_FILE), check.scope.applied
    given = {name: assign for name, assign in block.options.items() if assign.span.file in own}
    if not blocks:
        return given
    return {
        name: assign
        for name, assign in given.items()
        if assign.span.file == SET_FILE or any(inside(assign.span, task.span) for task in blocks)
    }


def sections_of(check: Check, kind: str) -> list[tuple[str, Block]]:
    """The declared sections of a kind, by name; the unnamed one first."""
    found = [(owner, block) for owner, block in check.statements.sections.items() if block.name.id == kind]
    return sorted(found, key=lambda item: item[1].given is not None)


def _section(check: Check, cls: type[SectionKind], owner: str, block: Block) -> None:
    if block.given is not None:
        _check_section_name(check, cls, block.given)
    if not block.complete:
        return
    site = Site(owner, block.name.span, block.lets)
    given = _given(check, cls, block, f'section "{owner}"')
    check.sections[owner] = Options(check.scope).build(cls, given, block.name.span, site)


def _check_section_name(check: Check, cls: type[SectionKind], name: tree.Name) -> None:
    """Check that the kind allows named sections and that no group of the state has the same name."""
    if not cls.named:
        message = f'section "{cls.name}" occurs once and cannot be named'
        check.error("FRL0205", message, name.span, f"write {cls.name} {{ ... }}")
    check_name(name, check.scope)
    starts = [name.id[:end] for end, letter in enumerate(name.id) if letter == "_"]
    of_copy = [name.id.removeprefix("old_")] if name.id.startswith("old_") else []
    near = [other for other in (*starts, *of_copy) if other in check.statements.sections or other in sections()]
    if name.id in RESERVED or near:
        whose = f"a group of section {near[0]}" if near else "a group of the state"
        check.error("FRL0227", f'"{name.id}" is already the name of {whose}', name.span, "choose another name")


def _given(check: Check, cls: type[Component], block: Block, what: str) -> dict[str, tree.Expr]:
    """The options of a block that its class declares; others are reported."""
    for key, assign in block.options.items():
        if key not in cls.model_fields:
            names = did_you_mean(key, cls.model_fields)
            check.error("FRL0208", f'{what} has no option "{key}"', assign.key.span, names)
    if block.lets and not any(kind.role == "formula" for kind in kinds(cls).values()):
        let = next(iter(block.lets.values()))
        message = f"{what} cannot contain a let"
        check.error("FRL0205", message, let.span, "only sections with formulas can contain a let")
    return {key: assign.value for key, assign in block.options.items() if key in cls.model_fields}


def _unknown_section(check: Check, block: Block) -> None:
    name = block.name
    message = f'unknown section "{name.id}"'
    hint = did_you_mean(name.id, members_of("section"))
    if find("mechanism", name.id) is not None:
        hint = Proposal(f"{name.id} is a mechanism: write `improve {name.id} {{ ... }}`", name.id, f"improve {name.id}")
    check.error("FRL0207", message, name.span, hint)


def read_improvements(check: Check) -> list[Improvement]:
    """The blocks: those of the unnamed policy, then those of each named one, wherever they stand in the text."""
    whole = check.statements.whole
    if whole and not check.statements.improvements:
        names = ", ".join(sorted(members_of("mechanism")))
        hint = f"add one: improve MECHANISM {{ ... }}, where MECHANISM is one of {names}"
        check.error("FRL0210", "the algorithm has no improve block", check.place, hint)
    _check_improved(check)
    found = []
    for term, label in zip(check.statements.improvements, check.statements.labels(), strict=True):
        cls = find("mechanism", term.mechanism)
        if cls is None:
            _unknown_mechanism(check, term.block.name)
            continue
        check.scope.owners[label] = term.owner
        if not term.block.complete:
            continue
        site = Site(label, term.block.name.span, term.block.lets)
        given = _given(check, cls, term.block, cls.name)
        mechanism = Options(check.scope).build(cls, given, term.block.name.span, site)
        compatibility.check_unread(mechanism, label, _own(check, term.block), check.scope)
        factor = _factor(check, term.weight, site)
        if factor is not FAILED:
            place = term.block.name.span
            found.append(Improvement(label=label, owner=term.owner, factor=factor, mechanism=mechanism, span=place))
    if whole:
        _check_trained(check, found)
    return sorted(found, key=lambda block: block.owner != POLICY)


def _check_trained(check: Check, found: list[Improvement]) -> None:
    """Check that a policy with its own parameters has a mechanism that trains them, besides those for the critic."""
    for owner in dict.fromkeys(block.owner for block in found):
        blocks = [block for block in found if block.owner == owner]
        trained = [getattr(block.mechanism, "trains", POLICY) for block in blocks]
        if POLICY not in trained and _has_parameters(check, owner):
            message = f'section "{owner}" is never trained: {blocks[0].label} trains the {trained[0]}'
            hint = "add an improve block that trains it, or choose a backbone without parameters"
            check.error("FRL0210", message, blocks[0].span or check.place, hint)


def _has_parameters(check: Check, owner: str) -> bool:
    """Whether a section has its own parameters; undetermined for one rebuilt after an error."""
    section = check.sections.get(owner)
    try:
        return isinstance(section, SectionKind) and section.trains
    except (AttributeError, TypeError):
        return False


def _check_improved(check: Check) -> None:
    """Only a section with a policy can contain an improve block, and a named one must."""
    acting = {owner for owner, block in check.statements.sections.items() if _acts(check, block)}
    for term in check.statements.improvements:
        if term.owner not in acting and term.owner in check.statements.sections:
            message = f'section "{term.owner}" has no policy and cannot contain an improve block'
            check.error("FRL0205", message, term.span, "write it at the top level or inside a policy")
    if not check.statements.whole:
        return
    improved = {term.owner for term in check.statements.improvements}
    for owner in sorted(acting - improved - {POLICY}):
        message = f'section "{owner}" has no improve block, so its policy is never trained'
        check.error("FRL0210", message, check.statements.sections[owner].name.span, "add one inside: improve ... { ... }")


def _acts(check: Check, block: Block) -> bool:
    kind = sections().get(block.name.id)
    return kind is not None and kind.acts


def _unknown_mechanism(check: Check, name: tree.Name) -> None:
    names = members_of("mechanism")
    check.scope.maybe |= {c for member in names.values() for c in member.provides}
    check.error("FRL0211", f'unknown mechanism "{name.id}"', name.span, did_you_mean(name.id, names))


def _factor(check: Check, weight: tree.Expr | None, site: Site) -> Scalar:
    """The weight in front of a block."""
    inner = site.child(FACTOR)
    if weight is None:
        check.scope.record(replace(inner, default="1"), "1")
        return Scalar(name=inner.path, value=1.0)
    check.scope.record(inner, weight)
    return Options(check.scope).scalar(weight, NOT_NEGATIVE, inner.written(weight.span))
