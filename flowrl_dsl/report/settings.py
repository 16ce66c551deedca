"""The settings in the text of a resolved spec, by their paths: what runs differ in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_OPENS = re.compile(r"^(?P<head>[^={}#]*)\{$")
_SETS = re.compile(r"^(?P<name>[\w. ]+?)\s*=\s*(?P<value>.*)$")


def settings(text: str) -> dict[str, str]:
    """Values by path, ``critic.discount``: of a resolved spec all, of any other text what looks like one."""
    found: dict[str, str] = {}
    inside: list[str] = []
    for line in _statements(text):
        if line == "}":
            inside = inside[:-1]
        elif opened := _OPENS.match(line):
            head = opened["head"].split('"')[0].split()
            # the name of the algorithm is no part of a path
            inside.append("" if head[:1] == ["algorithm"] else ".".join(head))
        elif sets := _SETS.match(line):
            found[".".join([*filter(None, inside), sets["name"].strip()])] = sets["value"].strip()
    return found


def _statements(text: str) -> Iterable[str]:
    """The lines, those of a value in brackets joined."""
    joined, depth = "", 0
    for line in map(str.strip, text.splitlines()):
        joined = f"{joined} {line}".strip()
        depth += sum(map(line.count, "([")) - sum(map(line.count, ")]"))
        if depth <= 0:
            yield joined
            joined, depth = "", 0
    yield joined


def differing(runs: Iterable[Mapping[str, str]]) -> list[str]:
    """The names under which not all of the runs have the same value, in order of first occurrence."""
    known = list(runs)
    names = dict.fromkeys(name for run in known for name in run)
    return [name for name in names if len({run.get(name) for run in known}) > 1]
