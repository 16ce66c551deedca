"""Measure how fast the language server answers: ``python docs/make_editors.py`` prints the table of docs/editors.md.

Each request is sent over the protocol for every shipped spec, all in one opened folder: ``REPEATS`` times for each of
``PLACES`` words in it.  Diagnostics are those of a change of the text, and wait for a pause in the typing.
Beside the time to the answer stands the processor time of the server, which on a busy machine says more (Linux).
"""

from __future__ import annotations

import asyncio
import random
import re
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.lsp.client import LanguageClient

from flowrl_dsl.resources import folder, shipped_specs

PLACES, REPEATS = 8, 3
Times = dict[str, dict[str, list[tuple[float, float]]]]


class Clock:
    """A client that measures answers in milliseconds: until they arrive, and of the server's processor."""

    def __init__(self) -> None:
        self.client = LanguageClient("measurements", "1")
        self.arrived = asyncio.Event()
        self.times: Times = {}

        @self.client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def arrive(params: types.PublishDiagnosticsParams) -> None:
            self.arrived.set()

    async def start(self) -> float:
        """The time from the start of the process to the answer of ``initialize``."""
        before = time.perf_counter()
        await self.client.start_io(sys.executable, "-m", "flowrl_dsl.cli", "lsp")
        home = types.WorkspaceFolder(folder("specs").as_uri(), "specs")
        await self.client.initialize_async(types.InitializeParams(types.ClientCapabilities(), workspace_folders=[home]))
        self.client.initialized(types.InitializedParams())
        return 1000 * (time.perf_counter() - before)

    async def stop(self) -> None:
        await self.client.shutdown_async(None)
        self.client.exit(None)
        await self.client.stop()

    async def timed(self, spec: str, what: str, asked: Callable[[], Awaitable[Any]]) -> None:
        before, used = time.perf_counter(), self.processor()
        try:
            await asked()
        except Exception as error:  # a name that cannot be renamed is an answer too
            if "FRL0471" not in str(error):
                raise
        took = 1000 * (time.perf_counter() - before)
        self.times.setdefault(what, {}).setdefault(spec, []).append((took, self.processor() - used))

    def processor(self) -> float:
        """The processor time of all threads of the server so far."""
        assert self.client._server is not None
        threads = Path(f"/proc/{self.client._server.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e6

    async def check(self, uri: str, text: str, version: int) -> None:
        """Change the text and wait for its diagnostics."""
        self.arrived.clear()
        document = types.VersionedTextDocumentIdentifier(version, uri)
        change = types.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))
        await self.arrived.wait()

    async def measure(self, spec: str, path: Path) -> None:
        uri, text, client = path.as_uri(), path.read_text(encoding="utf-8"), self.client
        self.arrived.clear()
        client.text_document_did_open(types.DidOpenTextDocumentParams(types.TextDocumentItem(uri, "flowrl", 0, text)))
        await self.arrived.wait()
        document, words = types.TextDocumentIdentifier(uri), _words(text)
        for version in range(1, 1 + PLACES * REPEATS):
            await self.timed(spec, "diagnostics", lambda v=version: self.check(uri, text + "\n" * (v % 2), v))
            for what, asked in _at_place(client, document, words[version % PLACES]).items():
                await self.timed(spec, what, asked)
        for _ in range(REPEATS):
            for what, asked in _of_text(client, document, text.count("\n") + 1).items():
                await self.timed(spec, what, asked)
        client.text_document_did_close(types.DidCloseTextDocumentParams(document))


def _words(text: str) -> list[types.Position]:
    """Positions of words outside of comments and strings, drawn by chance, the same ones each time."""
    bare = re.sub(r'#[^\n]*|"[^"\n]*"', lambda found: " " * len(found[0]), text)
    starts = random.Random(0).choices([found.start() + 1 for found in re.finditer(r"[A-Za-z_]\w*", bare)], k=PLACES)
    return [types.Position(bare.count("\n", 0, at), at - bare.rfind("\n", 0, at) - 1) for at in starts]


def _at_place(client: LanguageClient, document: types.TextDocumentIdentifier, place: types.Position) -> dict[str, Any]:
    context = types.ReferenceContext(True)
    return {
        "completion": lambda: client.text_document_completion_async(types.CompletionParams(document, place)),
        "hover": lambda: client.text_document_hover_async(types.HoverParams(document, place)),
        "signature help": lambda: client.text_document_signature_help_async(types.SignatureHelpParams(document, place)),
        "definition": lambda: client.text_document_definition_async(types.DefinitionParams(document, place)),
        "references": lambda: client.text_document_references_async(types.ReferenceParams(context, document, place)),
        "rename": lambda: client.text_document_rename_async(types.RenameParams(document, place, "fresh_name")),
    }


def _of_text(client: LanguageClient, document: types.TextDocumentIdentifier, lines: int) -> dict[str, Any]:
    whole = types.Range(types.Position(0, 0), types.Position(lines, 0))
    options = types.FormattingOptions(2, True)
    actions = types.CodeActionParams(document, whole, types.CodeActionContext([]))
    tokens = types.SemanticTokensParams(document)
    return {
        "quick fixes": lambda: client.text_document_code_action_async(actions),
        "semantic tokens": lambda: client.text_document_semantic_tokens_full_async(tokens),
        "symbols": lambda: client.text_document_document_symbol_async(types.DocumentSymbolParams(document)),
        "folding": lambda: client.text_document_folding_range_async(types.FoldingRangeParams(document)),
        "formatting": lambda: client.text_document_formatting_async(types.DocumentFormattingParams(document, options)),
    }


async def main() -> None:
    clock = Clock()
    began = await clock.start()
    for spec, path in shipped_specs().items():
        await clock.measure(spec, path)
    await clock.stop()
    print(f"The server answers {began:.0f} ms after its process was started.\n")
    print("| request | processor | slowest spec | answer | slowest spec |\n|---|---|---|---|---|")
    for what, found in clock.times.items():
        cells = []
        for column in (1, 0):
            medians = {spec: statistics.median(pair[column] for pair in pairs) for spec, pairs in found.items()}
            slowest = max(medians, key=medians.__getitem__)
            cells += [f"{statistics.median(medians.values()):.0f} ms", f"{medians[slowest]:.0f} ms (`{slowest}`)"]
        print(f"| {what} | {' | '.join(cells)} |")


if __name__ == "__main__":
    asyncio.run(main())
