"""``flowrl-dsl fmt FILE…``"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flowrl_dsl.diagnostics import render_text
from flowrl_dsl.exits import OK, SPEC_ERROR, colored, write

HELP = "rewrite specs in the standard layout"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("files", nargs="+", metavar="FILE")
    command.add_argument("--check", action="store_true", help="change no file; exit with 1 if a file would change")


def run(parsed: argparse.Namespace) -> int:
    code = OK
    for path in map(Path, parsed.files):
        code = max(code, _format(path, parsed.check))
    return code


def _format(path: Path, only_check: bool) -> int:
    from flowrl_dsl.syntax.formatter import format_file
    from flowrl_dsl.syntax.parser import parse
    from flowrl_dsl.syntax.sources import read_source

    text, found = read_source(path)
    tree, found = parse(text, str(path)) if text is not None else (None, found)
    if tree is None:
        sources = {} if text is None else {str(path): text}
        print(render_text(found, sources, colored(sys.stderr)), file=sys.stderr)
        return SPEC_ERROR
    formatted = format_file(tree)
    if formatted == text:
        return OK
    print(f"{'would change' if only_check else 'changed'} {path}")
    if only_check:
        return SPEC_ERROR
    write(path, formatted)
    return OK
