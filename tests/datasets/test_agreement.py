"""All readers agree on the same walk, and with a plain loop over its steps."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowrl_dsl.datasets import Dataset, load
from flowrl_dsl.datasets.writing import Episode, write
from tests.datasets.files import write_hdf5, write_npz

FIELDS = ("s", "a", "r", "d", "end", "s_next")


@st.composite
def _walks(draw: st.DrawFn) -> list[Episode]:
    """One to six episodes of one to seven steps, each ended or cut."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    sizes = draw(st.integers(1, 3)), draw(st.integers(1, 3))

    def episode(length: int, terminated: bool) -> Episode:
        s, a = rng.normal(size=(length + 1, sizes[0])), rng.uniform(-1, 1, (length, sizes[1]))
        return Episode(s.astype("f"), a.astype("f"), rng.normal(size=length).astype("f"), terminated, True)

    return [episode(*drawn) for drawn in draw(st.lists(st.tuples(st.integers(1, 7), st.booleans()), min_size=1, max_size=6))]


def _rows(walk: list[Episode]) -> dict[str, np.ndarray]:
    """The arrays of a D4RL file with next observations."""
    last = np.concatenate([np.arange(len(one)) == len(one) - 1 for one in walk])
    terminated = np.repeat([one.terminated for one in walk], [len(one) for one in walk])
    return {
        "observations": np.concatenate([one.observations[:-1] for one in walk]),
        "next_observations": np.concatenate([one.observations[1:] for one in walk]),
        "actions": np.concatenate([one.actions for one in walk]),
        "rewards": np.concatenate([one.rewards for one in walk]),
        "terminals": last & terminated,
        "timeouts": last & ~terminated,
    }


def _states(walk: list[Episode]) -> dict[str, np.ndarray]:
    """The arrays of an OGBench file with rewards and masks."""
    padded = [np.concatenate([one.actions, one.actions[-1:]]) for one in walk]
    masks = [np.append(np.ones(len(one) - 1), [1 - one.terminated, 1]) for one in walk]
    return {
        "observations": np.concatenate([one.observations for one in walk]),
        "actions": np.concatenate(padded),
        "rewards": np.concatenate([np.append(one.rewards, 9) for one in walk]),
        "masks": np.concatenate(masks),
        "terminals": np.concatenate([np.arange(len(one) + 1) == len(one) for one in walk]),
    }


def _same(one: Dataset, two: Dataset) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
    np.testing.assert_array_equal(one.episodes.returns, two.episodes.returns)
    np.testing.assert_array_equal(one.episodes.terminated, two.episodes.terminated)


QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@QUICK
@given(walk=_walks())
def test_every_format_gives_the_same_data_set(walk: list[Episode], monkeypatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("MINARI_DATASETS_PATH", folder)
        ones = np.ones(walk[0].actions.shape[1])
        write("walk-v0", walk, -ones, ones, {})
        minari = load("walk-v0")
        _same(minari, load(write_hdf5(Path(folder, "walk.hdf5"), _rows(walk))))
        _same(minari, load(write_npz(Path(folder, "walk.npz"), _states(walk))))
    assert minari.episodes.lengths.tolist() == [len(one) for one in walk]


@QUICK
@given(walk=_walks())
def test_without_next_observations_the_transitions_are_those_of_a_plain_loop(walk: list[Episode]) -> None:
    rows = _rows(walk)
    expected = []
    for t in range(len(rows["rewards"])):
        if rows["timeouts"][t]:
            # the step before it, if there is one of this episode, becomes the last
            if expected and not expected[-1]["end"]:
                expected[-1]["end"] = True
            continue
        step = {"s": rows["observations"][t], "a": rows["actions"][t], "r": rows["rewards"][t], "d": rows["terminals"][t]}
        following = t if rows["terminals"][t] else t + 1
        expected.append(step | {"end": rows["terminals"][t], "s_next": rows["observations"][following]})
    if not expected:
        return
    with tempfile.TemporaryDirectory() as folder:
        data = load(write_hdf5(Path(folder, "walk.hdf5"), rows, without=["next_observations"]))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(data, name), np.array([step[name] for step in expected]), err_msg=name)
