"""How long an update takes in two checkouts of the repository, measured in turns in one run.

``python -m tests.side_by_side OTHER [SPEC ...]`` compares this checkout with the one in the folder OTHER: for each spec both
compile the update of ``bench step`` in a process of their own, which then run a sample each, alternately.  Printed is the
median over the pairs of samples of the time in OTHER divided by the time here: above 1 where this checkout is faster.
Programs whose optimised code is the same text, but for names and places, are marked: what differs between them is noise.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import IO, Any

ROOT = Path(__file__).parent.parent
TASK = "HalfCheetah-v5"
SAMPLE = 0.5
"""Seconds of one sample."""


class Worker:
    """The compiled update of a spec in another process, which runs it as often as it is asked to."""

    def __init__(self, checkout: Path, spec: str):
        command = [sys.executable, __file__, "--work", spec]
        environment = os.environ | {"PYTHONPATH": str(checkout)}
        self.process = subprocess.Popen(
            command, cwd=checkout, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.code = self._read()

    def seconds(self, updates: int) -> float:
        """The time of so many updates."""
        stdin: IO[str] = self.process.stdin  # type: ignore[assignment]
        stdin.write(f"{updates}\n")
        stdin.flush()
        return float(self._read())

    def _read(self) -> str:
        stdout: IO[str] = self.process.stdout  # type: ignore[assignment]
        line = stdout.readline().strip()
        if not line:
            raise SystemExit(f"the process of {self.process.args} has ended")
        return line

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def workers(other: Path, spec: str) -> Iterator[tuple[Worker, Worker]]:
    """One of the other checkout and one of this, compiled one after the other."""
    pair = [Worker(other, spec)]
    try:
        pair.append(Worker(ROOT, spec))
        yield pair[0], pair[1]
    finally:
        for worker in pair:
            worker.close()


def compare(other: Path, spec: str, pairs: int) -> tuple[float, bool]:
    """Time in the other checkout by time here, and whether the code is the same."""
    with workers(other, spec) as (before, now):
        count = max(1, round(SAMPLE / now.seconds(1)))
        before.seconds(1)
        ratios = []
        for turn in range(pairs):
            order = (before, now) if turn % 2 else (now, before)
            took = {worker: worker.seconds(count) for worker in order}
            ratios.append(took[before] / took[now])
        return median(ratios), before.code == now.code


def work(spec: str) -> None:
    """Compile, print a digest of the code, then for each line read run so many updates and print the seconds."""
    from flowrl_dsl import driver
    from flowrl_dsl.bench import step

    algorithm, _ = driver.resolve_or_raise(spec, TASK, ())
    program = step._program(algorithm, driver.task_sizes(TASK), None)
    state, replay = program.init(0), step.synthetic_replay(program)
    compiled, _ = step._compile(program, state, replay)
    updater = step.Updater(compiled, state, replay, program)
    updater.update(1)
    print(hashlib.sha256(_code(compiled).encode()).hexdigest(), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        updater.update(int(line))
        print(time.perf_counter() - start, flush=True)


def _code(compiled: Any) -> str:
    """The optimised program without what names its instructions and says where they come from."""
    text = re.sub(r", metadata=\{[^}]*\}|, origin=\{[^}]*\}", "", compiled.as_text())
    names: dict[str, str] = {}
    return re.sub(r"%[\w.\-]+", lambda found: names.setdefault(found[0], f"%{len(names)}"), text.partition("\n")[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", nargs="?", type=Path)
    parser.add_argument("specs", nargs="*")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--work", metavar="SPEC", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.work)
        return
    specs = asked.specs or sorted(path.stem for path in (ROOT / "specs").glob("*.flowrl"))
    for spec in specs:
        ratio, same = compare(asked.other.resolve(), spec, asked.pairs)
        print(f"{spec:20} {ratio:.3f}{'  same code' if same else ''}", flush=True)


if __name__ == "__main__":
    main()
