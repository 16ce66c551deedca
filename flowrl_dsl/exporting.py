"""The command ``flowrl-dsl export``: the policy of a run for programs without this package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowrl_dsl import __version__
from flowrl_dsl.acting import newest
from flowrl_dsl.passes import PIPELINE
from flowrl_dsl.runtime.errors import require_extra

if TYPE_CHECKING:
    from flowrl_dsl.export.acting import Acting
    from flowrl_dsl.export.card import Origin

PASSES = tuple(name for name in PIPELINE if name not in ("noise", "chunk", "members"))
"""Those left out compute random numbers, or divide the work by the number of observations, which is open here."""
LIBRARIES = {"numpy": (), "stablehlo": (), "onnx": ("jax2onnx", "onnxruntime")}
"""The formats, and what each needs besides this package: the extra of its name."""


@dataclass(frozen=True)
class Exported:
    """A policy to be written, and where it comes from."""

    acting: Acting
    origin: Origin


def export(run: Path, form: str, mode: str, out: Path | None) -> list[Path]:
    """Write the policy of the newest checkpoint, its weights and its card; returns their paths.

    Raises FRL0490 if the format lacks an operation of the acting function, and FRL0491 without the format's extra.
    """
    from flowrl_dsl.export import card, safetensors
    from flowrl_dsl.runtime import files

    require_extra(form, *LIBRARIES[form])
    found = loaded(run, mode)
    about = {"algorithm": found.acting.name, "task": found.origin.task, "step": str(found.origin.step), "mode": mode}
    contents = {
        **_policy(found, form),
        "policy.safetensors": safetensors.encoded(found.acting.weights, about),
        "README.md": card.card(found.acting, found.origin, form).encode(),
    }
    folder = out if out is not None else run / "export" / form
    with files.disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            files.replace(folder / name, data)
    return [folder / name for name in contents]


def loaded(run: Path, mode: str) -> Exported:
    """The acting function of a run in a mode of its spec, ``evaluate`` or ``explore``."""
    from flowrl_dsl.export.acting import Acting
    from flowrl_dsl.export.card import Origin
    from flowrl_dsl.runtime.logs import RunFolder

    folder = RunFolder(run)
    found = newest(folder, PASSES)
    records = [one for one in folder.records() if one["kind"] == "eval" and one["step"] <= found.step]
    title, paper = found.algorithm.title or found.algorithm.name, found.algorithm.paper or ""
    place = folder.said("task"), folder.said("seed"), found.step, records[-1] if records else None
    made = folder.settings.get("versions", {}), folder.settings.get("command", ())
    origin = Origin(title, paper, *place, *made, folder.resolved().decode(), found.low, found.high)
    return Exported(Acting(found.program, found.state, found.low, found.high, mode), origin)


def _policy(found: Exported, form: str) -> dict[str, bytes]:
    """The files of the policy itself, by name."""
    if form == "onnx":
        from flowrl_dsl.export import onnx_file

        return {"policy.onnx": onnx_file.converted(found.acting)}
    place = f"on {found.origin.task}, training step {found.origin.step:_}"
    title = f"{found.origin.title} ({found.acting.name}) {place}."
    if form == "numpy":
        from flowrl_dsl.export import numpy_file

        return {"policy.py": numpy_file.written(found.acting, title, __version__).encode()}
    from flowrl_dsl.export import stablehlo

    written = stablehlo.written(found.acting, title, __version__)
    return {"policy.stablehlo": written.module, "policy.py": written.loader.encode()}
