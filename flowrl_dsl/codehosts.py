"""Diagnostics in the formats of code hosts: SARIF 2.1.0, and the workflow commands of GitHub Actions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flowrl_dsl import __version__
from flowrl_dsl.codes import CODES
from flowrl_dsl.diagnostics import Diagnostic, Proposal, Span, in_order

_ESCAPES = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_ESCAPES_OF_PROPERTIES = {**_ESCAPES, ":": "%3A", ",": "%2C"}


def render_sarif(diagnostics: Iterable[Diagnostic], sources: Mapping[str, str]) -> str:
    """A SARIF log with one run; its rules are the codes found, its fixes the texts that notes propose.

    ``sources`` has the texts of the files, as for ``render_text``.
    """
    found = in_order(diagnostics)
    codes = sorted({diagnostic.code for diagnostic in found})
    driver = {"name": "flowrl-dsl", "semanticVersion": __version__, "rules": [_rule(code) for code in codes]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(diagnostic, codes.index(diagnostic.code), sources) for diagnostic in found],
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2)


def _rule(code: str) -> dict[str, Any]:
    """A code of the table; of a plugin's code the number alone."""
    entry = CODES.get(code)
    if entry is None:
        return {"id": code}
    help_text = f"{entry.explanation}\n\nCure: {entry.cure}"
    example = f"\n\nFor example:\n\n```\n{entry.example.strip()}\n```" if entry.example else ""
    return {
        "id": code,
        "shortDescription": {"text": entry.title},
        "fullDescription": {"text": entry.explanation},
        "help": {"text": help_text, "markdown": help_text + example},
    }


def _result(diagnostic: Diagnostic, rule: int, sources: Mapping[str, str]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": diagnostic.severity,
        "message": {"text": _message(diagnostic)},
    }
    if diagnostic.span is not None:
        place = {"artifactLocation": _artifact(diagnostic.span), "region": _region(diagnostic.span)}
        result["locations"] = [{"physicalLocation": place}]
        fixes = list(_fixes(diagnostic, diagnostic.span, sources.get(diagnostic.span.file, "")))
        result |= {"fixes": fixes} if fixes else {}
    return result


def _message(diagnostic: Diagnostic) -> str:
    return "\n".join([diagnostic.message, *diagnostic.notes])


def _artifact(span: Span) -> dict[str, str]:
    """A relative path stays one, so that a code host finds the file in its checkout."""
    if os.path.isabs(span.file):
        return {"uri": Path(span.file).as_uri()}
    return {"uri": quote(Path(span.file).as_posix())}


def _region(span: Span) -> dict[str, int]:
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }


def _fixes(diagnostic: Diagnostic, span: Span, text: str) -> Iterator[dict[str, Any]]:
    there = span.cut(text)
    for note in diagnostic.notes:
        instead = note.replacing(there) if isinstance(note, Proposal) else None
        if instead is not None:
            replacement = {"deletedRegion": _region(span), "insertedContent": {"text": instead}}
            change = {"artifactLocation": _artifact(span), "replacements": [replacement]}
            yield {"description": {"text": str(note)}, "artifactChanges": [change]}


def render_github(diagnostics: Iterable[Diagnostic]) -> str:
    """A workflow command a line, which GitHub Actions shows beside the lines of a change."""
    return "\n".join(map(_command, in_order(diagnostics)))


def _command(diagnostic: Diagnostic) -> str:
    properties: dict[str, str | int] = {}
    if (span := diagnostic.span) is not None:
        properties = {"file": span.file, "line": span.line, "endLine": span.end_line, "col": span.column}
        properties |= {"endColumn": span.end_column} if span.line == span.end_line else {}
    properties["title"] = diagnostic.code
    shown = ",".join(f"{name}={_escaped(str(value), _ESCAPES_OF_PROPERTIES)}" for name, value in properties.items())
    return f"::{diagnostic.severity} {shown}::{_escaped(_message(diagnostic), _ESCAPES)}"


def _escaped(text: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(char, char) for char in text)
