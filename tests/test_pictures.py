"""Pictures of runs: films, looks at a policy, and what the commands answer where one cannot be made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import gymnasium
import numpy as np
import pytest

import flowrl_dsl
from flowrl_dsl import cli, looking
from flowrl_dsl.acting import Acting
from flowrl_dsl.runtime import film, logs, renderer
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.worlds import catalogue
from flowrl_dsl.runtime.worlds.base import WorldKind

SMALL = ("policy.network=mlp([8])", "critic.network=mlp([8])", "train.batch=8", "train.warmup=30", "act.evaluate=sample")
LENGTH = 6


class Painted(gymnasium.Env):
    """A point in the plane whose picture has the number of the step as its colour."""

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Box(-2, 2, (2,))

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.place = 0, self.np_random.uniform(-1, 1, 2).astype("f")
        return self.place, {}

    def step(self, action):
        self.time += 1
        return self.place, float(action[0]), self.time == LENGTH, False, {}

    def render(self):
        return np.full((40, 56, 3), 20 * self.time, np.uint8) if self.render_mode == "rgb_array" else None


class Unseen(WorldKind):
    name = "unseen"

    def make(self, task, seeds, action_repeat):
        raise AssertionError("a task without pictures is refused before it is made")


class Blind(Painted):
    metadata: ClassVar = {"render_modes": ["human"]}


class Unpainted(Painted):
    def render(self):
        raise gymnasium.error.DependencyNotInstalled("pygame is not installed")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run, without an update, of a task with pictures."""
    if "Painted-v0" not in gymnasium.registry:
        gymnasium.register("Painted-v0", Painted)
        gymnasium.register("Blind-v0", Blind)
        gymnasium.register("Unpainted-v0", Unpainted)
    out = tmp_path_factory.mktemp("pictures") / "run"
    sets = (*SMALL, "policy.sampler.steps=4")
    flowrl_dsl.train("qsm", "Painted-v0", sets=sets, steps=20, evaluate_every=20, episodes=1, out=out)
    return out


def _flowrl(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = cli.main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


# films


def test_a_film_shows_the_episodes_of_evaluations(run: Path, tmp_path: Path, capsys) -> None:
    from PIL import Image

    output = tmp_path / "new" / "film.gif"
    code, out, _ = _flowrl(capsys, "video", run, "--episodes", "2", "--seed", "1", "-o", output)
    assert code == 0 and out.splitlines()[-1] == str(output)
    assert [line.split(":")[0] for line in out.splitlines()[:-1]] == [
        f"episode {k} by the checkpoint of step 20" for k in (1, 2)
    ]
    with Image.open(output) as picture:
        assert picture.size == (56, 40) and picture.n_frames == 2 * LENGTH and picture.info["duration"] == 100
        shades = []
        for k in range(picture.n_frames):
            picture.seek(k)
            shades.append(picture.convert("RGB").getpixel((5, 5))[0])
    assert shades == [20 * k for k in range(LENGTH)] * 2


def test_the_length_of_a_film_can_be_bounded(run: Path, tmp_path: Path, capsys) -> None:
    code, out, _ = _flowrl(capsys, "video", run, "--steps", "3", "-o", tmp_path / "f.gif")
    assert code == 0 and "in 3 steps" in out


def test_an_mp4_needs_its_extra(run: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(film, "find_spec", lambda name: None)
    code, _, err = _flowrl(capsys, "video", run, "-o", tmp_path / "f.mp4")
    assert code == 3 and "FRL0480" in err and "pip install 'flowrl-dsl[video]'" in err
    assert film.usual_suffix() == ".gif" and not list(tmp_path.iterdir())
    assert _flowrl(capsys, "video", run, "-o", tmp_path / "f.avi")[0] == 3


def test_an_mp4_has_whole_blocks(tmp_path: Path) -> None:
    encoder = pytest.importorskip("imageio_ffmpeg", reason="the extra `video` is not installed")
    frames = (np.full((40, 56, 3), shade, np.uint8) for shade in (0, 100, 200))
    film.write(tmp_path / "f.mp4", frames, 10.0)
    assert next(encoder.read_frames(str(tmp_path / "f.mp4")))["size"] == (48, 32)
    assert [path.name for path in tmp_path.iterdir()] == ["f.mp4"]


def test_a_task_without_pictures_is_an_error(run: Path) -> None:
    with pytest.raises(RunError, match="FRL0482") as caught:
        catalogue.film("Blind-v0", 0, 1, (64, 64))
    assert "['human']" in caught.value.diagnostics[0].notes[0]
    with pytest.raises(RunError, match="FRL0482"):
        Unseen().film("unseen/one", 0, 1, (64, 64), {})


def test_a_task_that_draws_with_a_missing_package_names_the_extra(run: Path) -> None:
    filmed = catalogue.film("Unpainted-v0", 0, 1, (64, 64))
    filmed.world.reset()
    with pytest.raises(RunError, match=r"FRL0480.*pygame is not installed") as caught:
        filmed.frame()
    assert "pip install 'flowrl-dsl[video]'" in caught.value.diagnostics[0].notes[0]


@pytest.mark.parametrize(("given", "tried"), [({}, "egl"), ({"MUJOCO_GL": "glfw"}, "glfw")])
def test_no_renderer_is_an_error(monkeypatch, given: dict[str, str], tried: str) -> None:
    """The reason of each that was tried is in the message."""
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(renderer, "_TRIAL", "raise SystemExit('nothing here')")
    with pytest.raises(RunError, match="FRL0481") as caught:
        renderer.choose()
    assert f"{tried}: nothing here" in caught.value.diagnostics[0].notes


def test_the_first_renderer_that_draws_is_chosen(monkeypatch) -> None:
    monkeypatch.setattr(renderer.sys, "platform", "linux")
    monkeypatch.setenv("MUJOCO_GL", "")
    monkeypatch.delenv("MUJOCO_GL")
    monkeypatch.setenv("PYOPENGL_PLATFORM", "")
    monkeypatch.setattr(renderer, "_TRIAL", "import os; assert os.environ['MUJOCO_GL'] == 'osmesa'")
    renderer.choose()
    assert renderer.os.environ["MUJOCO_GL"] == renderer.os.environ["PYOPENGL_PLATFORM"] == "osmesa"


def test_tasks_of_mujoco_are_drawn() -> None:
    """In a process of its own, as the command does it: a renderer is chosen once."""
    code = f"""
from flowrl_dsl.runtime import renderer
from flowrl_dsl.runtime.errors import RunError
try:
    renderer.choose()
except RunError:
    raise SystemExit(77)
from flowrl_dsl.runtime.worlds import catalogue
from flowrl_dsl.runtime.worlds.base import WorldKind
for task in {[task for task in ("Swimmer-v5", "dm_control/reacher-easy") if _there(task)]!r}:
    filmed = catalogue.film(task, 0, 2, (96, 64))
    filmed.world.reset()
    frame = filmed.frame()
    assert frame.shape == (64, 96, 3) and frame.std() > 5, (task, frame.shape)
    print(task, filmed.rate)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        # EGL and OSMesa are libraries of the system, which no Python package brings
        pytest.skip("this machine has no renderer")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "Swimmer-v5 12.5"


def _there(task: str) -> bool:
    from importlib.util import find_spec

    return not task.startswith("dm_control") or find_spec("dm_control") is not None


def test_a_film_that_cannot_be_written_is_an_error(run: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="the extra `video` is not installed")
    (tmp_path / "file").write_text("")
    code, _, err = _flowrl(capsys, "video", run, "-o", tmp_path / "file" / "f.mp4")
    assert code == 3 and "FRL0410" in err


def test_a_population_has_no_film(run: Path, tmp_path: Path, capsys) -> None:
    logs.write_members(tmp_path, ["seed0", "seed1"])
    code, _, err = _flowrl(capsys, "video", tmp_path)
    assert code == 3 and "is a population" in err and str(tmp_path / "seed0") in err


# looks


def test_a_look_is_a_picture(run: Path, tmp_path: Path, capsys) -> None:
    code, out, _ = _flowrl(capsys, "look", run, "--samples", "20", "--at", "0,4", "-o", tmp_path / "look.svg")
    assert code == 0 and out == f"{tmp_path / 'look.svg'}\n"
    text = (tmp_path / "look.svg").read_text()
    for label in ("qsm on Painted-v0, 20 steps", ">step 4<", ">action 1<", ">denoising<", ">Q from "):
        assert label in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--at", "9"), f"has {LENGTH} steps"),
        (("--components", "0,2"), "the action has no component 2"),
        (("--observations", "absent.npy"), "no file of observations"),
        (("--at", "0,1,2,3,4,5,6"), "at most 6"),
    ],
)
def test_what_is_not_there_is_an_error(run: Path, capsys, words: tuple[str, ...], message: str) -> None:
    code, _, err = _flowrl(capsys, "look", run, "--samples", "2", *words)
    assert code == 3 and "FRL0484" in err and message in err


def test_observations_can_be_given(run: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "obs.npy", np.zeros((3, 2)))
    acting = Acting(RunFolder(run))
    arguments = looking.LookArguments(run, observations=tmp_path / "obs.npy")
    names, obs = looking._states(arguments, acting)
    assert names == ["observation 0", "observation 1", "observation 2"] and obs.shape == (3, 2)
    np.save(tmp_path / "obs.npy", np.zeros((3, 5)))
    with pytest.raises(RunError, match="FRL0484") as caught:
        looking._states(arguments, acting)
    assert caught.value.diagnostics[0].notes[0].startswith("expected numbers [n, 2]")


def test_the_samples_are_those_of_the_policy(run: Path) -> None:
    """Their path ends where the program's own sampler ends, and the values are those of the critic's ensemble."""
    folder = RunFolder(run)
    acting = Acting(folder)
    view = looking._View(acting, folder)
    obs = np.array([[0.3, -0.2], [0.0, 0.9]], np.float32)
    samples, steps = view.samples(obs, 300, seed=0)
    assert samples.shape == (2, 300, 2) and len(steps) == 4 and all(step.shape == samples.shape for step in steps)
    assert abs(steps[0].mean()) < 0.15 and abs(steps[0].std() - 1) < 0.1  # standard normal noise
    program, state = acting.program, acting._state
    acted = [program.act(state, obs, k, "evaluate", program.hyper)["action"] for k in range(300)]
    drawn = np.stack(acted, axis=1)
    np.testing.assert_allclose(samples.mean(axis=1), drawn.mean(axis=1), atol=0.2)
    np.testing.assert_allclose(samples.std(axis=1), drawn.std(axis=1), atol=0.15)
    values = view.values(obs, samples[:, :3])
    again = view.values(obs[1:], samples[1:, 2:3])
    np.testing.assert_allclose(values[1, 2], again[0, 0], rtol=1e-4)


def test_an_episode_is_that_of_its_seed() -> None:
    worlds = [catalogue.make("Pendulum-v1", count, 0, evaluation=True, first=first) for count, first in ((3, 0), (1, 2))]
    np.testing.assert_array_equal(worlds[0].reset()[2], worlds[1].reset()[0])


def test_the_other_components_are_those_of_the_best_sample() -> None:
    best = np.array([[0.1, 0.2, 0.3]])
    found = looking._slice(best, (0, 2), np.array([-1.0, 1.0]))
    assert found.tolist() == [[[-1, 0.2, -1], [-1, 0.2, 1], [1, 0.2, -1], [1, 0.2, 1]]]


def test_the_components_that_differ_most_are_drawn() -> None:
    samples = np.random.default_rng(0).normal(size=(2, 50, 4)) * [0.1, 3.0, 0.2, 1.0]
    assert looking._components((), samples) == (1, 3)
    assert looking._components((2,), samples) == (2,)
