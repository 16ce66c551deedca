"""``flowrl-dsl report RUN…``"""

from __future__ import annotations

import argparse
from pathlib import Path

from flowrl_dsl.arguments import port
from flowrl_dsl.exits import OK, write

HELP = "write a page about runs: curves, evaluations, differences, settings, timing, versions"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    help_text = "the page (default report.html)"
    command.add_argument("-o", dest="output", type=Path, default=Path("report.html"), metavar="FILE", help=help_text)
    help_text = "write nothing; serve the page to this machine, read again every few seconds, until Ctrl-C"
    command.add_argument("--watch", action="store_true", help=help_text)
    command.add_argument("--port", type=port, default=0, metavar="N", help="port of --watch (default: any free one)")


def run(parsed: argparse.Namespace) -> int:
    if parsed.watch:
        return _watch(parsed)
    from flowrl_dsl.report.content import read
    from flowrl_dsl.report.page import page

    write(parsed.output, page(read(parsed.runs)))
    print(parsed.output)
    return OK


def _watch(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.report.serving import Server

    with Server(parsed.runs, parsed.port) as server:
        server.text()  # an error of the runs is better seen here than in the browser
        print(f"{server.address} (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("ended")
    return OK
