"""Where the files of a suite are: in a folder that every machine sees, or at a URL, with copies where they are worked on."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any

from flowrl_dsl import driver
from flowrl_dsl.diagnostics import DiagnosticError
from flowrl_dsl.runtime import files
from flowrl_dsl.spec.load import self_contained
from flowrl_dsl.suites import attempts
from flowrl_dsl.suites.attempts import INTERRUPTED, JOB, LOG, OUTCOME, RUN, Outcome, outcome_of, read_outcome
from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.suites.mirror import Mirror, is_below
from flowrl_dsl.suites.remote import Remote, is_url

RUNS = "runs"
MIRRORED = "mirrored.json"
"""Beside a run folder: the version of it at its URL."""
Said = dict[str, Any]


class Home:
    """A folder ``root`` with the runs of suites, by their names."""

    def __init__(self, root: Path):
        self.root = root

    @property
    def where(self) -> str:
        """The place as the user named it."""
        return str(self.root)

    def folder(self, name: str) -> Path:
        """The folder of a run, as a path that is the same on every machine that shares it."""
        return (self.root / RUNS / name).absolute()

    def begin(self, name: str, said: Said) -> Place:
        """Write what is to be trained, forget an outcome that was no result, and return what an executor attempts."""
        write_job(self.folder(name), said)
        return self.folder(name)

    def begin_together(self, name: str, members: Mapping[str, str]) -> Place:
        """As :meth:`begin` for a population of runs that have begun, by the names of its members."""
        return self.begin(name, {"members": {key: str(self.folder(one)) for key, one in members.items()}})

    def outcome(self, name: str) -> Outcome | None:
        """How a run ended; None where it has not."""
        return read_outcome(self.folder(name))

    def run(self, name: str) -> Path:
        """The run folder of a run that has ended."""
        return self.folder(name) / RUN

    def begun(self, name: str) -> Path | None:
        """The run folder of a run that has begun, with its newest records; None where it has not."""
        return self.folder(name) / RUN if (self.folder(name) / RUN / "run.json").exists() else None


class AtUrl(Home):
    """Runs at a URL; ``root`` has copies of their records, ``scratch`` are the folders of the machines that train them."""

    def __init__(self, root: Path, url: str, scratch: str | None = None):
        super().__init__(root)
        self.url, self.remote, self.scratch = url, Remote(url).below(RUNS), scratch

    @property
    def where(self) -> str:
        return self.url

    def begin(self, name: str, said: Said) -> Place:
        """A run is described with the texts of its spec: the machine that trains it has no files of this one."""
        if "spec" in said:
            _, resolution = driver.resolve_or_raise(said["spec"], said["task"], ())
            said = said | {"texts": self_contained(resolution.sources)}
        remote = self.remote.below(name)
        remote.remove(OUTCOME)
        remote.replace(JOB, json.dumps(said, indent=1).encode())
        return Away(self.remote.url, name, self.scratch)

    def begin_together(self, name: str, members: Mapping[str, str]) -> Place:
        return self.begin(name, {"members": dict(members)})

    def outcome(self, name: str) -> Outcome | None:
        data = self.remote.below(name).read(OUTCOME)
        return None if data is None else outcome_of(data)

    def run(self, name: str) -> Path:
        self._mirror(name).copy(without="checkpoints")
        return super().run(name)

    def begun(self, name: str) -> Path | None:
        found = self._mirror(name).copy(only=("run.json", "metrics.jsonl"))
        return super().run(name) if found else None

    def _mirror(self, name: str) -> Mirror:
        folder = self.folder(name)
        return Mirror(self.remote.below(name).below(RUN), folder / RUN, folder / MIRRORED)


@dataclass(frozen=True)
class Away:
    """A run at a URL, for the machine that trains it in a folder of its own below ``scratch``."""

    url: str
    name: str
    scratch: str | None = None

    @property
    def folder(self) -> Path:
        """Its folder on this machine."""
        return self._home / self.name

    @property
    def _home(self) -> Path:
        base = Path(self.scratch or Path(tempfile.gettempdir()) / "flowrl-dsl-suites")
        return base.absolute() / hashlib.sha256(self.url.encode()).hexdigest()[:12]

    def attempt(self, stop: Event | None = None) -> Outcome:
        """Fetch what the URL holds, train to the end, and leave there what was made; see :func:`attempts.attempt`.

        The worker leaves a version of each run there after each of its checkpoints.
        """
        try:
            return self._attempt(stop)
        except DiagnosticError as error:
            first = error.diagnostics[0]
            return Outcome(first.code, first.message)

    def _attempt(self, stop: Event | None) -> Outcome:
        remote = Remote(self.url)
        said = _job_at(remote, self.name)
        members = said.get("members", {})
        names = [*members.values()] or [self.name]
        for name in names:
            mirror_of(self._home, remote, name).fetch()
            write_job(self._home / name, self._localised(name, _job_at(remote, name) if members else said))
        if members:
            write_job(self.folder, {"members": {key: str(self._home / name) for key, name in members.items()}})
        outcome = attempts.attempt(self.folder, stop)
        if outcome.status != INTERRUPTED:
            self._leave(remote, names, outcome)
        return outcome

    def _localised(self, name: str, said: Said) -> Said:
        """What to train as this machine has it: its spec written to a folder, and where its checkpoints are mirrored."""
        folder = self._home / name
        texts = said.pop("texts")
        for file, text in texts.items():
            path = folder / "spec" / file
            with files.disk(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                files.replace(path, text.encode())
        return said | {"spec": str(folder / "spec" / next(iter(texts))), "mirror": self.url, "name": name}

    def _leave(self, remote: Remote, names: Sequence[str], outcome: Outcome) -> None:
        """The last version of each run, the log, and, when these are there, the outcomes."""
        for name in {*names, self.name}:
            folder = self._home / name
            if (folder / RUN / "run.json").exists():
                mirror_of(self._home, remote, name).push()
            if (folder / LOG).exists():
                remote.below(name).replace(LOG, (folder / LOG).read_bytes())
            found = outcome if name == self.name else read_outcome(folder)
            if found is not None:
                remote.below(name).replace(OUTCOME, json.dumps(asdict(found)).encode())
                shutil.rmtree(folder, ignore_errors=True)


Place = Path | Away
"""What an executor attempts: a folder that every machine sees, or a run at a URL."""


def name_of(place: Place) -> str:
    """The name of a run or of a population, spec/task/digest-seed, wherever it is."""
    return place.name if isinstance(place, Away) else "/".join(place.parts[-3:])


def mirror_of(home: Path, remote: Remote, name: str) -> Mirror:
    """The mirror of the run folder of a run in a folder of runs."""
    return Mirror(remote.below(name).below(RUN), home / name / RUN, home / name / MIRRORED)


def write_job(folder: Path, said: Said) -> None:
    """Write what is to be trained in a folder, and forget its outcome."""
    with files.disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / OUTCOME).unlink(missing_ok=True)
        files.replace(folder / JOB, json.dumps(said, indent=1).encode())


def _job_at(remote: Remote, name: str) -> Said:
    text = remote.below(name).read(JOB)
    if text is None:
        raise SuiteError("FRL0511", f"{remote.url}/{name} has no {JOB}", "give the command that started the suite again")
    try:
        found: Said = json.loads(text)
        for path in (*found.get("texts", {}), *found.get("members", {}).values()):
            is_below(path)
    except (ValueError, TypeError, AttributeError) as error:
        raise SuiteError("FRL0511", f"{remote.url}/{name}/{JOB} is not one of a suite: {error}") from error
    return found


def home_of(out: str, base: Path, scratch: str | None = None) -> Home:
    """The home that ``--out`` names; the copies and the store of a URL are in a folder of its name below ``base``.

    Raises FRL0513 for ``scratch`` without a URL.
    """
    if not is_url(out):
        if scratch is not None:
            raise SuiteError("FRL0513", f"--scratch has no effect with --out {out}", "it is for runs at a URL")
        return Home(Path(out))
    return AtUrl(base / "at" / re.sub(r"\W+", "_", out).strip("_"), out, scratch)


def attempt(place: Place, stop: Event | None = None) -> Outcome:
    """What an executor calls for a place, on the machine that trains it: :func:`attempts.attempt` in its folder there."""
    return place.attempt(stop) if isinstance(place, Away) else attempts.attempt(place, stop)
