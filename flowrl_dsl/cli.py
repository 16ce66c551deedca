"""The command ``flowrl-dsl``.

Written with argparse: typer takes a tenth of a second to import, a fifth of what ``check`` may take in all, and an
editor may run ``check`` at every pause of the typist.  For the same reason each command (``flowrl_dsl/commands/``) imports
what it needs when it runs; ``check``, ``fmt`` and ``explain`` never load jax.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from flowrl_dsl import __version__, streams
from flowrl_dsl.commands import commands
from flowrl_dsl.diagnostics import Diagnostic, DiagnosticError, nearest, render_text
from flowrl_dsl.exits import INTERRUPTED, RUN_FAILURE, colored, exit_code
from flowrl_dsl.reading import read_any


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    streams.escape_unwritable()
    parsed = parser().parse_args(arguments)
    with streams.guarded_output() as output:
        code = _run(parsed)
    lost = output.error is not None and not isinstance(output.error, BrokenPipeError)
    return RUN_FAILURE if lost and not _outlives_its_screen(parsed.command) else code


class _CommandParser(argparse.ArgumentParser):
    """The parser of one command: unknown words are reported with its usage; argparse leaves them to the parser above."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            close = nearest(unknown[0].partition("=")[0], self._option_string_actions)
            hint = f"; did you mean {close}?" if close else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return parsed, unknown


def parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    top = argparse.ArgumentParser(
        prog="flowrl-dsl",
        description="A language and compiler for reinforcement learning with diffusion and flow policies.",
        epilog="SPEC is a file or the name of a shipped spec, such as qsm.",
    )
    version = f"flowrl-dsl {__version__}"
    top.add_argument("--version", action="version", version=version, help="show the version and exit")
    found = top.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True, parser_class=_CommandParser
    )
    for name, command in commands().items():
        # no abbreviated options: one that works today would break when another begins with the same letters
        added = found.add_parser(name, help=command.HELP, description=command.HELP, allow_abbrev=False)
        command.declare(added)
        if _outlives_its_screen(name):
            added.add_argument("--quiet", action="store_true", help="print errors alone")
    return top


def _outlives_its_screen(name: str) -> bool:
    """Whether the work of a command is in files; that of the others is what they print."""
    return getattr(commands()[name], "OUTLIVES_ITS_SCREEN", False)


def _run(parsed: argparse.Namespace) -> int:
    try:
        # JSON that is asked for is no report of progress
        with streams.silenced(getattr(parsed, "quiet", False) and not getattr(parsed, "json", False)):
            return commands()[parsed.command].run(parsed)
    except DiagnosticError as error:
        return _report(error, parsed)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        from flowrl_dsl.runtime.errors import out_of_memory

        found = out_of_memory(error)
        if found is None:
            raise
        return _report(found, parsed)


def _report(error: DiagnosticError, parsed: argparse.Namespace) -> int:
    # what was printed appears before the error that ended it
    sys.stdout.flush()
    print(render_text(error.diagnostics, _sources(error.diagnostics, parsed), colored(sys.stderr)), file=sys.stderr)
    return exit_code(error.diagnostics)


def _sources(diagnostics: Sequence[Diagnostic], parsed: argparse.Namespace) -> dict[str, str]:
    """The texts that diagnostics point into, as far as they can be read."""
    from flowrl_dsl.syntax.sources import MOST_BYTES

    texts = {"--set": "\n".join(getattr(parsed, "set", ()))}
    for name in {d.span.file for d in diagnostics if d.span is not None}:
        if os.path.isfile(name):
            texts[name] = read_any(name, MOST_BYTES).decode("utf-8", errors="replace")
    return texts


if __name__ == "__main__":
    sys.exit(main())
