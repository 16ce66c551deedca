"""The command ``flowrl-dsl data``: the summary of a data set, and a picture of it."""

from __future__ import annotations

from pathlib import Path

from flowrl_dsl.datasets import Dataset, load, picture


def load_for(source: str | Path, task: str | None) -> Dataset:
    """A data set, checked against a task if one is given."""
    if task is None:
        return load(source)
    from flowrl_dsl.runtime.worlds import catalogue

    return load(source, catalogue.spaces(task))


def draw(data: Dataset, output: Path | None) -> Path:
    """Draw a data set to ``output``, or to NAME.png in the current folder, after its name; returns the file."""
    from flowrl_dsl.runtime.plot import save

    output = output or Path(f"{data.provenance.name.replace('/', '-')}.png")
    save(lambda: picture.figure(data), output)
    return output
