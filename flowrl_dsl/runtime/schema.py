"""The JSON files of a run as types: what they contain, and the largest counts and lengths that are accepted.

A run folder may come from elsewhere.  It is data: names in it name files inside of it, and nothing in it is executed.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from flowrl_dsl.reading import Unreadable, read_regular
from flowrl_dsl.runtime.settings import MOST_COPIES, MOST_STEPS

MOST_BYTES = 16 << 20
"""Length of the longest JSON file that is read."""
MOST_MEMBERS = 1 << 16
_MOST_DIGITS = 2**63


def _is_file_name(name: str) -> str:
    if not name or name in (".", "..") or re.search(r"[/\0]", name):
        raise ValueError("not the name of a file in the folder")
    return name


def _has_no_name_twice(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("a name is there twice")
    return names


Count = Annotated[int, Field(ge=0, lt=MOST_STEPS)]
Positive = Annotated[int, Field(ge=1, lt=MOST_STEPS)]
Copies = Annotated[int, Field(ge=1, le=MOST_COPIES)]
Name = Annotated[str, AfterValidator(_is_file_name)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Given(_Part):
    """The settings that an option of ``train`` replaced."""

    steps: Positive | None = None
    envs: Copies | None = None
    evaluate_every: Positive | None = None
    episodes: Copies | None = None
    checkpoint_every: Positive | None = None
    log_every: Positive | None = None
    warmup: Count | None = None
    replay: Positive | None = None
    updates: Positive | None = None
    action_repeat: Positive | None = None
    devices: Positive | None = None


class DataJson(_Part):
    """The data set that the run learns from."""

    source: str
    name: str
    rows: Positive
    sha256: Digest


class BeginJson(_Part):
    """The policy with which the run began: the parameters of a run at a step, for a section; the digest of the arrays."""

    run: str
    step: Count
    parameters: str
    section: str
    sha256: Digest


class Spaces(_Part):
    """The size of an observation of the task, and the bounds of its actions.

    Where sections read entries of it: their names and sizes in order, and the names of the usual ones.
    """

    observation: Positive
    low: list[float]
    high: list[float]
    entries: dict[str, Positive] | None = None
    usual: list[str] | None = None


class Extension(_Part):
    """One ``resume --steps``: the number of steps before and after it, and the step it was resumed from."""

    before: Positive
    after: Positive
    at: Count


class RunJson(_Part):
    """``run.json``.  Entries that no command reads are not checked; an older version may lack others."""

    model_config = ConfigDict(extra="allow")

    spec: str = ""
    main: Name = ""
    task: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    sets: list[str] = []
    given: Given = Given()
    settings: dict[str, Any] = {}
    wandb: str | None = None
    created: str = ""
    device: str = ""
    versions: dict[str, str] = {}
    extended: list[Extension] = []
    data: DataJson | None = None
    begin: BeginJson | None = None
    spaces: Spaces | None = None


class PopulationJson(_Part):
    """``population.json``."""

    members: Annotated[list[Name], Field(min_length=1, max_length=MOST_MEMBERS), AfterValidator(_has_no_name_twice)]


class Record(BaseModel):
    """One line of ``metrics.jsonl``; a value that was not finite is null."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, Annotated[int, Field(ge=-_MOST_DIGITS, lt=_MOST_DIGITS)] | float | None]

    kind: str
    step: Count


class Timing(_Part):
    """One line of ``timing.jsonl``: the clock in seconds, and the updates a second since the line before."""

    step: Count
    updates_per_second: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    time: Annotated[float, Field(allow_inf_nan=False)]


class Segment(_Part):
    """Replay rows ``start`` to ``stop`` (exclusive, counted since the start of the run) in one file."""

    name: Annotated[str, Field(pattern=r"^rows-\d+-\d+\.npy$")]
    start: Count
    stop: Count
    digest: Digest


class Digests(_Part):
    """The SHA-256 of each file of a checkpoint but the manifest."""

    state: Annotated[Digest, Field(alias="state.npz")]
    arrays: Annotated[Digest, Field(alias="rest.npz")]
    rest: Annotated[Digest, Field(alias="rest.json")]


class Manifest(_Part):
    """``manifest.json`` of a checkpoint: ``kept`` of the ``total`` rows ever added are in the segments, oldest first."""

    format: int
    step: Count
    total: Count
    kept: Count
    files: Digests
    segments: list[Segment]

    def inconsistency(self) -> str:
        """Why no run can have written this manifest, or an empty text."""
        ends = [segment.stop for segment in self.segments]
        starts = [segment.start for segment in self.segments]
        if any(start >= stop for start, stop in zip(starts, ends, strict=True)) or starts[1:] != ends[:-1]:
            return "its segments do not follow one another"
        first, last = (starts[0], ends[-1]) if ends else (self.total, self.total)
        if last != self.total or first > self.total - self.kept:
            return f"its segments are not the newest {self.kept} of {self.total} rows"
        return ""


class Means(_Part):
    """The sums [2, metrics] of :class:`flowrl_dsl.runtime.learner.Means`."""

    names: list[str]
    sums: np.ndarray | None


class HeldChunks(_Part):
    """The snapshot of :class:`flowrl_dsl.runtime.chunks.Chunks`."""

    actions: np.ndarray
    left: np.ndarray


class Rest(_Part):
    """What a checkpoint contains beside the learner's state and the replay."""

    settings: dict[str, Any]
    iteration: Count
    updates: Count
    finished: list[tuple[float, int]]
    latest_return: float | None
    means: Means
    environments: dict[str, Any]
    chunks: HeldChunks | None = None
    metrics_offset: Count


class Reproduction(BaseModel):
    """``report.json`` of an update that was not finite."""

    model_config = ConfigDict(strict=True)

    update: Count
    hyper: dict[str, float]


M = TypeVar("M")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def read_json(path: Path, kind: type[M], limit: int = MOST_BYTES) -> M:
    """The contents of a JSON file; raises ``OSError``, and :class:`Unreadable` for contents of another kind."""
    return parse_json(read_regular(path, limit), kind)


def parse_json(data: bytes, kind: type[M]) -> M:
    """A value of this kind; raises :class:`Unreadable` for other text, also for text nested too deep."""
    try:
        return _adapter(cast(Any, kind)).validate_json(data)
    except ValidationError as error:
        raise Unreadable(_reason(error)) from error


def checked(value: Any, kind: type[M]) -> M:
    """``value`` as this kind; raises :class:`Unreadable` if it is none."""
    try:
        return _adapter(cast(Any, kind)).validate_python(value)
    except ValidationError as error:
        raise Unreadable(_reason(error)) from error


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    text = " ".join(first["msg"].split())[:200]
    return f"{place}: {text}" if place else text
