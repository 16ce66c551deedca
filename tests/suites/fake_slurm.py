"""The commands of Slurm as far as submitit and the tests call them: jobs are processes of this machine, two at a time.

A file of each name in a folder on the path calls this one; ``FAKE_SLURM`` is the folder with a file for the state of each
job, and with the marks of jobs that are cancelled, or are to be queued again.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

COMMANDS = ("sbatch", "srun", "sacct", "scontrol", "scancel")
_OPTIONS_OF_SRUN = {"--unbuffered": 0, "--output": 1, "--error": 1}


def install(folder: Path) -> dict[str, str]:
    """Write the commands, and return the variables of an environment that finds them."""
    folder.mkdir()
    for name in COMMANDS:
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {name} "$@"\n')
        path.chmod(0o755)
    state = folder / "state"
    state.mkdir()
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "FAKE_SLURM": str(state)}


def _sbatch(state: Path, script: str) -> None:
    """Submit a script, with as many jobs as its array has, and leave them to a process of their own."""
    number = len([*state.glob("script-*")]) + 1
    text = Path(script).read_text()
    (state / f"script-{number}").write_text(text)
    array = re.search(r"--array='?0-(\d+)%", text)
    jobs = [str(number)] if array is None else [f"{number}_{k}" for k in range(int(array[1]) + 1)]
    for job in jobs:
        (state / f"job-{job}").write_text("PENDING")
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen([sys.executable, __file__, "slurmd", *jobs], start_new_session=True, **quiet)
    print(f"Submitted batch job {number}")


def _slurmd(state: Path, *jobs: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: _run(state, job), jobs))


def _run(state: Path, job: str) -> None:
    """A job to its end, and again as often as it is put back in the queue."""
    number, _, index = job.partition("_")
    names = {"JOB_ID": number, "NTASKS": "1", "JOB_NUM_NODES": "1", "NODEID": "0", "PROCID": "0", "LOCALID": "0"}
    names |= {"ARRAY_JOB_ID": number, "ARRAY_TASK_ID": index} if index else {}
    variables = os.environ | {f"SLURM_{name}": value for name, value in names.items()}
    again = True
    while again:
        (state / f"job-{job}").write_text("RUNNING")
        process = subprocess.Popen(["bash", state / f"script-{number}"], env=variables, start_new_session=True)
        (state / f"process-{job}").write_text(str(process.pid))
        code = process.wait()
        requeued, cancelled = state / f"requeued-{job}", state / f"cancelled-{job}"
        if again := requeued.exists() and not cancelled.exists():
            requeued.unlink()
    ended = "COMPLETED" if code == 0 else "FAILED"
    (state / f"job-{job}").write_text("CANCELLED by 0" if cancelled.exists() else ended)


def _srun(state: Path, *words: str) -> None:
    left = list(words)
    while left[0] in _OPTIONS_OF_SRUN:
        del left[: 1 + _OPTIONS_OF_SRUN[left[0]]]
    os.execvp(left[0], left)


def _sacct(state: Path, *words: str) -> None:
    print("JobID|State|NodeList")
    for path in sorted(state.glob("job-*")):
        print(f"{path.name.removeprefix('job-')}|{path.read_text()}|here")


def _scontrol(state: Path, verb: str, job: str) -> None:
    assert verb == "requeue"
    (state / f"requeued-{job}").touch()


def _scancel(state: Path, *jobs: str) -> None:
    """End jobs as Slurm does: SIGTERM to all of their processes."""
    for job in jobs:
        (state / f"cancelled-{job}").touch()
        signal_all(state, job, "TERM")


def signal_all(state: Path, job: str, name: str) -> None:
    """A signal to every process of a job but its script, wherever their sessions are."""
    found = state / f"process-{job}"
    first = found.read_text() if found.exists() else "0"
    parents = dict(_parents())
    for process in parents:
        above = process
        while above in parents and above != first:
            above = parents[above]
        if above == first != process:
            subprocess.run(["kill", "-s", name, process], check=False, stderr=subprocess.DEVNULL)


def _parents() -> list[tuple[str, str]]:
    """Each process of this machine with its parent."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return [(pid, parent) for pid, parent in (line.split() for line in listed.splitlines())]


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    globals()[f"_{command}"](Path(os.environ["FAKE_SLURM"]), *arguments)
