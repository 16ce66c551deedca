"""Progress of a run: a bar in a terminal, one changing line in a notebook, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, NamedTuple, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

_PLAIN_SECONDS = 5.0


class Speed(NamedTuple):
    """What is done in a second: updates, and frames of all environments, 0 where none is stepped."""

    updates: float
    frames: float = 0.0

    def __str__(self) -> str:
        learned = f"{self.updates:.0f} updates/s"
        return f"{self.frames:.0f} frames/s  {learned}" if self.frames else learned


class Display(Protocol):
    """Shows the progress of a run; used as a context manager."""

    def __enter__(self) -> Display: ...

    def __exit__(self, *_: object) -> None: ...

    def advance(self, step: int) -> None:
        """Called often, so it must be cheap."""
        ...

    def show(self, step: int, episode_return: float | None, speed: Speed) -> None: ...

    def enter(self, phase: str, begins: int | None = None) -> None:
        """The phase of the steps that follow, empty in a run without phases; ``begins``: its first update, if next."""
        ...

    def say(self, text: str) -> None: ...


def display(name: str, steps: int) -> Display:
    """A bar when standard output is a terminal (rich honours NO_COLOR), a line in a notebook, else lines."""
    if in_notebook():
        return Notebook(name, steps)
    console = Console(highlight=False)
    return Bar(console, name, steps) if console.is_terminal else Lines(steps)


def in_notebook() -> bool:
    """Whether a kernel of Jupyter runs this process."""
    shell: Any = sys.modules.get("IPython")
    return shell is not None and getattr(shell.get_ipython(), "kernel", None) is not None


class Lines:
    """At most a line every few seconds, so that a log file stays readable."""

    def __init__(self, steps: int):
        self._pace = Pace(steps)
        self._steps = steps
        self._phase = ""
        self._shown = time.monotonic()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def advance(self, step: int) -> None:
        """Single steps are not printed."""

    def show(self, step: int, episode_return: float | None, speed: Speed) -> None:
        now, left = time.monotonic(), self._pace.left(step)
        if now - self._shown < _PLAIN_SECONDS:
            return
        self._shown = now
        shown = shown_return(episode_return)
        self.say(f"{self._phase}step {step}/{self._steps}  return {shown}  {speed}  {left} left")

    def enter(self, phase: str, begins: int | None = None) -> None:
        self._phase = f"{phase}: " if phase else ""
        if begins is not None:
            self.say(f"phase {phase} begins at update {begins}")

    def say(self, text: str) -> None:
        print(text, flush=True)


class Notebook(Lines):
    """One line below the cell, which changes; messages are printed above it."""

    def __init__(self, name: str, steps: int):
        from IPython.display import display

        super().__init__(steps)
        self._name = name
        self._line = display(_Text(f"{name}  step 0/{steps}"), display_id=True)

    def show(self, step: int, episode_return: float | None, speed: Speed) -> None:
        rest = f"return {shown_return(episode_return)}  {speed}  {self._pace.left(step)} left"
        self._line.update(_Text(f"{self._name}  {self._phase}step {step}/{self._steps}  {rest}"))


class _Text(str):
    """A text that notebooks show without quotation marks."""

    def __repr__(self) -> str:
        return str(self)


class Bar:
    """One line at the bottom; messages scroll above it."""

    def __init__(self, console: Console, name: str, steps: int):
        self._pace, self._name = Pace(steps), name
        columns = "return {task.fields[shown]}", "{task.fields[speed]}", "{task.fields[left]} left"
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            *map(TextColumn, columns),
            console=console,
            # each refresh takes time from the stepping of environments
            refresh_per_second=4,
        )
        self._bar = self._progress.add_task(name, total=steps, shown="-", speed=Speed(0.0), left="-")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def advance(self, step: int) -> None:
        self._progress.update(self._bar, completed=step)

    def show(self, step: int, episode_return: float | None, speed: Speed) -> None:
        shown, left = shown_return(episode_return), self._pace.left(step)
        self._progress.update(self._bar, completed=step, shown=shown, speed=speed, left=left)

    def enter(self, phase: str, begins: int | None = None) -> None:
        self._progress.update(self._bar, description=f"{self._name}, {phase}" if phase else self._name)
        if begins is not None:
            self.say(f"phase {phase} begins at update {begins}")

    def say(self, text: str) -> None:
        # no markup: the text may contain square brackets
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


def shown_return(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


class Pace:
    """The remaining time, estimated from the speed since the first report."""

    def __init__(self, steps: int):
        self._steps = steps
        self._first: tuple[int, float] | None = None

    def left(self, step: int) -> str:
        """``1h05m``, ``3m20s`` or ``12s``; ``-`` at the first report, before which programs were compiled."""
        now = time.monotonic()
        if self._first is None:
            self._first = step, now
        done, seconds = step - self._first[0], now - self._first[1]
        if done <= 0:
            return "-"
        rest = round(seconds / done * (self._steps - step))
        if rest >= 3600:
            return f"{rest // 3600}h{rest % 3600 // 60:02d}m"
        return f"{rest // 60}m{rest % 60:02d}s" if rest >= 60 else f"{rest}s"
