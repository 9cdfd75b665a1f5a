"""Contract of the optimizers: every public one is in the table that drives their tests."""

import inspect
from typing import Unpack

from reference.optimizers import CASES

from tfcore import optimizers
from tfcore.optimizers import Optimizer
from tfcore.optimizers.chain import Chain

PARTS = {"Optimizer", "Combined", "Muon"}  # not for all parameters by themselves; tests/optimizers has their tests


def test_every_public_optimizer_is_in_the_table() -> None:
    public = {
        name
        for name in optimizers.__all__
        if inspect.isclass(value := getattr(optimizers, name)) and issubclass(value, Optimizer) and name not in PARTS
    }
    assert public == {case.method for case in CASES.values()}


def test_every_optimizer_is_public() -> None:
    def below(cls: type) -> set[type]:
        return {cls}.union(*(below(subclass) for subclass in cls.__subclasses__()))

    ours = {cls.__name__ for cls in below(Optimizer) if cls.__module__.startswith("tfcore.")}
    assert ours <= set(optimizers.__all__)


def test_every_setting_of_every_method_is_in_the_table() -> None:
    shared = {"self", "parameters", "learning_rate", "chain"}
    for case in CASES.values():
        settings = set(inspect.signature(getattr(optimizers, case.method).__init__).parameters) - shared
        assert settings == set(case.settings)


def test_the_chain_is_what_every_optimizer_takes_beside_its_rule() -> None:
    given_by_methods = {"self", "parameters", "learning_rate", "slots"}
    taken = set(inspect.signature(Optimizer.__init__).parameters) - given_by_methods
    assert taken == set(Chain.__annotations__)
    for case in CASES.values():
        chain = inspect.signature(getattr(optimizers, case.method).__init__).parameters["chain"]
        assert chain.kind is inspect.Parameter.VAR_KEYWORD
        assert chain.annotation == Unpack[Chain]
