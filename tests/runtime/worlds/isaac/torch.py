"""As much of PyTorch as an environment of IsaacLab shows: arrays behind calls, on no GPU."""

from __future__ import annotations

from typing import Any

import numpy as np


class Tensor:
    """An array that is read by ``detach().cpu().numpy()``, without a copy."""

    def __init__(self, array: np.ndarray):
        self.array = array

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def numpy(self) -> np.ndarray:
        return self.array

    def data_ptr(self) -> int:
        return int(self.array.ctypes.data)


class cuda:
    @staticmethod
    def is_available() -> bool:
        return False


def as_tensor(array: Any, device: str) -> Tensor:
    assert device == "cpu"
    return Tensor(np.asarray(array))
