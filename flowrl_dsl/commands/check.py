"""``flowrl-dsl check FILE…``"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

from flowrl_dsl.diagnostics import Diagnostic, render_json, render_text
from flowrl_dsl.exits import colored, exit_code

HELP = "report all errors in specs"
FORMATS = {
    "text": "for a terminal",
    "json": "a list of objects",
    "sarif": "SARIF 2.1.0, for code hosts",
    "github": "workflow commands, for GitHub Actions",
}


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("files", nargs="+", metavar="FILE")
    help_text = "; ".join(f"{name}: {meaning}" for name, meaning in FORMATS.items())
    command.add_argument("--format", choices=tuple(FORMATS), default="text", help=help_text)


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.driver import check_files

    found, sources = check_files(parsed.files)
    text = _rendered(parsed.format, found, sources)
    if text:
        print(text)
    return exit_code(found)


def _rendered(form: str, found: Sequence[Diagnostic], sources: Mapping[str, str]) -> str:
    if form == "text":
        return render_text(found, sources, colored(sys.stdout))
    if form == "json":
        return render_json(found)
    from flowrl_dsl.codehosts import render_github, render_sarif

    return render_sarif(found, sources) if form == "sarif" else render_github(found)
