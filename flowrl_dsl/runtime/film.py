"""Moving pictures as files: mp4 by the encoder of imageio-ffmpeg, or gif without it."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from flowrl_dsl.runtime import files
from flowrl_dsl.runtime.errors import RunError

SUFFIXES = (".mp4", ".gif")
_BLOCK = 16
"""Width and height of an mp4 are multiples of the blocks of its encoder."""
_FASTEST_GIF = 50.0
"""Frames per second: a gif counts hundredths of a second, and browsers slow down what has less than two of them."""

_OF_PALETTE = 16
"""Frames that the colours of a gif are chosen from."""


def usual_suffix() -> str:
    """The better of the formats that this installation can write."""
    return ".mp4" if find_spec("imageio_ffmpeg") is not None else ".gif"


def check(output: Path) -> None:
    """Raise FRL0432 for a file of another kind, and FRL0480 for an mp4 without its encoder."""
    if output.suffix not in SUFFIXES:
        raise RunError("FRL0432", f'cannot film to "{output.name}"', f"expected a name ending in {', '.join(SUFFIXES)}")
    if output.suffix == ".mp4" and find_spec("imageio_ffmpeg") is None:
        hint = "a name that ends in .gif needs nothing"
        raise RunError("FRL0480", "an mp4 needs the extra: pip install 'flowrl-dsl[video]'", hint)


def write(output: Path, frames: Iterable[np.ndarray], rate: float) -> None:
    """Write frames [H, W, 3] of 8 bits, ``rate`` of them a second, by the suffix of ``output``."""
    check(output)
    with files.disk(output):
        output.parent.mkdir(parents=True, exist_ok=True)
    (_write_mp4 if output.suffix == ".mp4" else _write_gif)(output, frames, rate)


def _write_mp4(output: Path, frames: Iterable[np.ndarray], rate: float) -> None:
    draft = output.with_name(f"{files.DRAFT}{output.name}")
    with files.disk(output):
        draft.touch()  # the encoder's own message would not name the reason
    try:
        _encode(draft, map(_cropped, frames), rate)
        with files.disk(output):
            os.replace(draft, output)
    finally:
        draft.unlink(missing_ok=True)


def _encode(path: Path, frames: Iterable[np.ndarray], rate: float) -> None:
    import imageio_ffmpeg

    options = {"quality": 7, "macro_block_size": _BLOCK, "ffmpeg_log_level": "quiet"}
    encoder: Any = None
    try:
        for frame in frames:
            if encoder is None:
                encoder = imageio_ffmpeg.write_frames(str(path), (frame.shape[1], frame.shape[0]), fps=rate, **options)
                with warnings.catch_warnings():
                    # the encoder is a process, and JAX warns of forks; this one runs another program at once
                    warnings.simplefilter("ignore", RuntimeWarning)
                    encoder.send(None)
            encoder.send(np.ascontiguousarray(frame))
    except OSError as error:
        raise RunError("FRL0410", f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if encoder is not None:
            encoder.close()


def _cropped(frame: np.ndarray) -> np.ndarray:
    """The largest part whose sides are multiples of a block; the encoder would stretch the picture instead."""
    height, width = frame.shape[0] // _BLOCK * _BLOCK, frame.shape[1] // _BLOCK * _BLOCK
    top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
    return frame[top : top + height, left : left + width]


def _write_gif(output: Path, frames: Iterable[np.ndarray], rate: float) -> None:
    from PIL import Image

    every = max(1, round(rate / _FASTEST_GIF + 0.49))
    images = [Image.fromarray(frame) for k, frame in enumerate(frames) if k % every == 0]
    # one palette for all frames: with one for each, surfaces of one colour flicker
    sample = [image.resize((64, 64)) for image in images[:: -(-len(images) // _OF_PALETTE)]]
    palette = Image.fromarray(np.concatenate([np.asarray(image) for image in sample])).quantize(255)
    images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    buffer, duration = io.BytesIO(), round(1000 * every / rate)
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=duration, loop=0)
    with files.disk(output):
        files.replace(output, buffer.getvalue())
