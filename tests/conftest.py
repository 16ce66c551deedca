"""How tests are compiled, their order, and which need XLA.

All but those of :data:`WITHOUT_XLA` do; these make the fast tier (``-m "not xla and not slow"``).
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
WITHOUT_XLA = (
    "bench/test_report.py",
    "datasets/",
    "graph/test_expr.py",
    "graph/test_verify.py",
    "lowering/emit/",
    "passes/test_rewriting.py",
    "report/",
    "runtime/test_aggregate.py",
    "runtime/test_checkpoint.py",
    "runtime/test_plot.py",
    "runtime/test_progress.py",
    "runtime/test_settings.py",
    "runtime/worlds/test_single_copies.py",
    "spec/",
    "suites/test_jobs.py",
    "suites/test_scores.py",
    "suites/test_statistics.py",
    "suites/test_store.py",
    "syntax/",
    "test_architecture.py",
    "test_diagnostics.py",
    "test_docs.py",
    "test_guide.py",
    "test_howto.py",
    "test_resources.py",
    "test_site.py",
    "test_studies.py",
    "test_types.py",
)
"""Files and folders whose tests compile nothing; a test there that does fails (see below)."""


LONGEST = (
    "test_end_to_end.py",
    "properties/test_compositions.py",
    "properties/test_more_compositions.py",
    "house/",
    "test_damaged_runs.py",
    "properties/test_texts.py",
    "test_mechanisms.py",
    "components/test_regimes.py",
    "lowering/test_batches.py",
    "test_types.py",
)
"""The files that take longest; they come first, so that no process works on one while the others have nothing left."""

QUICK_TO_COMPILE = (
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false",
    "--xla_backend_optimization_level=0",
    "",
)
"""Flags of XLA, from the best: in programs that run a few times, LLVM's optimisations and the newer emitters of fusions cost
more than they save, the latter half of the compilation.  The long studies do without, and so does ``test_end_to_end.py``."""


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config.option, "loadscopereorder"):
        # xdist would begin with the files that have most tests, which take least time
        config.option.loadscopereorder = False
    if config.option.markexpr != "slow" and "XLA_FLAGS" not in os.environ:
        os.environ["XLA_FLAGS"] = next(flags for flags in QUICK_TO_COMPILE if _are_known(flags))
    _share_compiled_programs(config)
    # programs in the making are many small objects, nearly all of which outlive a collection
    gc.set_threshold(20_000, 10, 10)


def _are_known(flags: str) -> bool:
    """Whether this version of XLA, which aborts the process at a flag that it does not have, starts with these."""
    start = [sys.executable, "-c", "import jax; jax.devices()"]
    return (
        not flags
        or not subprocess.run(start, env=os.environ | {"XLA_FLAGS": flags}, capture_output=True, check=False).returncode
    )


def _share_compiled_programs(config: pytest.Config) -> None:
    """A compilation cache for this process and those that it starts: equal programs are compiled once in a run.

    Each process of xdist has its own, as one would read what another has half written; none is the user's, so that a run
    of the tests depends on no earlier one.
    """
    folder = tempfile.TemporaryDirectory(prefix="flowrl-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(folder.cleanup)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {item: item.path.relative_to(HERE).as_posix() for item in items}
    for item, place in places.items():
        if not place.startswith(WITHOUT_XLA):
            item.add_marker(pytest.mark.xla)
    items.sort(key=lambda item: next((n for n, long in enumerate(LONGEST) if places[item].startswith(long)), len(LONGEST)))


@pytest.fixture(autouse=True, scope="module")
def compiled_programs_leave() -> Iterator[None]:
    """The memory of a process does not grow with every file; what a later file compiles again comes from the cache."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()


@pytest.fixture(autouse=True)
def fast_tests_compile_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test without the marker ``xla`` must not compile, so that the fast tier stays fast."""
    if request.node.get_closest_marker("xla") is not None or "jax" not in sys.modules:
        yield
        return
    from flowrl_dsl.testing.trees import compilations

    before = compilations()
    yield
    assert compilations() == before, "this test compiles with XLA: its file does not belong to WITHOUT_XLA"


@pytest.fixture
def components_leave() -> Iterator[None]:
    """The components that a test registers leave with it: a later test counts those of a family."""
    from flowrl_dsl import registry

    before = {family: set(registry.members_of(family)) for family in registry.families()}
    yield
    for family, names in before.items():
        for name in registry.members_of(family).keys() - names:
            del registry._REGISTRY[family][name]
