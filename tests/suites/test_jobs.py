"""The runs of a suite and what identifies them."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.suites.jobs import chosen, digest, fingerprint, jobs_of
from tests.suites.samples import TINY, jobs, suite


def test_every_spec_and_task_comes_before_the_next_seed(tmp_path: Path) -> None:
    found = jobs(tmp_path)
    assert [job.question.seed for job in found] == [0] * 4 + [1] * 4
    assert {str(job) for job in found[:2]} == {"sac on InvertedPendulum-v5, seed 0", "sac on Pendulum-v1, seed 0"}
    one = found[0]
    assert (one.question.steps, one.question.evaluate_every, one.question.episodes) == (300, 100, 1)
    assert (one.warmup, one.updates, one.acts) == (280, 20, True)
    assert one.question.algorithm == fingerprint("sac", "InvertedPendulum-v5", one.sets)


def test_the_length_of_a_run_is_no_part_of_its_algorithm(tmp_path: Path) -> None:
    longer = TINY.replace("steps = 300", "steps = 400").replace("episodes = 1", "episodes = 2")
    one, other = jobs(tmp_path)[0], jobs(tmp_path, longer)[0]
    assert one.question.algorithm == other.question.algorithm and one.question != other.question
    assert one.folder != other.folder
    changed = jobs(tmp_path, TINY.replace("mlp([8])", "mlp([9])"))[0]
    assert changed.question.algorithm != one.question.algorithm


def test_specs_of_two_groups_are_told_apart(tmp_path: Path) -> None:
    groups = "  group plain {}\n  group large { critic { network = mlp([16]) } }\n  group one { specs = [qsm] }\n}\n"
    found = jobs(tmp_path, TINY.replace("}\n}\n", "}\n}\n").rstrip().removesuffix("}") + groups)
    assert {job.label for job in found} == {"sac (plain)", "td3 (plain)", "sac (large)", "td3 (large)", "qsm"}
    assert len(found) == 20


def test_a_part_of_a_suite(tmp_path: Path) -> None:
    found = jobs(tmp_path)
    part = chosen(found, ["td3"], ["Pendulum-v1"], [1])
    assert [str(job) for job in part] == ["td3 on Pendulum-v1, seed 1"]
    assert chosen(found, None, None, None) == found
    for wrong in ((["qsm"], None, None), (None, ["Ant-v5"], None), (None, None, [7])):
        with pytest.raises(SuiteError) as caught:
            chosen(found, *wrong)
        assert caught.value.code == "FRL0508"
    with pytest.raises(SuiteError):
        jobs_of(suite(tmp_path), "paper")


def test_a_digest_depends_neither_on_the_layout_nor_on_options_that_are_none() -> None:
    """A later version adds an option, with which a call is written over several lines."""
    short = "network = mlp(sizes = [256, 256], dropout = 0)"
    longer = "network = mlp(\n  sizes = [256, 256],\n  dropout = 0,\n  head = none,\n)"
    assert digest(short) == digest(longer) == digest(short.replace("(", "(head = none, "))
    assert len({digest(text) for text in (short, short.replace("0", "1"), longer.replace("none", "0.1"))}) == 3
