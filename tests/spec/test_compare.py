"""What two specs differ in: meaning, not text."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrl_dsl.catalogue import differences, listing, new
from flowrl_dsl.registry import families
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.spec.compare import compare
from flowrl_dsl.spec.resolve import resolve
from flowrl_dsl.spec.show import show
from tests.spec.helpers import algorithm_of


def written(folder: Path, name: str, body: str) -> str:
    path = folder / f"{name}.flowrl"
    path.write_text(f"algorithm {name} {body}\n")
    return str(path)


def found(left: str, right: str) -> dict[str, tuple[str, str]]:
    algorithms = [algorithm_of(resolve(path)) for path in (left, right)]
    return {d.path: (d.left, d.right) for d in compare(*algorithms)}


@pytest.mark.parametrize("name", shipped_specs())
def test_a_spec_means_what_its_resolved_text_means(name: str, tmp_path: Path) -> None:
    path = shipped_specs()[name]
    (tmp_path / "again.flowrl").write_text(show(algorithm_of(resolve(str(path)))))
    assert found(str(path), str(tmp_path / "again.flowrl")) == {}


def test_lets_and_definitions_are_not_a_difference(tmp_path: Path) -> None:
    with_let = """{
      policy { backbone = tanh_gaussian }
      critic {}
      improve reparameterized { let q = min(Q(s, a), over = ensemble)  objective = 2 * q }
    }"""
    with_def = """{
      def worst(q) = min(q, over = ensemble)
      policy { backbone = tanh_gaussian }
      critic {}
      improve reparameterized { objective = 2 * worst(Q(s, a)) }
    }"""
    assert found(written(tmp_path, "a", with_let), written(tmp_path, "b", with_def)) == {}


def test_each_difference_stands_at_its_setting(tmp_path: Path) -> None:
    other = """extends "qsm.flowrl" {
      order = critic -> policy -> targets
      policy { network = mlp([64], activation = mish)  backbone = diffusion(obs = []) }
      critic { optimizer = adam(1e-4) }
      param temperature = 0.2
      improve 2 * score_matching {}
    }"""
    assert found("specs/qsm.flowrl", written(tmp_path, "other", other)) == {
        "order": ("critic -> targets -> policy", "critic -> policy -> targets"),
        "policy.backbone.obs": ("[128, 128]", "[]"),
        "policy.network.sizes": ("[256, 256, 256]", "[64]"),
        "critic.optimizer.learning_rate": ("0.0003", "0.0001"),
        "param temperature": ("0.1 in (0, 10]", "0.2 in (0, 10]"),
        "score_matching (factor)": ("1", "2"),
    }


def test_what_one_has_alone_is_told(tmp_path: Path) -> None:
    differences = found("specs/dpmd.flowrl", "specs/qsm_dpmd.flowrl")
    assert differences["improve score_matching"] == ("-", "yes")
    differences = found("specs/td7.flowrl", "specs/td3.flowrl")
    assert differences["encoder.size"] == ("256", "-")


def test_a_component_of_another_kind_is_one_difference() -> None:
    differences = found("specs/dpmd.flowrl", "specs/fpmd.flowrl")
    assert differences["policy.sampler"][1].startswith("euler(") and "policy.sampler.steps" not in differences


def test_the_report_names_both() -> None:
    lines = differences("qsm", "sdac", None, ()).text().splitlines()
    assert lines[:2] == ["- qsm: Q-score matching", "+ sdac: Soft diffusion actor-critic"]
    assert differences("qsm", "qsm", None, ()).text() == "qsm and qsm are equivalent"


def test_the_listing_has_every_spec_and_component() -> None:
    text = listing(None)
    for name in shipped_specs():
        assert f"\n  {name} " in text
    for members in families().values():
        assert all(f"\n  {name} " in text for name in members)
    assert listing("sampler").splitlines()[0] == "sampler" and "  ddim " in listing("sampler")
    with pytest.raises(ValueError, match='did you mean "sampler"'):
        listing("sampelr")


def test_a_new_file_means_what_its_base_means_until_it_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "mine.flowrl"
    new("mine", "qsm", path)
    assert found("specs/qsm.flowrl", str(path)) == {}
    bare = path.read_text().replace("  # ", "  ", 1000).splitlines()
    start = next(i for i, line in enumerate(bare) if "paper" in line)
    (tmp_path / "whole.flowrl").write_text("\n".join(["algorithm mine {", *bare[start:]]).replace("\n  #\n", "\n\n"))
    assert found("specs/qsm.flowrl", str(tmp_path / "whole.flowrl")) == {}
    with pytest.raises(ValueError, match="already exists"):
        new("mine", "qsm", path)
    with pytest.raises(ValueError, match="is not a valid name"):
        new("my own", "qsm", tmp_path / "other.flowrl")
