"""Completion scripts for shells: static texts, so that a Tab starts no Python."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from shlex import join

from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.runtime.errors import require_extra

_RUNS = "runs/*/*/*"
"""Where `train` puts run folders."""


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for a shell; raises FRL0491 without the extra ``completion``."""
    require_extra("completion", "shtab")
    import shtab

    kinds = {"SPEC": _specs(), "RUN": _runs(), "DIR": shtab.DIRECTORY, "FILE": shtab.FILE}
    for action in _actions(parser):
        if action.metavar in kinds:
            action.complete = kinds[str(action.metavar)]  # type: ignore[attr-defined]
    text: str = shtab.complete(parser, shell)
    return text


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The arguments of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)


_BASH_SPECS = """_flowrl_specs() {
  compgen -W '%s' -- "$1"
  compgen -f -X '!*.flowrl' -- "$1"
  compgen -d -- "$1"
}"""
_ZSH_SPECS = """_flowrl_specs() {
  _alternative 'specs:shipped spec:(%s)' 'files:file:_files -g "*.flowrl"'
}"""
_BASH_RUNS = """_flowrl_runs() {
  compgen -W "$(command ls -d %s 2>/dev/null)" -- "$1"
  compgen -d -- "$1"
}"""
_ZSH_RUNS = """_flowrl_runs() {
  _alternative 'runs:run:(%s(N))' 'folders:folder:_files -/'
}"""


def _specs() -> dict[str, object]:
    """Names of shipped specs, and files of specs."""
    names = join(shipped_specs())
    return {
        "bash": "_flowrl_specs",
        "zsh": "_flowrl_specs",
        "fish": f"(string split ' ' '{names}'; __fish_complete_suffix .flowrl)",
        "preamble": {"bash": _BASH_SPECS % names, "zsh": _ZSH_SPECS % names},
    }


def _runs() -> dict[str, object]:
    """Run folders below ``runs``, and other folders."""
    return {
        "bash": "_flowrl_runs",
        "zsh": "_flowrl_runs",
        "fish": f"(command ls -d {_RUNS} 2>/dev/null; __fish_complete_directories)",
        "preamble": {"bash": _BASH_RUNS % _RUNS, "zsh": _ZSH_RUNS % _RUNS},
    }
