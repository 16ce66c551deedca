"""Spec files and the files they extend, read and parsed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from flowrl_dsl.diagnostics import Diagnostic, Diagnostics, Span, nearest, quoted, suggestion
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.parser import parse, parse_certain
from flowrl_dsl.syntax.sources import SUFFIX, beside, is_file, read_source, same_file, specs_in


@dataclass
class Loader:
    """Reads files once; every text read is in ``sources`` under the name that spans use for it.

    Of a file in ``opened``, such as one with unsaved changes in an editor, that is the text.
    """

    diagnostics: Diagnostics
    sources: dict[str, str] = field(default_factory=dict)
    opened: Mapping[str, str] = field(default_factory=dict)

    def chain(self, path: str) -> list[tree.Algorithm] | None:
        """The algorithm of ``path`` and those it extends, nearest first; None after an error that leaves nothing.

        Of a file with syntax errors the algorithm is the certain part of what it says (:mod:`flowrl_dsl.syntax.damage`).
        """
        found: list[tree.Algorithm] = []
        seen: list[str] = []
        while True:
            seen.append(path)
            algorithm = self._algorithm(path)
            if algorithm is None:
                return None
            found.append(algorithm)
            if algorithm.base is None:
                return found
            place = algorithm.base.span
            base = self._base(path, algorithm.base)
            if base is None or self._circular(base, seen, place):
                return None
            path = base

    def _circular(self, base: str, seen: list[str], place: Span) -> bool:
        if not any(same_file(base, path) for path in seen):
            return False
        names = " -> ".join(os.path.basename(p) for p in [*seen, base])
        self.diagnostics.error("FRL0203", "a spec extends itself", place, f"the chain is {names}")
        return True

    def _base(self, path: str, base: tree.String) -> str | None:
        """The file named by ``extends``, or None after an error."""
        found = base_file(path, base.value)
        if found is not None:
            return found
        around = specs_in(os.path.dirname(path))
        names = {*(name + SUFFIX for name in shipped_specs()), *around} - {os.path.basename(path)}
        close = nearest(base.value, names)
        hint = suggestion(base.value, close) if close else "`flowrl-dsl list specs` prints the shipped ones"
        message = f"there is no file {quoted(base.value)} beside this one, and no shipped spec of that name"
        self.diagnostics.error("FRL0202", message, base.span, hint)
        return None

    def _algorithm(self, path: str) -> tree.Algorithm | None:
        text = next((text for name, text in self.opened.items() if same_file(name, path)), None)
        text, found = read_source(path) if text is None else (text, [])
        self.diagnostics.extend(_with_shipped(path, problem) for problem in found)
        if text is None:
            return None
        self.sources[path] = text
        file, found = parse_certain(text, path)
        self.diagnostics.extend(found)
        if file is not None and file.algorithm is None:
            at = file.definitions[0].span if file.definitions else Span(path, 1, 1, 1, 1)
            note = "files of definitions alone are for the standard library: put them into an algorithm"
            self.diagnostics.error("FRL0201", "the file holds no algorithm", at, note)
        return None if file is None else file.algorithm


def base_file(path: str, name: str) -> str | None:
    """The file that ``extends "name"`` in ``path`` is: beside that file first, then among the shipped specs."""
    own, shipped = beside(path, name), shipped_specs().get(name.removesuffix(SUFFIX))
    if is_file(own) and (shipped is None or not same_file(own, path)):
        return own
    return None if shipped is None else str(shipped)


def located(path: str) -> str:
    """The file for a command-line argument: a path, or the bare name of a shipped spec, which no folder shadows."""
    shipped = shipped_specs().get(path.removesuffix(SUFFIX))
    is_there = os.path.exists(path) and not os.path.isdir(path)
    return path if shipped is None or is_there or os.path.dirname(path) else str(shipped)


def self_contained(chain: Mapping[str, str]) -> dict[str, str]:
    """The texts of a valid spec and of its bases, nearest first, as files of one folder that need no other, by name.

    A file keeps its name where it has an ordinary one that no other has taken; ``extends`` names the next file.
    """
    algorithms = [parse(text, path)[0] for path, text in chain.items()]
    found = [(path, file.algorithm) for path, file in zip(chain, algorithms, strict=True) if file and file.algorithm]
    names: list[str] = []
    for path, algorithm in found:
        own = os.path.basename(path)
        stem = own.removesuffix(SUFFIX) if re.fullmatch(rf"[\w-]+{re.escape(SUFFIX)}", own) else algorithm.name.id
        stems = (stem, *(f"{stem}_{number}" for number in range(2, len(found) + 2)))
        names.append(next(name for name in (f"{stem}{SUFFIX}" for stem in stems) if name not in names))
    copies = {}
    for (path, algorithm), name, base in zip(found, names, [*names[1:], ""], strict=True):
        copies[name] = _extending(chain[path], algorithm.base, base) if algorithm.base else chain[path]
    return copies


def _extending(text: str, old: tree.String, new: str) -> str:
    """The text with another name after ``extends``, which stands on one line."""
    lines = text.split("\n")
    at, start, end = old.span.line - 1, old.span.column - 1, old.span.end_column - 1
    lines[at] = f'{lines[at][:start]}"{new}"{lines[at][end:]}'
    return "\n".join(lines)


def _with_shipped(path: str, problem: Diagnostic) -> Diagnostic:
    """Add a hint to the error for a missing file: the name may be that of a shipped spec."""
    close = nearest(path, shipped_specs()) if problem.code == "FRL0101" and not os.path.dirname(path) else None
    hint = f'did you mean the shipped spec "{close}"?'
    return problem if close is None else replace(problem, notes=(*problem.notes, hint))
