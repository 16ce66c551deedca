"""The answers of this room as types of the language server protocol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Protocol

from lsprotocol import types

from flowrl_dsl.diagnostics import Span
from flowrl_dsl.editor.coloring import COLORS, DECLARATION, DEFAULT_LIBRARY, READ_ONLY, Colored
from flowrl_dsl.editor.completion import Completion, Proposed
from flowrl_dsl.editor.findings import Finding, Fix
from flowrl_dsl.editor.folding import Fold
from flowrl_dsl.editor.renaming import Change
from flowrl_dsl.editor.signatures import Signature
from flowrl_dsl.editor.symbols import Symbol

SOURCE = "flowrl-dsl"
LEGEND = types.SemanticTokensLegend(
    token_types=list(dict.fromkeys(COLORS.values())), token_modifiers=[DECLARATION, READ_ONLY, DEFAULT_LIBRARY]
)
_ITEM_KINDS = {
    "section": types.CompletionItemKind.Module,
    "component": types.CompletionItemKind.Class,
    "option": types.CompletionItemKind.Property,
    "keyword": types.CompletionItemKind.Keyword,
    "file": types.CompletionItemKind.File,
    "choice": types.CompletionItemKind.EnumMember,
    "axis": types.CompletionItemKind.EnumMember,
    "source": types.CompletionItemKind.Module,
    "function": types.CompletionItemKind.Function,
    "def": types.CompletionItemKind.Function,
}
"""Others are variables."""


class Places(Protocol):
    """Converts places for a client: it has the texts of files, and the encoding in which the client counts."""

    def range(self, span: Span) -> types.Range: ...

    def uri(self, path: str) -> str: ...


def location(span: Span, places: Places) -> types.Location:
    return types.Location(places.uri(span.file), places.range(span))


def markdown(text: str) -> types.MarkupContent:
    return types.MarkupContent(types.MarkupKind.Markdown, text)


def diagnostic(finding: Finding, places: Places) -> types.Diagnostic:
    error = finding.diagnostic.severity == "error"
    related = None
    if finding.elsewhere is not None:
        there = location(finding.elsewhere, places)
        related = [types.DiagnosticRelatedInformation(there, finding.diagnostic.message)]
    return types.Diagnostic(
        range=places.range(finding.span),
        message=finding.message,
        severity=types.DiagnosticSeverity.Error if error else types.DiagnosticSeverity.Warning,
        code=finding.diagnostic.code,
        source=SOURCE,
        tags=[types.DiagnosticTag.Unnecessary] if finding.unused else None,
        related_information=related,
    )


def action(fix: Fix, alone: bool, places: Places) -> types.CodeAction:
    """A quick fix; editors may apply the only one of a place without asking."""
    return types.CodeAction(
        title=fix.title,
        kind=types.CodeActionKind.QuickFix,
        diagnostics=[diagnostic(fix.finding, places)],
        is_preferred=alone,
        edit=edits([Change(fix.span, fix.text)], places),
    )


def edits(changes: Iterable[Change], places: Places) -> types.WorkspaceEdit:
    found: dict[str, list[types.TextEdit]] = {}
    for change in changes:
        edit = types.TextEdit(places.range(change.span), change.text)
        found.setdefault(places.uri(change.span.file), []).append(edit)
    return types.WorkspaceEdit(changes=found)


def completion(found: Completion, places: Places, here: types.Position) -> types.CompletionList:
    replaced = types.Range(here, here) if found.span is None else places.range(found.span)
    items = [_item(one, replaced, number) for number, one in enumerate(found.proposals)]
    return types.CompletionList(is_incomplete=False, items=items)


def _item(one: Proposed, replaced: types.Range, number: int) -> types.CompletionItem:
    return types.CompletionItem(
        label=one.label,
        kind=_ITEM_KINDS.get(one.kind, types.CompletionItemKind.Variable),
        documentation=markdown(one.text) if one.text else None,
        sort_text=f"{number:04}",
        text_edit=types.TextEdit(replaced, one.insert or one.label),
    )


def signature(found: Signature) -> types.SignatureHelp:
    parameters = [types.ParameterInformation(label, markdown(text) if text else None) for label, text in found.parameters]
    information = types.SignatureInformation(found.label, markdown(found.text), parameters)
    return types.SignatureHelp([information], 0, found.active)


def symbol(one: Symbol, places: Places) -> types.DocumentSymbol:
    return types.DocumentSymbol(
        name=one.name,
        detail=one.detail,
        kind=types.SymbolKind[one.kind],
        range=places.range(one.span),
        selection_range=places.range(one.name_span),
        children=[symbol(inner, places) for inner in one.children],
    )


def fold(one: Fold) -> types.FoldingRange:
    kind = types.FoldingRangeKind.Comment if one.comment else types.FoldingRangeKind.Region
    return types.FoldingRange(start_line=one.first - 1, end_line=one.last - 1, kind=kind)


def semantic_tokens(found: Sequence[Colored], places: Places) -> types.SemanticTokens:
    """Five numbers a word: line and column after the word before it, length, type, modifiers.

    What a carriage return cuts in two, such as a comment, is left out: a word has one line.
    """
    placed = ((places.range(one.span), one) for one in found)
    rows = [(range_, one) for range_, one in placed if range_.start.line == range_.end.line]
    starts = [types.Position(0, 0), *(range_.start for range_, _ in rows)]
    data: list[int] = []
    for (before, start), (range_, one) in zip(pairwise(starts), rows, strict=True):
        column = start.character - (before.character if start.line == before.line else 0)
        bits = sum(1 << LEGEND.token_modifiers.index(modifier) for modifier in one.modifiers)
        length = range_.end.character - range_.start.character
        data += [start.line - before.line, column, length, LEGEND.token_types.index(one.color), bits]
    return types.SemanticTokens(data)
