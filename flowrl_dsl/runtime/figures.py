"""Figures as files: one style for all of them, at the size at which a paper prints them."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowrl_dsl.runtime import files
from flowrl_dsl.runtime.errors import RunError

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, distinct for all common kinds of colour vision."""
DASHES = ("-", "--", "-.", ":")
"""What tells lines apart in black and white."""
COLUMN, PAGE = 3.3, 6.75
"""Widths in inches of a column and of the text of a page of two columns."""
FORMATS = (".png", ".pdf", ".svg")
_STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 2.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    # letters stay letters: publishers refuse the other kind in a pdf, and an svg can be searched
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
}
_DOTS = 240
"""Resolution of a png, in dots an inch."""


def check(output: Path) -> None:
    """Raise FRL0432 for a file name with the suffix of no picture."""
    if output.suffix not in FORMATS:
        raise RunError("FRL0432", f'cannot draw "{output.name}"', f"expected a name ending in {', '.join(FORMATS)}")


def save(figure: Callable[[], Any], output: Path) -> None:
    """Write the matplotlib figure that ``figure`` makes to ``output``."""
    check(output)
    buffer = io.BytesIO()
    with _no_backend():
        # matplotlib takes half a second to import; a Figure of its own needs neither a display nor pyplot's global state
        from matplotlib import rc_context
    with rc_context(_STYLE):
        figure().savefig(buffer, format=output.suffix[1:], dpi=_DOTS)
    with files.disk(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        files.replace(output, buffer.getvalue())


@contextmanager
def _no_backend() -> Iterator[None]:
    """Without the backend that notebooks name in the environment, for which matplotlib refuses to be imported elsewhere."""
    named = os.environ.pop("MPLBACKEND", None)
    try:
        yield
    finally:
        if named is not None:
            os.environ["MPLBACKEND"] = named


def short(value: float) -> str:
    """``0``, ``500``, ``15k``, ``1.5M``."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
