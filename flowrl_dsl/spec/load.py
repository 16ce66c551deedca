"""Files of specs and suites, and the files they extend, read and parsed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from flowrl_dsl.diagnostics import Diagnostic, Diagnostics, Span, nearest, quoted, suggestion
from flowrl_dsl.resources import shipped_specs, shipped_suites
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.parser import parse, parse_certain
from flowrl_dsl.syntax.sources import SUFFIX, beside, is_file, read_source, same_file, specs_in

W = TypeVar("W", bound=tree.Whole)


def _word(kind: type) -> str:
    return "spec" if kind is tree.Algorithm else "suite"


@dataclass
class Loader:
    """Reads files once; every text read is in ``sources`` under the name that spans use for it.

    Of a file in ``opened``, such as one with unsaved changes in an editor, that is the text.
    """

    diagnostics: Diagnostics
    sources: dict[str, str] = field(default_factory=dict)
    opened: Mapping[str, str] = field(default_factory=dict)
    _files: dict[str, tree.File | None] = field(default_factory=dict)

    def chain(self, path: str, kind: type[W]) -> list[W] | None:
        """The algorithm or suite of ``path`` and those it extends, nearest first; None after an error that leaves nothing.

        Of a file with syntax errors it is the certain part of what it says (:mod:`flowrl_dsl.syntax.damage`).
        """
        found: list[W] = []
        seen: list[str] = []
        while True:
            seen.append(path)
            whole = self._whole(path, kind)
            if whole is None:
                return None
            found.append(whole)
            if whole.base is None:
                return found
            place = whole.base.span
            base = self._base(path, whole.base, kind)
            if base is None or self._circular(base, seen, place, kind):
                return None
            path = base

    def _circular(self, base: str, seen: list[str], place: Span, kind: type) -> bool:
        if not any(same_file(base, path) for path in seen):
            return False
        names = " -> ".join(os.path.basename(p) for p in [*seen, base])
        self.diagnostics.error("FRL0203", f"a {_word(kind)} extends itself", place, f"the chain is {names}")
        return True

    def _base(self, path: str, base: tree.String, kind: type) -> str | None:
        """The file named by ``extends``, or None after an error."""
        found = base_file(path, base.value, kind)
        if found is not None:
            return found
        shipped = shipped_specs() if kind is tree.Algorithm else shipped_suites()
        around = specs_in(os.path.dirname(path))
        names = {*(name + SUFFIX for name in shipped), *around} - {os.path.basename(path)}
        close = nearest(base.value, names)
        hint = suggestion(base.value, close) if close else f"`flowrl-dsl list {_word(kind)}s` prints the shipped ones"
        message = f"there is no file {quoted(base.value)} beside this one, and no shipped {_word(kind)} of that name"
        self.diagnostics.error("FRL0202", message, base.span, hint)
        return None

    def file(self, path: str) -> tree.File | None:
        """The certain part of a file; None after an error that leaves nothing."""
        if path not in self._files:
            self._files[path] = self._read(path)
        return self._files[path]

    def _read(self, path: str) -> tree.File | None:
        text = next((text for name, text in self.opened.items() if same_file(name, path)), None)
        text, found = read_source(path) if text is None else (text, [])
        self.diagnostics.extend(_with_shipped(path, problem) for problem in found)
        if text is None:
            return None
        self.sources[path] = text
        file, found = parse_certain(text, path)
        self.diagnostics.extend(found)
        return file

    def _whole(self, path: str, kind: type[W]) -> W | None:
        """What a file holds, which is of a kind."""
        file = self.file(path)
        if file is None:
            return None
        if isinstance(file.whole, kind):
            return file.whole
        if isinstance(file.whole, tree.Suite):
            hint = f"`flowrl-dsl suite run {path}` trains what it compares"
            self.diagnostics.error("FRL0270", "the file holds a suite, not an algorithm", file.whole.name.span, hint)
        elif file.whole is not None:
            hint = f'a suite names it: specs = ["{os.path.basename(path)}"]'
            self.diagnostics.error("FRL0271", "the file holds an algorithm, not a suite", file.whole.name.span, hint)
        else:
            at = file.definitions[0].span if file.definitions else Span(path, 1, 1, 1, 1)
            note = "files of definitions alone are for the standard library: put them into an algorithm"
            self.diagnostics.error("FRL0201", "the file holds no algorithm", at, note)
        return None


def base_file(path: str, name: str, kind: type = tree.Algorithm) -> str | None:
    """The file that ``extends "name"`` in ``path`` is: beside that file first, then a shipped one, best of its kind."""
    own, stem = beside(path, name), name.removesuffix(SUFFIX)
    specs, suites = shipped_specs(), shipped_suites()
    shipped = (suites | specs if kind is tree.Algorithm else specs | suites).get(stem)
    if is_file(own) and (shipped is None or not same_file(own, path)):
        return own
    return None if shipped is None else str(shipped)


def located(path: str) -> str:
    """The file for a command-line argument: a path, or the bare name of a shipped spec or suite, which no folder shadows."""
    shipped = (shipped_suites() | shipped_specs()).get(path.removesuffix(SUFFIX))
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
    """Add a hint to the error for a missing file: the name may be that of a shipped spec or suite."""
    shipped = [*shipped_specs(), *shipped_suites()]
    close = nearest(path, shipped) if problem.code == "FRL0101" and not os.path.dirname(path) else None
    hint = f'did you mean the shipped {"suite" if close in shipped_suites() else "spec"} "{close}"?'
    return problem if close is None else replace(problem, notes=(*problem.notes, hint))
