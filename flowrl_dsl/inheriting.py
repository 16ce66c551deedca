"""A run that begins with the policy of an earlier one (``train --begin``): what is taken, and whether it fits."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowrl_dsl import runs
from flowrl_dsl.algorithm import POLICY
from flowrl_dsl.components.step_noise import PART
from flowrl_dsl.diagnostics import did_you_mean
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.spec.show import show_option

if TYPE_CHECKING:
    import numpy as np

    from flowrl_dsl.algorithm import Algorithm
    from flowrl_dsl.runtime.logs import RunFolder

_MOMENTS = "normalizer"


@dataclass(frozen=True)
class Earlier:
    """A run whose policy is taken: its folder, its algorithm, and the sizes of its observations and actions."""

    folder: RunFolder
    algorithm: Algorithm
    sizes: tuple[int, int]

    @property
    def group(self) -> str:
        """The parameters with which it acts where it is evaluated: those of a policy, or of a copy of one."""
        act: Any = self.algorithm.sections["act"]
        group: str = act.evaluate.source
        return group


def begun(prepared: runs.PreparedRun, begin: str) -> runs.PreparedRun:
    """The run with the policy of an earlier one, ``[SECTION=]RUN``: the parameters with which that acts, and its moments.

    The section, by default ``policy``, and all copies it keeps begin with them.  Raises FRL0429 for a policy that does not
    fit, FRL0412 for a run without a checkpoint.
    """
    from flowrl_dsl.runtime.arrays import npz
    from flowrl_dsl.runtime.checkpoint import Checkpoints
    from flowrl_dsl.runtime.inherited import FILE

    section, path = _parsed(begin)
    earlier, program = _earlier(path), prepared.program
    _check(section, earlier, prepared.algorithm, (program.obs_size, program.action_size))
    checkpoints = Checkpoints(path)
    loaded = checkpoints.load_state()
    if loaded is None:
        raise RunError("FRL0412", f"{path} has no usable checkpoint", *checkpoints.notices)
    step, theirs = loaded
    data = npz(_taken(section, earlier.group, prepared, theirs))
    said = {"run": str(path.absolute()), "step": step, "parameters": earlier.group, "section": section}
    said["sha256"] = hashlib.sha256(data).hexdigest()
    return replace(prepared, contents=prepared.contents | {FILE: data}, begin=said)


def _parsed(begin: str) -> tuple[str, Path]:
    """The section, and the folder of the earlier run."""
    name, equals, path = begin.partition("=")
    return (name, Path(path)) if equals and name.isidentifier() else (POLICY, Path(begin))


def _earlier(path: Path) -> Earlier:
    from flowrl_dsl.runtime.logs import RunFolder
    from flowrl_dsl.runtime.spaces import spaces_of

    folder = RunFolder(path)
    spaces = spaces_of(folder)
    return Earlier(folder, runs.resolved(folder), (spaces["observation"], len(spaces["low"])))


def _check(section: str, earlier: Earlier, algorithm: Algorithm, sizes: tuple[int, int]) -> None:
    """Raise FRL0429 for the first reason why the policy of a run cannot be the beginning of a section."""
    sections, theirs = algorithm.sections, earlier.algorithm.sections
    path, owner = earlier.folder.path, earlier.algorithm.drawn_from(earlier.group)
    policies = [name for name, one in sections.items() if getattr(one, "acts", False) and one.trains]  # type: ignore[attr-defined]
    if section not in policies:
        hint = did_you_mean(section, policies)
        raise RunError("FRL0429", f'{algorithm.name} has no policy "{section}" with parameters', hint)
    if any(getattr(one, "encodes", False) for one in (*sections.values(), *theirs.values())):
        raise RunError("FRL0429", "a policy that reads the embeddings of an encoder cannot begin another run")
    if earlier.sizes != sizes:
        found, wanted = (f"{obs} observations and {action} actions" for obs, action in (earlier.sizes, sizes))
        raise RunError("FRL0429", f"the policy of {path} has {found}, that of this task {wanted}")
    alike = [(section, option, owner) for option in ("backbone", "network", "observation")]
    for name, option, other in [*alike, ("observe", "normalize", "observe")]:
        mine, ours = show_option(sections[name], option), show_option(theirs[other], option)
        if mine != ours:
            message = f"the policy of {path} has another {option} than the {section} of {algorithm.name}"
            notes = f"{other}.{option} = {ours} there, {name}.{option} = {mine} here", f'--set "{name}.{option}={ours}"'
            raise RunError("FRL0429", message, *notes)


def _taken(section: str, group: str, prepared: runs.PreparedRun, theirs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of the new state that come from the old one, by their paths in the new one.

    Not every policy learns the noise of its sampler: the section keeps its own where the run has none.
    """
    import jax

    from flowrl_dsl.runtime import learner

    state = jax.eval_shape(lambda: prepared.program.init(0))
    kept: Any = prepared.algorithm.sections[section]
    found = {name: array for name, array in theirs.items() if name.startswith(f"['{_MOMENTS}']")}
    for path, _ in jax.tree_util.tree_flatten_with_path(state[section])[0]:
        leaf = jax.tree_util.keystr(path)
        source = f"['{group}']{leaf}"
        if source in theirs:
            found |= {f"['{into}']{leaf}": theirs[source] for into in (section, *kept.kept(section))}
        elif not leaf.startswith(f"['{PART}']"):
            raise RunError("FRL0413", "the checkpoint belongs to another program", f"it has no {source}")
    learner.replaced(state, found)
    return found
