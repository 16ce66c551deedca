"""Which tests need XLA: all but those of :data:`WITHOUT_XLA`, which make the fast tier (``-m "not xla and not slow"``)."""

from __future__ import annotations

import sys
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
    "test_howto.py",
    "test_resources.py",
    "test_site.py",
    "test_studies.py",
    "test_types.py",
)
"""Files and folders whose tests compile nothing; a test there that does fails (see below)."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        place = item.path.relative_to(HERE).as_posix()
        if not place.startswith(WITHOUT_XLA):
            item.add_marker(pytest.mark.xla)


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
