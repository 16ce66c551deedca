"""The command ``flowrl-dsl``.

Written with argparse: typer takes a tenth of a second to import, a fifth of what ``check`` may take in all, and an
editor may run ``check`` at every pause of the typist.  For the same reason each command imports what it needs itself;
``check``, ``fmt`` and ``explain`` never load jax.

Exit codes: 0, 1 spec error, 2 usage, 3 run failure, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from flowrl_dsl import streams
from flowrl_dsl.arguments import REPLACED, parser
from flowrl_dsl.diagnostics import Diagnostic, DiagnosticError, render_json, render_text
from flowrl_dsl.reading import read_any

OK, SPEC_ERROR, USAGE, RUN_FAILURE, INTERRUPTED = 0, 1, 2, 3, 130
OUTLIVE_THEIR_SCREEN = ("train", "resume")
"""Commands whose work is in files; that of the others is what they print."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    streams.escape_unwritable()
    parsed = parser().parse_args(arguments)
    with streams.guarded_output() as output:
        code = _run(parsed)
    lost = output.error is not None and not isinstance(output.error, BrokenPipeError)
    return RUN_FAILURE if lost and parsed.command not in OUTLIVE_THEIR_SCREEN else code


def _run(parsed: argparse.Namespace) -> int:
    try:
        return _COMMANDS[parsed.command](parsed)
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
    print(render_text(error.diagnostics, _sources(error.diagnostics, parsed), _color(sys.stderr)), file=sys.stderr)
    return exit_code(error.diagnostics)


def exit_code(diagnostics: Sequence[Diagnostic]) -> int:
    """3 when a run failed (FRL04xx), 1 when a spec is wrong, 0 when there are only warnings."""
    errors = [d for d in diagnostics if d.severity == "error"]
    if not errors:
        return OK
    return RUN_FAILURE if all(d.code.startswith("FRL04") for d in errors) else SPEC_ERROR


def _check(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.driver import check_files

    found, sources = check_files(parsed.files)
    if parsed.format == "json":
        print(render_json(found))
    elif found:
        print(render_text(found, sources, _color(sys.stdout)))
    return exit_code(found)


def _fmt(parsed: argparse.Namespace) -> int:
    code = OK
    for path in map(Path, parsed.files):
        code = max(code, _fmt_one(path, parsed.check))
    return code


def _fmt_one(path: Path, only_check: bool) -> int:
    from flowrl_dsl.syntax.formatter import format_file
    from flowrl_dsl.syntax.parser import parse
    from flowrl_dsl.syntax.sources import read_source

    text, found = read_source(path)
    tree, found = parse(text, str(path)) if text is not None else (None, found)
    if tree is None:
        sources = {} if text is None else {str(path): text}
        print(render_text(found, sources, _color(sys.stderr)), file=sys.stderr)
        return SPEC_ERROR
    formatted = format_file(tree)
    if formatted == text:
        return OK
    print(f"{'would change' if only_check else 'changed'} {path}")
    if only_check:
        return SPEC_ERROR
    _write(path, formatted)
    return OK


def _explain(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.codes import CODES, explain
    from flowrl_dsl.diagnostics import did_you_mean

    text = explain(parsed.code)
    if text is None:
        hint = did_you_mean(parsed.code.upper(), CODES)
        hint = hint if hint.startswith("did") else "codes look like FRL0212"
        print(f'there is no code "{parsed.code}"; {hint}', file=sys.stderr)
        return USAGE
    print(text)
    return OK


def _list(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.catalogue import listing

    return _unless_misused(lambda: print(listing(parsed.what)))


def _diff(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.catalogue import difference

    print(difference(parsed.left, parsed.right, parsed.task, parsed.set))
    return OK


def _new(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.catalogue import new

    path = parsed.output or Path(f"{parsed.name}.flowrl")
    code = _unless_misused(lambda: new(parsed.name, parsed.base, path))
    if code == OK:
        print(path)
    return code


def _unless_misused(work: Callable[[], None]) -> int:
    try:
        work()
    except ValueError as error:
        print(error, file=sys.stderr)
        return USAGE
    return OK


def _compile(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.driver import compile_report

    text = compile_report(parsed.spec, parsed.emit, parsed.task, parsed.set, parsed.passes)
    if parsed.output is None:
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        _write(parsed.output, text)
    return OK


def _train(parsed: argparse.Namespace) -> int:
    from flowrl_dsl import runs

    replaced = {name: getattr(parsed, name) for name in REPLACED}
    sets = tuple(parsed.set)
    task = parsed.task
    if parsed.env:
        from flowrl_dsl.runtime.worlds.arguments import named

        task = named(task, parsed.env)
    given = (parsed.spec, task, parsed.seed, sets, replaced, parsed.out, parsed.wandb, parsed.data)
    arguments = runs.TrainArguments(*given)
    if parsed.seeds is None and not parsed.sweep:
        return _interruptible(lambda: runs.train(arguments))
    from flowrl_dsl import populations

    return _unless_misused(lambda: populations.check(arguments, parsed.seeds or 1, parsed.sweep)) or _interruptible(
        lambda: populations.train(arguments, parsed.seeds or 1, parsed.sweep)
    )


def _resume(parsed: argparse.Namespace) -> int:
    from flowrl_dsl import populations, resuming
    from flowrl_dsl.runtime.errors import RunError
    from flowrl_dsl.runtime.logs import is_population

    room = populations if is_population(parsed.run) else resuming
    try:
        return _interruptible(lambda: room.resume(parsed.run, parsed.steps, parsed.restart))
    except RunError as error:
        if error.code != "FRL0425" or not _agreed(f"{error.diagnostics[0].message}; begin it again?"):
            raise
        return _interruptible(lambda: room.resume(parsed.run, parsed.steps, True))


def _agreed(question: str) -> bool:
    """Whether the user, if there is one, answers yes."""
    return sys.stdin.isatty() and input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _interruptible(work) -> int:
    from flowrl_dsl.runtime.errors import Interrupted

    try:
        work()
    except Interrupted:
        return INTERRUPTED
    return OK


def _eval(parsed: argparse.Namespace) -> int:
    from flowrl_dsl import runs

    runs.evaluate(parsed.runs, parsed.episodes)
    return OK


def _plot(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.runtime.logs import expanded
    from flowrl_dsl.runtime.plot import plot

    plot(expanded(parsed.runs), parsed.output)
    print(parsed.output)
    return OK


def _diagnose(parsed: argparse.Namespace) -> int:
    from flowrl_dsl import runs

    found = runs.diagnose(parsed.run)
    if found is None:
        print("every value of the update is finite now")
        return OK
    raise DiagnosticError([found])


def _data(parsed: argparse.Namespace) -> int:
    import json

    from flowrl_dsl import data
    from flowrl_dsl.datasets import summary

    loaded = data.load_for(parsed.source, parsed.task)
    found = summary.summarize(loaded)
    print(summary.text(found))
    if parsed.json is not None:
        _write(parsed.json, json.dumps(found.as_json(), indent=1) + "\n")
    print(f"picture: {data.draw(loaded, parsed.plot)}")
    return OK


def _collect(parsed: argparse.Namespace) -> int:
    from flowrl_dsl import collecting

    names = ("runs", "steps", "seed", "envs", "noise", "replay")
    arguments = collecting.CollectArguments(name=parsed.out, **{name: getattr(parsed, name) for name in names})
    code = _unless_misused(lambda: collecting.check(arguments))
    if code == OK:
        collecting.collect(arguments)
    return code


def _bench(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.bench import report
    from flowrl_dsl.bench.kind import Asked

    if parsed.json is not None:
        report.claim(parsed.json)
    specs, sets = tuple(getattr(parsed, "specs", ())), tuple(getattr(parsed, "set", ()))
    found = report.collect(Asked(parsed.kind, specs, parsed.task, sets, parsed.repeat))
    print(report.text(found))
    if parsed.json is not None:
        _write(parsed.json, report.as_json(found))
    if found.interrupted:
        return INTERRUPTED
    return SPEC_ERROR if found.failed else OK


def _write(path: Path, text: str) -> None:
    from flowrl_dsl.runtime import files

    # the file behind a link is changed, not the link; and it keeps its permissions
    target = path.resolve()
    with files.disk(path):
        mode = target.stat().st_mode if target.exists() else None
        files.replace(target, text.encode())
        if mode is not None:
            target.chmod(mode)


def _color(stream) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _sources(diagnostics: Sequence[Diagnostic], parsed: argparse.Namespace) -> dict[str, str]:
    """The texts that diagnostics point into, as far as they can be read."""
    from flowrl_dsl.syntax.sources import MOST_BYTES

    texts = {"--set": "\n".join(getattr(parsed, "set", ()))}
    for name in {d.span.file for d in diagnostics if d.span is not None}:
        if os.path.isfile(name):
            texts[name] = read_any(name, MOST_BYTES).decode("utf-8", errors="replace")
    return texts


_COMMANDS = {
    "check": _check,
    "fmt": _fmt,
    "explain": _explain,
    "list": _list,
    "diff": _diff,
    "new": _new,
    "compile": _compile,
    "train": _train,
    "resume": _resume,
    "eval": _eval,
    "plot": _plot,
    "diagnose": _diagnose,
    "bench": _bench,
    "data": _data,
    "collect": _collect,
}

if __name__ == "__main__":
    sys.exit(main())
