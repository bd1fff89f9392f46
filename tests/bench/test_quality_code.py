"""Figures grow old with the code that they depend on, and with no other."""

from __future__ import annotations

from bench.quality.code import code_digest, modules_of
from gnn.model.catalogue import CATALOGUE


def test_a_model_depends_on_its_own_modules_and_on_what_measures_every_model() -> None:
    ease = modules_of("ease")
    assert {"gnn.recommenders.ease", "gnn.model.training", "gnn.evaluation.evaluate", "gnn.measure.metrics"} <= {*ease}
    assert "gnn.protocol.splits" in ease  # imported by what is imported
    assert not {"gnn.recommenders.itemknn", "gnn.network.loop", "gnn.tuning.spaces", "gnn.model.catalogue"} & {*ease}
    assert "gnn.network.loop" in modules_of("network")
    assert "gnn.recommenders.ease" not in modules_of("network")


def test_what_is_made_of_others_depends_on_all_of_them() -> None:
    fused = {*modules_of("fused")}
    assert all(fused >= {*modules_of(name)} for name in CATALOGUE)
    assert fused == {*modules_of("auto")}


def test_lists_of_other_tools_depend_on_the_evaluation_alone() -> None:
    assert {*modules_of("")} == set.intersection(*({*modules_of(name)} for name in CATALOGUE))
    assert code_digest("") != code_digest("popularity")
