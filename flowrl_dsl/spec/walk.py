"""Traversal of typed formulas."""

from __future__ import annotations

from collections.abc import Iterator

from flowrl_dsl.formula import Bound, Constant, Operation, Term, Variable, inner, terms


def expanded_size(root: Term) -> int:
    """The size of a term with everything except its lets expanded."""
    sizes: dict[int, int] = {}
    for term in reversed(list(_after_users(root))):
        parts = inner(term)
        own = 0 if isinstance(term, Bound) else sum(sizes[id(part)] for part in parts)
        sizes[id(term)] = 1 + own
    lets = sum(sizes[id(term.value)] for term in terms(root) if isinstance(term, Bound))
    return sizes[id(root)] + lets


def _after_users(root: Term) -> Iterator[Term]:
    """Every term after all terms that hold it."""
    users: dict[int, int] = {}
    for term in terms(root):
        for part in inner(term):
            users[id(part)] = users.get(id(part), 0) + 1
    ready = [root]
    while ready:
        term = ready.pop()
        yield term
        for part in inner(term):
            users[id(part)] -= 1
            if users[id(part)] == 0:
                ready.append(part)


def members(term: Term) -> int | Term:
    """How many members a value with the axis ``ensemble`` has: those drawn for a subset, or the call that has them all."""
    while not (isinstance(term, Operation) and term.function == "subset"):
        inside = next((part for part in inner(term) if "ensemble" in part.axes), None)
        if inside is None:
            return term
        term = inside
    count = term.operands[1]
    return int(count.value) if isinstance(count, Constant) else term.operands[0]


def depends_on(root: Term, name: str, owner: str = "") -> bool:
    """Whether a value, or the result of a function, enters a term other than through ``stop``.

    A function counts with the parameters of the section ``owner``, that of the formula, and not with those of a copy or of
    another section.
    """
    waiting, seen = [root], set()
    while waiting:
        term = waiting.pop()
        if id(term) in seen or (isinstance(term, Operation) and term.function == "stop"):
            continue
        seen.add(id(term))
        if isinstance(term, Variable) and term.name == name:
            return True
        if isinstance(term, Operation) and term.function == name and term.source in ("", owner):
            return True
        waiting.extend(inner(term))
    return False
