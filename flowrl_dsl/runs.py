"""Commands on runs: creating a run folder from a spec, and working with an existing one."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from flowrl_dsl import __version__, driver
from flowrl_dsl.algorithm import starts
from flowrl_dsl.data import DataSet, asked
from flowrl_dsl.diagnostics import Diagnostic, DiagnosticError
from flowrl_dsl.resources import cache_folder, shipped_specs
from flowrl_dsl.runtime.errors import Interrupted, RunError, require_extra
from flowrl_dsl.spec.load import self_contained
from flowrl_dsl.spec.resolve import resolve
from flowrl_dsl.spec.scope import SET_FILE
from flowrl_dsl.spec.show import show

if TYPE_CHECKING:
    from flowrl_dsl.algorithm import Algorithm
    from flowrl_dsl.lowering.program import Program
    from flowrl_dsl.runtime.evaluation import Evaluation
    from flowrl_dsl.runtime.logs import RunFolder
    from flowrl_dsl.runtime.progress import Display
    from flowrl_dsl.runtime.settings import Settings
    from flowrl_dsl.runtime.train import Training

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "gymnasium", "mujoco", "dm-control")


@dataclass(frozen=True)
class TrainArguments:
    """Arguments of ``flowrl-dsl train``; ``replaced`` overrides settings of the spec; None means not given."""

    spec: str
    task: str
    seed: int = 0
    sets: tuple[str, ...] = ()
    replaced: dict[str, int | None] = field(default_factory=dict)
    out: Path | None = None
    wandb: str | None = None
    data: str | None = None
    begin: str | None = None


SWITCHES = {
    "jax_enable_x64": (False,),
    "jax_enable_custom_prng": (False,),
    "jax_numpy_dtype_promotion": ("standard",),
    "jax_numpy_rank_promotion": ("allow", "warn"),
}
"""Settings of JAX that change what an operation computes or whether it is allowed, and the values programs are made for."""


def prepare_jax() -> None:
    """Check JAX's settings and devices, and keep compiled programs in the user's cache folder unless it has another one.

    Raises FRL0424 for settings that programs are not made for, and where JAX has no device.
    """
    import jax

    for name, allowed in SWITCHES.items():
        value = getattr(jax.config, name)
        if value not in allowed:
            hint = f"unset {name.upper()}: programs compute in float32 with keys of two numbers, by JAX's ordinary rules"
            raise RunError("FRL0424", f"{name} is {value}", hint)
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        hint = "JAX_PLATFORMS=cpu selects the processor; an accelerator needs the jaxlib made for it"
        raise RunError("FRL0424", f"JAX has no device: {error or os.environ.get('JAX_PLATFORMS', '')}", hint) from error
    folder = "jax_compilation_cache_dir"
    home = cache_folder()
    if home is not None and not getattr(jax.config, folder):
        jax.config.update(folder, str(home / "jax"))
        # below this, compiling is about as fast as reading the file
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@dataclass(frozen=True)
class PreparedRun:
    """A run except for its folder; ``contents`` are the files that define it, ``begin`` names the policy it begins with."""

    algorithm: Algorithm
    program: Program
    settings: Settings
    contents: dict[str, str | bytes]
    data: DataSet | None = None
    begin: dict[str, Any] | None = None
    restart: bool = False
    """Whether a run that has lost its checkpoints begins again."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Entries of run.json to be replaced before the training continues."""
    saved: Callable[[], None] = field(default=lambda: None, compare=False)
    """Called after each checkpoint."""

    def training(self, folder: RunFolder, display: Display, program: Program | None = None) -> Training:
        """The training in its folder; ``program`` may replace the run's own if they differ only in input numbers."""
        from flowrl_dsl.runtime.train import Training

        own = self.program
        regime: Any = self.algorithm.regime
        table = None if self.data is None else self.data.table(self.settings.task)
        phases = [(phase.name, at) for phase, at in zip(self.algorithm.phases, starts(self.algorithm.phases), strict=True)]
        shared = (folder, display, sinks_of(folder), own.hyper, regime.taken(self.algorithm), table, self.restart, phases)
        return Training(program or own, self.settings, *shared, self.saved)


def train(arguments: TrainArguments) -> None:
    """Start a run and train it to the end."""
    prepared = prepare(arguments)
    run(prepared, new_folder(arguments, prepared))


def prepare(arguments: TrainArguments, data: DataSet | None = None) -> PreparedRun:
    """Check and build everything without writing a file; ``data`` is the data set if it has been read."""
    from flowrl_dsl import inheriting
    from flowrl_dsl.runtime import devices

    algorithm, resolution = driver.resolve_or_raise(arguments.spec, arguments.task, arguments.sets)
    data = data or asked(algorithm, arguments.spec, arguments.task, arguments.data)
    if data is not None:
        algorithm, resolution = driver.resolve_or_raise(arguments.spec, arguments.task, arguments.sets, data.name)
        data.suits(algorithm)
    if arguments.wandb is not None:
        require_extra("wandb", "wandb")
    contents: dict[str, str | bytes] = {**_spec_copies(resolution.sources), "resolved.flowrl": show(algorithm)}
    built = build(algorithm, arguments.task, arguments.seed, arguments.replaced, data)
    devices.check(*built)
    run = PreparedRun(algorithm, *built, contents, data)
    return run if arguments.begin is None else inheriting.begun(run, arguments.begin)


def build(
    algorithm: Algorithm, task: str, seed: int, replaced: dict[str, int | None], data: DataSet | None = None
) -> tuple[Program, Settings]:
    from flowrl_dsl.runtime.settings import Settings

    train, regime = cast(Any, algorithm.sections["train"]), cast(Any, algorithm.regime)
    given = {name: value for name, value in replaced.items() if value is not None}
    settings = Settings.of(train, task, seed, **{**train.in_phases(algorithm), **given, **regime.settings(algorithm)})
    sizes = driver.task_sizes(task, algorithm)
    prepare_jax()
    capacity = settings.capacity if data is None or regime.collects(algorithm) else data.rows
    program = driver.build_program(algorithm, *sizes, envs=settings.envs, capacity=capacity, data=data is not None)
    if data is not None:
        data.check(program.layout)
    return program, settings


def rebuild(folder: RunFolder) -> PreparedRun:
    """Rebuild an existing run from the copy of the spec in its folder."""
    task, seed, replaced = map(folder.said, ("task", "seed", "given"))
    algorithm, data = resolved(folder), _recorded(folder)
    prepared = PreparedRun(algorithm, *build(algorithm, task, seed, replaced, data), {}, data)
    then, now = folder.said("settings"), json.loads(json.dumps(asdict(prepared.settings)))
    changed = [name for name in now if then.get(name, now[name]) != now[name]]
    if changed:
        message = f"{folder.path / 'run.json'} was changed since `train` wrote it: its settings have another {changed[0]}"
        raise RunError("FRL0411", message, f"{then[changed[0]]!r} there, {now[changed[0]]!r} by the rest of the file")
    return prepared


def resolved(folder: RunFolder) -> Algorithm:
    """The algorithm by the copy of the spec in a run folder, which resolves as it did when the run began."""
    main, task, sets = map(folder.said, ("main", "task", "sets"))
    written = folder.resolved()
    data = _recorded(folder)
    resolution = resolve(str(folder.path / "spec" / main), task=task, sets=sets, data=None if data is None else data.name)
    _check_copies(folder, set(resolution.sources) - {SET_FILE})
    algorithm = driver.algorithm_of(resolution)
    if show(algorithm).encode() != written:
        hint = "it depends on the version of flowrl-dsl and its shipped specs: use the version that started the run"
        raise RunError("FRL0416", f"the spec in {folder.path} now resolves differently", hint)
    return algorithm


def _recorded(folder: RunFolder) -> DataSet | None:
    """The data set of a run; None for one that collects its own data."""
    return None if (found := folder.settings.get("data")) is None else DataSet(**found)


def _check_copies(folder: RunFolder, names: set[str]) -> None:
    """Raise FRL0411 if the copy of the spec extends a file that is neither beside it nor shipped."""
    homes = {os.path.dirname(os.path.realpath(path)) for path in (folder.path / "spec" / "any", *shipped_specs().values())}
    for name in names:
        if os.path.dirname(os.path.realpath(name)) not in homes:
            raise RunError("FRL0411", f"the spec in {folder.path} extends {name}, which is not in the folder")


def new_folder(arguments: TrainArguments, prepared: PreparedRun) -> RunFolder:
    """The folder of a new run."""
    import jax

    from flowrl_dsl.runtime.logs import RunFolder
    from flowrl_dsl.runtime.spaces import spaces_for

    name = prepared.algorithm.name
    said = {
        "spec": name,
        "main": Path(next(iter(prepared.contents))).name,
        "task": arguments.task,
        "seed": arguments.seed,
        "sets": list(arguments.sets),
        "given": arguments.replaced,
        "settings": asdict(prepared.settings),
        "wandb": arguments.wandb,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": ["flowrl-dsl", *sys.argv[1:]],
        "device": str(jax.devices()[0].device_kind),
        "python": sys.version.split()[0],
        "versions": versions(),
        "spaces": spaces_for(arguments.task, prepared.program),
    }
    said |= {} if prepared.data is None else {"data": prepared.data.recorded()}
    said |= {} if prepared.begin is None else {"begin": prepared.begin}
    said |= {} if arguments.wandb is None else {"wandb_id": secrets.token_hex(8)}
    folder = RunFolder.create(Path("runs"), name, arguments.task, arguments.seed, said, prepared.contents, arguments.out)
    resolved(folder)  # a run whose copy does not resolve by itself could not be resumed
    return folder


def versions() -> dict[str, str]:
    """The versions of the installed packages that decide what a run computes; dm-control is not installed everywhere."""
    installed = {"flowrl-dsl": __version__}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            installed[name] = version(name)
    return installed


def _spec_copies(sources: dict[str, str]) -> dict[str, str]:
    """Copies of the spec and its base specs that resolve without the originals, the spec itself first."""
    chain = {name: text for name, text in sources.items() if name != SET_FILE}
    return {f"spec/{name}": text for name, text in self_contained(chain).items()}


def run(prepared: PreparedRun, folder: RunFolder, callback: Callable[[dict[str, Any]], bool | None] | None = None) -> None:
    """Train a run in its folder, from its last checkpoint or its start to its end.

    ``callback`` is called with each record; if it returns true, the training is interrupted.
    """
    from flowrl_dsl.runtime.logs import quoted
    from flowrl_dsl.runtime.progress import display

    path, settings = folder.path, prepared.settings
    print(f"run folder: {path}\nif interrupted: flowrl-dsl resume {quoted(path)}", flush=True)
    name = f"{folder.said('spec')} on {settings.task}"
    with folder.locked():
        folder.change(prepared.changes)
        training = prepared.training(folder, display(name, settings.steps))
        if callback is not None:
            training.open_sinks = _calling(callback, training)
        try:
            result = training.run()
        except (Interrupted, KeyboardInterrupt):
            print(f"interrupted at step {training.step}; resume with: flowrl-dsl resume {quoted(path)}", flush=True)
            raise
        folder.write_csv()
        if draw_curve([path], path / "curve.png"):
            print(f"learning curve: {path / 'curve.png'}")
    if result is None:
        print(f"{path} is already finished")


def _calling(callback: Callable[[dict[str, Any]], bool | None], training: Training) -> Callable[[int], list[Any]]:
    """The loggers of a training and one that calls a function with each record."""
    from flowrl_dsl.runtime.sinks import Calls

    others = training.open_sinks

    def stop() -> None:
        training.stopping = True

    return lambda step: [*others(step), Calls(callback, stop)]


def sinks_of(folder: RunFolder) -> Callable[[int], list[Any]]:
    """A function that opens the loggers of a run besides its folder, from a given step on."""
    from flowrl_dsl.runtime.sinks import TensorBoard, Wandb

    def opened(step: int) -> list[Any]:
        sinks: list[Any] = [TensorBoard(folder.path / "tensorboard", step)]
        if folder.settings.get("wandb"):
            name = str(folder.path)
            earlier = [record for record in folder.records() if record["step"] <= step]
            sinks.append(Wandb(folder.settings["wandb"], name, folder.path, folder.settings, earlier))
        return sinks

    return opened


def draw_curve(runs: Sequence[Path], output: Path) -> bool:
    """Plot finished runs, and return whether that worked.

    matplotlib depends on its surroundings, and a training is finished whether or not it can draw: a failure is printed.
    """
    from flowrl_dsl.runtime.logs import quoted
    from flowrl_dsl.runtime.plot import plot

    try:
        plot(runs, output)
    except DiagnosticError:
        raise
    except Exception as error:
        again = f"flowrl-dsl plot {' '.join(map(quoted, runs))} -o {quoted(output)}"
        print(f"no learning curve was drawn ({type(error).__name__}: {error}); to try again: {again}")
        return False
    return True


def evaluate(paths: Sequence[Path], episodes: int | None) -> list[dict[str, Any]]:
    """Evaluate the newest checkpoint of each run; for several runs also print the inter-quartile mean and its interval.

    Returns the results by name, ``returns`` of the single episodes among them.
    """
    from flowrl_dsl.runtime.logs import RunFolder, expanded

    folders = [RunFolder(path) for path in expanded(paths)]
    found = [(folder, evaluate_one(folder, episodes)) for folder in folders]
    print_means(found)
    return [{"run": str(folder.path), **one.record(), "returns": one.returns.tolist()} for folder, one in found]


def print_means(found: Sequence[tuple[RunFolder, Evaluation]]) -> None:
    """Print the inter-quartile mean and its interval of runs that differ in their seed alone, where there are several."""
    from flowrl_dsl.runtime.aggregate import bootstrap_interval, interquartile_mean

    common = set.intersection(*(set(folder.said("sets")) for folder, _ in found)) if found else set()
    groups: dict[tuple[str, str, str], dict[int, float]] = {}
    for folder, evaluation in found:
        name = " ".join([folder.said("spec"), *(text for text in folder.said("sets") if text not in common)])
        by_seed = groups.setdefault((name, folder.said("task"), folder.kind), {})
        by_seed.setdefault(folder.said("seed"), evaluation.returns.mean())
    for (spec, task, _), by_seed in groups.items():
        means = list(by_seed.values())
        if len(means) > 1:
            low, high = bootstrap_interval([[mean] for mean in means])
            center = float(interquartile_mean(means))
            print(f"{spec} on {task}: inter-quartile mean {center:.1f} [{low:.1f}, {high:.1f}] over {len(means)} runs")


def evaluate_one(folder: RunFolder, episodes: int | None) -> Evaluation:
    """Evaluate the newest checkpoint of a run, and print the result."""
    from flowrl_dsl.runtime.evaluation import evaluate
    from flowrl_dsl.runtime.loading import load_state
    from flowrl_dsl.runtime.worlds import catalogue

    prepared = rebuild(folder)
    settings = prepared.settings
    step, state = load_state(prepared.program, folder, settings.seed)
    count = episodes or settings.episodes
    make = partial(catalogue.make, evaluation=True, entries=prepared.program.entries)
    with closing(make(settings.task, count, 0, settings.action_repeat)) as world:
        evaluation = evaluate(prepared.program, state, prepared.program.hyper, world)
    record = evaluation.record()
    shown = f"return {record['return_mean']:.1f} ± {record['return_std']:.1f}"
    shown += f" (from {record['return_min']:.1f} to {record['return_max']:.1f})"
    print(f"{folder.path} at step {step}{_phase(folder, prepared, step)}: {shown} over {count} episodes", flush=True)
    return evaluation


def _phase(folder: RunFolder, prepared: PreparedRun, step: int) -> str:
    """The phase of a step, as its records have it: `` in phase values (1 of 2)``; empty for a run without phases."""
    numbers = [int(record["phase"]) for record in folder.records() if record.get("phase") and record["step"] <= step]
    phases = prepared.algorithm.phases
    if not numbers or not phases:
        return ""
    number = min(numbers[-1], len(phases))
    return f" in phase {phases[number - 1].name} ({number} of {len(phases)})"


def diagnose(path: Path) -> Diagnostic | None:
    """Replay the non-finite update that stopped a run; None if it is finite now."""
    from flowrl_dsl.runtime import guard
    from flowrl_dsl.runtime.logs import RunFolder

    folder = RunFolder(path)
    prepared = rebuild(folder)
    error = guard.again(prepared.program, folder, prepared.settings.seed)
    return None if error is None else error.diagnostics[0]
