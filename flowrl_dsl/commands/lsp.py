"""``flowrl-dsl lsp``"""

from __future__ import annotations

import argparse

from flowrl_dsl.diagnostics import Diagnostic, DiagnosticError
from flowrl_dsl.exits import OK

HELP = "run the language server for editors on standard input and output"


def declare(command: argparse.ArgumentParser) -> None:
    # the usual way to choose the channel, which several editors add to every command
    command.add_argument("--stdio", action="store_true", help="accepted and without effect: there is no other channel")


def run(parsed: argparse.Namespace) -> int:
    try:
        from flowrl_dsl.editor.server import serve
    except ModuleNotFoundError as error:
        if error.name not in ("lsprotocol", "pygls"):
            raise
        note = "pip install 'flowrl-dsl[lsp]'"
        raise DiagnosticError([Diagnostic("FRL0470", "the language server needs pygls 2", None, (note,))]) from error
    serve()
    return OK
