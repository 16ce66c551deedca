"""Arrays with which a run begins in place of those of its initialisation: the policy of an earlier run.

They are kept in the folder of the run, which thus needs the earlier one no longer, and are read where it has no checkpoint.
"""

from __future__ import annotations

import hashlib
from typing import Any

from flowrl_dsl.reading import Unreadable, read_regular
from flowrl_dsl.runtime import arrays, learner
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.logs import RunFolder

FILE = "begin.npz"
_LARGEST = 1 << 34
"""Bytes of the largest file that is read."""


def begun(folder: RunFolder, state: Any) -> Any:
    """The state before the first step; raises FRL0411 if the arrays in the folder are not those that the run began with."""
    begin = folder.settings.get("begin")
    if begin is None:
        return state
    path = folder.path / FILE
    try:
        data = read_regular(path, _LARGEST)
        if hashlib.sha256(data).hexdigest() != begin["sha256"]:
            raise Unreadable("it does not match its checksum")
        return learner.replaced(state, arrays.read_npz(data))
    except (OSError, Unreadable) as error:
        raise RunError("FRL0411", f"{path} is not one that `train` wrote: {error}") from error
