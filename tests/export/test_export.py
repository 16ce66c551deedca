"""``flowrl-dsl export`` as a user runs it, and its files in programs without this package."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path

import jax
import numpy as np
import pytest

import flowrl_dsl
from flowrl_dsl import cli, exporting
from flowrl_dsl.export import stablehlo
from flowrl_dsl.export.acting import Acting
from flowrl_dsl.runtime.errors import RunError
from tests.export import shipped

ROWS = 1000
TINY = ("policy.network=mlp([8])", "critic.network=mlp([8])", "train.batch=8", "train.warmup=50")
BEGINNING = """
import sys
sys.modules.update(dict.fromkeys(REFUSED))
import numpy as np
given = dict(np.load("given.npz"))
obs = given.pop("obs")
"""
"""The beginning of a program in which these libraries cannot be imported."""
OURS = {"flax", "flowrl_dsl", "gymnasium", "lark", "mujoco", "optax", "pydantic"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> flowrl_dsl.Run:
    out = tmp_path_factory.mktemp("export") / "run"
    sets = (*TINY, "policy.sampler=ddpm(steps = 3)", "observe.normalize=running")
    return flowrl_dsl.train("qsm", "Pendulum-v1", sets=sets, steps=60, evaluate_every=60, episodes=1, out=out)


def given(acting: Acting, folder: Path, rows: int = ROWS) -> dict[str, np.ndarray]:
    """Observations and noise, also in a file."""
    found = acting.random_inputs(rows)
    np.savez(folder / "given.npz", **found)
    return found


def alone(folder: Path, refused: set[str], program: str) -> np.ndarray:
    """What a program saves as ``found.npy`` that imports neither this package nor these libraries."""
    text = BEGINNING.replace("REFUSED", repr(refused)) + program + "\nnp.save('found.npy', found)\n"
    done = subprocess.run([sys.executable, "-c", text], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "found.npy")


def expected(acting: Acting, inputs: dict[str, np.ndarray]) -> np.ndarray:
    weights = [jax.numpy.asarray(weight) for weight in acting.weights.values()]
    return np.asarray(jax.jit(acting)(weights, inputs["obs"], [inputs[name] for name in acting.draws]))


@pytest.mark.parametrize(
    "form, refused, program",
    [
        ("numpy", OURS | {"jax"}, "import policy\nfound = policy.act(obs, given)"),
        ("stablehlo", OURS | {"flatbuffers"}, "import policy\nfound = np.asarray(policy.act(obs, given))"),
    ],
)
def test_a_program_without_this_package_acts_alike(
    form: str, refused: set[str], program: str, run: flowrl_dsl.Run, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    # a choice of the best sample may fall otherwise where values are nearly equal: exploration chooses none
    assert cli.main(["export", str(run.path), "--format", form, "--mode", "explore", "--out", str(tmp_path)]) == 0
    files = ("policy.stablehlo", "policy.py") if form == "stablehlo" else ("policy.py",)
    paths = [str(tmp_path / name) for name in (*files, "policy.safetensors", "README.md")]
    assert capsys.readouterr().out.splitlines() == paths
    acting = exporting.loaded(run.path, "explore").acting
    inputs = given(acting, tmp_path)
    np.testing.assert_allclose(alone(tmp_path, refused, program), expected(acting, inputs), rtol=1e-5, atol=1e-5)


def test_the_stablehlo_acts_as_the_program(tmp_path: Path) -> None:
    """For td3, whose evaluation draws nothing: one observation, many, and within a function that jax compiles."""
    acting = shipped.acting("td3", "evaluate")
    assert acting.draws == {}
    files = stablehlo.written(acting, "A policy.", "0")
    (tmp_path / "policy.stablehlo").write_bytes(files.module)
    (tmp_path / "loader.py").write_text(files.loader)
    policy = vars(types.ModuleType("policy")) | {"__file__": str(tmp_path / "loader.py")}
    exec(files.loader, policy)
    actions = shipped.by_keys("td3", "evaluate", {})[0]
    for act in (policy["act"], jax.jit(policy["act"])):
        np.testing.assert_allclose(act(shipped.S), actions, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(act(shipped.S[0]), actions[0], rtol=1e-5, atol=1e-5)
    with pytest.raises(NotImplementedError, match="no gradient"):
        jax.grad(lambda obs: policy["act"](obs).sum())(shipped.S)


def test_the_weights_are_a_file_of_safetensors(run: flowrl_dsl.Run) -> None:
    from safetensors.numpy import load_file

    (_, path, _) = exporting.export(run.path, "numpy", "explore", None)
    assert path == run.path / "export" / "numpy" / "policy.safetensors"
    acting = exporting.loaded(run.path, "explore").acting
    found = load_file(path)
    assert found.keys() == acting.weights.keys() and "normalizer.mean" in found
    for name, array in acting.weights.items():
        np.testing.assert_array_equal(found[name], array)
    data = path.read_bytes()
    about = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    assert about == {"algorithm": "qsm", "task": "Pendulum-v1", "step": "60", "mode": "explore"}


def test_the_card_names_origin_and_arrays(run: flowrl_dsl.Run) -> None:
    text = exporting.export(run.path, "stablehlo", "evaluate", None)[-1].read_text()
    record = next(one for one in run.records() if one["kind"] == "eval")
    for part in ("Pendulum-v1", f"{record['return_mean']:.1f} ±", "`(3, n, 10, 1)`", "steps = 3", "jax ", "[-2.0] to [2.0]"):
        assert part in text


def test_one_observation_and_wrong_ones(run: flowrl_dsl.Run, tmp_path: Path) -> None:
    exporting.export(run.path, "numpy", "evaluate", tmp_path)
    np.savez(tmp_path / "given.npz", obs=np.zeros(3))
    program = "import policy\nfound = policy.act(obs, generator=np.random.default_rng(0))\n"
    program += "try:\n    policy.act(obs[:2])\nexcept ValueError as error:\n    assert 'shape (2,)' in str(error)\n"
    program += "else:\n    raise AssertionError"
    assert alone(tmp_path, OURS | {"jax"}, program).shape == (1,)


@pytest.mark.parametrize("library", ["jax2onnx", "onnxruntime"])
def test_a_missing_extra_is_named(
    library: str, run: flowrl_dsl.Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("flowrl_dsl.runtime.errors.find_spec", lambda name: None if name == library else object())
    assert cli.main(["export", str(run.path), "--format", "onnx"]) == 3
    told = capsys.readouterr().err
    assert f"error[FRL0491]: {library} is not installed" in told and "pip install 'flowrl-dsl[onnx]'" in told


def test_an_operation_without_a_numpy_form_is_an_error(run: flowrl_dsl.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from flowrl_dsl.export.straight.rules import RULES

    monkeypatch.delitem(RULES, "dot_general")
    with pytest.raises(RunError, match=r"FRL0490.*dot_general"):
        exporting.export(run.path, "numpy", "evaluate", None)


def test_onnx_acts_alike(run: flowrl_dsl.Run, tmp_path: Path) -> None:
    """Normaliser, sampler and noise, by onnxruntime; the extra is too large for every test environment."""
    pytest.importorskip("jax2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    path = exporting.export(run.path, "onnx", "explore", tmp_path)[0]
    acting = exporting.loaded(run.path, "explore").acting
    inputs = given(acting, tmp_path)
    (found,) = onnxruntime.InferenceSession(path).run(None, inputs)
    np.testing.assert_allclose(found, expected(acting, inputs), rtol=1e-5, atol=1e-5)


def test_loops_that_jax2onnx_mistakes_are_written_out(tmp_path: Path) -> None:
    """Langevin steps along the gradient of an ensemble: jax2onnx takes its size for the number of observations."""
    pytest.importorskip("jax2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    from flowrl_dsl.export import onnx_file

    acting = shipped.acting("nclql", "evaluate")
    session = onnxruntime.InferenceSession(onnx_file.converted(acting))
    inputs = given(acting, tmp_path)
    np.testing.assert_allclose(session.run(None, inputs)[0], expected(acting, inputs), rtol=1e-5, atol=1e-5)
