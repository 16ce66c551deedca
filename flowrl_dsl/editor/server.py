"""The language server: the features of this room, bound to the protocol by pygls.

It answers over standard input and output, keeps what it read of a text until any text changes, and never imports jax.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path
from pygls.workspace import TextDocument

from flowrl_dsl import __version__
from flowrl_dsl.diagnostics import Diagnostic, DiagnosticError, Span
from flowrl_dsl.editor import coloring, completion, findings, folding, navigation, renaming, signatures, symbols, wire
from flowrl_dsl.editor.document import Place, View, document_of
from flowrl_dsl.editor.hover import hover
from flowrl_dsl.editor.positions import Positions
from flowrl_dsl.syntax.formatter import format_file
from flowrl_dsl.syntax.parser import parse
from flowrl_dsl.syntax.sources import SUFFIX, read_source

PAUSE = 0.03
"""Seconds without a change before a text is checked."""
MOST_FOLDERS, MOST_FILES = 2000, 1000
"""How many folders below an opened one, and specs in them, are searched for uses of a name."""
_HIDDEN = ("node_modules", "__pycache__")
_REQUEST_FAILED = -32803


class Server(LanguageServer):
    """The state: texts as they are shown, and what was read of them."""

    def __init__(self) -> None:
        super().__init__("flowrl-dsl", __version__, text_document_sync_kind=types.TextDocumentSyncKind.Full)
        self._views: dict[str, View] = {}
        self._positions: dict[str, Positions] = {}

    def forget(self) -> None:
        """Read everything again: a text has changed, and others may extend it."""
        self._views.clear()
        self._positions.clear()

    def view(self, uri: str) -> View:
        if uri not in self._views:
            document = document_of(_path(uri), self.workspace.get_text_document(uri).source)
            self._views[uri] = View(document, self.opened)
        return self._views[uri]

    @property
    def documents(self) -> dict[str, TextDocument]:
        """The opened documents by the addresses that the client gave them."""
        return {document.uri: document for document in self.workspace.text_documents.values()}

    @property
    def opened(self) -> dict[str, str]:
        return {_path(uri): document.source for uri, document in self.documents.items()}

    def others(self, view: View) -> list[View]:
        """The other specs that are opened, or in an opened folder."""
        views = [self.view(uri) for uri in self.documents]
        known = {view.path, *(one.path for one in views)}
        roots = (to_fs_path(uri) for uri in self.workspace.folders)
        paths = dict.fromkeys(path for root in roots if root for path in _specs_below(root))
        texts = ((path, read_source(path)[0]) for path in islice(paths, MOST_FILES) if path not in known)
        views += [View(document_of(path, text), self.opened) for path, text in texts if text is not None]
        return [one for one in views if one.path != view.path]

    # --- places

    def positions(self, path: str) -> Positions:
        if path not in self._positions:
            text = self.opened.get(path)
            encoding = types.PositionEncodingKind(self.workspace.position_encoding or "utf-16")
            self._positions[path] = Positions((read_source(path)[0] or "") if text is None else text, encoding.value)
        return self._positions[path]

    def place(self, uri: str, position: types.Position) -> Place:
        return self.positions(_path(uri)).place(position.line, position.character)

    def span(self, uri: str, range_: types.Range) -> Span:
        return Span(_path(uri), *self.place(uri, range_.start), *self.place(uri, range_.end))

    def range(self, span: Span) -> types.Range:
        start, end = self.positions(span.file).ends(span)
        return types.Range(types.Position(*start), types.Position(*end))

    def uri(self, path: str) -> str:
        own = next((uri for uri in self.documents if _path(uri) == path), None)
        return own or from_fs_path(os.path.abspath(path)) or path

    # --- findings

    def publish(self, uri: str) -> None:
        document = self.documents.get(uri)
        if document is not None:
            found = [wire.diagnostic(one, self) for one in findings.findings(self.view(uri))]
            self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, found, document.version))

    def publish_all(self, first: str = "") -> None:
        """The findings of all opened texts: of one, and of those that extend it."""
        for uri in sorted(self.documents, key=lambda uri: uri != first):
            if not first or any(document.path == _path(first) for document in self.view(uri).chain):
                self.publish(uri)


def _path(uri: str) -> str:
    """The path of a file; of a text without one its address."""
    return to_fs_path(uri) or uri


def _specs_below(root: str) -> Iterator[str]:
    for folder, folders, files in islice(os.walk(root), MOST_FOLDERS):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _HIDDEN)
        yield from (os.path.join(folder, name) for name in sorted(files) if name.endswith(SUFFIX))


# --- what the client tells


async def _changed(ls: Server, params: types.DidChangeTextDocumentParams) -> None:
    ls.forget()
    uri, version = params.text_document.uri, params.text_document.version
    await asyncio.sleep(PAUSE)
    document = ls.documents.get(uri)
    if document is not None and document.version == version:
        ls.publish_all(uri)


def _opened(ls: Server, params: types.DidOpenTextDocumentParams) -> None:
    ls.forget()
    ls.publish_all(params.text_document.uri)


def _closed(ls: Server, params: types.DidCloseTextDocumentParams) -> None:
    ls.forget()
    ls.text_document_publish_diagnostics(types.PublishDiagnosticsParams(params.text_document.uri, []))


def _changed_on_disk(ls: Server, params: types.DidChangeWatchedFilesParams | types.DidSaveTextDocumentParams) -> None:
    ls.forget()
    ls.publish_all()


# --- what the client asks


def _complete(ls: Server, params: types.CompletionParams) -> types.CompletionList:
    uri = params.text_document.uri
    found = completion.complete(ls.view(uri), ls.place(uri, params.position))
    return wire.completion(found, ls, params.position)


def _hover(ls: Server, params: types.HoverParams) -> types.Hover | None:
    found = hover(ls.view(params.text_document.uri), ls.place(params.text_document.uri, params.position))
    return None if found is None else types.Hover(wire.markdown(found.text), ls.range(found.span))


def _signature(ls: Server, params: types.SignatureHelpParams) -> types.SignatureHelp | None:
    uri = params.text_document.uri
    found = signatures.signature(ls.view(uri), ls.place(uri, params.position))
    return None if found is None else wire.signature(found)


def _definition(ls: Server, params: types.DefinitionParams) -> list[types.Location]:
    uri = params.text_document.uri
    return [wire.location(span, ls) for span in navigation.definition(ls.view(uri), ls.place(uri, params.position))]


def _references(ls: Server, params: types.ReferenceParams) -> list[types.Location]:
    uri = params.text_document.uri
    view, place = ls.view(uri), ls.place(uri, params.position)
    found = navigation.references(view, ls.others(view), place, params.context.include_declaration)
    return [wire.location(span, ls) for span in found]


def _prepare_rename(ls: Server, params: types.PrepareRenameParams) -> types.Range:
    uri = params.text_document.uri
    view, place = ls.view(uri), ls.place(uri, params.position)
    renaming.renamable(view, place)
    entry = view.document.entry_at(place)
    assert entry is not None
    return ls.range(view.document.span(entry.token))


def _rename(ls: Server, params: types.RenameParams) -> types.WorkspaceEdit:
    uri = params.text_document.uri
    view = ls.view(uri)
    changes = renaming.rename(view, ls.others(view), ls.place(uri, params.position), params.new_name)
    return wire.edits(changes, ls)


def _symbols(ls: Server, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
    return [wire.symbol(one, ls) for one in symbols.symbols(ls.view(params.text_document.uri).document)]


def _folds(ls: Server, params: types.FoldingRangeParams) -> list[types.FoldingRange]:
    return [wire.fold(one) for one in folding.folds(ls.view(params.text_document.uri).document)]


def _tokens(ls: Server, params: types.SemanticTokensParams) -> types.SemanticTokens:
    return wire.semantic_tokens(coloring.colored(ls.view(params.text_document.uri)), ls)


def _actions(ls: Server, params: types.CodeActionParams) -> list[types.CodeAction]:
    uri = params.text_document.uri
    found = findings.fixes(ls.view(uri), ls.span(uri, params.range))
    return [wire.action(fix, len(found) == 1, ls) for fix in found]


def _format(ls: Server, params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
    """The whole text in the standard layout; nothing while it has syntax errors."""
    document = ls.view(params.text_document.uri).document
    tree, _ = parse(document.text, document.path)
    if tree is None:
        return None
    whole = Span(document.path, 1, 1, len(document.lines), len(document.lines[-1]) + 1)
    formatted = format_file(tree)
    return [types.TextEdit(ls.range(whole), formatted)] if formatted != document.text else []


_TOLD: dict[str, Any] = {
    types.TEXT_DOCUMENT_DID_OPEN: _opened,
    types.TEXT_DOCUMENT_DID_CHANGE: _changed,
    types.TEXT_DOCUMENT_DID_CLOSE: _closed,
    types.TEXT_DOCUMENT_DID_SAVE: _changed_on_disk,
    types.WORKSPACE_DID_CHANGE_WATCHED_FILES: _changed_on_disk,
}
_ASKED: dict[str, tuple[Any, Any]] = {
    types.TEXT_DOCUMENT_COMPLETION: (_complete, types.CompletionOptions(trigger_characters=["(", ",", "=", '"', "["])),
    types.TEXT_DOCUMENT_HOVER: (_hover, None),
    types.TEXT_DOCUMENT_SIGNATURE_HELP: (_signature, types.SignatureHelpOptions(trigger_characters=["(", ","])),
    types.TEXT_DOCUMENT_DEFINITION: (_definition, None),
    types.TEXT_DOCUMENT_REFERENCES: (_references, None),
    types.TEXT_DOCUMENT_PREPARE_RENAME: (_prepare_rename, None),
    types.TEXT_DOCUMENT_RENAME: (_rename, types.RenameOptions(prepare_provider=True)),
    types.TEXT_DOCUMENT_DOCUMENT_SYMBOL: (_symbols, None),
    types.TEXT_DOCUMENT_FOLDING_RANGE: (_folds, None),
    types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL: (_tokens, wire.LEGEND),
    types.TEXT_DOCUMENT_CODE_ACTION: (_actions, types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix])),
    types.TEXT_DOCUMENT_FORMATTING: (_format, None),
}


def _answering(ask: Any) -> Any:
    """The handler of a request, with coded errors as errors of the protocol."""

    def answer(ls: Server, params: Any) -> Any:
        try:
            return ask(ls, params)
        except DiagnosticError as error:
            raise JsonRpcException(_one_line(error.diagnostics[0]), _REQUEST_FAILED) from error

    return answer


def _one_line(diagnostic: Diagnostic) -> str:
    return f"{diagnostic.code}: {'; '.join([diagnostic.message, *diagnostic.notes])}"


def create() -> Server:
    """A server with all features."""
    server = Server()
    for method, tell in _TOLD.items():
        server.feature(method)(tell)
    for method, (ask, options) in _ASKED.items():
        server.feature(method, options)(_answering(ask))
    return server


def serve() -> None:
    """Answer over standard input and output until the client leaves.

    What else writes to standard output, such as a plugin, writes to standard error: the stream is the protocol's.
    """
    logging.getLogger("pygls.protocol.json_rpc").addFilter(_is_unexpected)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")  # pygls closes the stream that it is given
    with contextlib.redirect_stdout(sys.stderr):
        create().start_io(sys.stdin.buffer, out)


def _is_unexpected(record: logging.LogRecord) -> bool:
    """Whether a message of the log is no refused request, which the client shows by itself."""
    return not (record.exc_info and isinstance(record.exc_info[1], JsonRpcException))
