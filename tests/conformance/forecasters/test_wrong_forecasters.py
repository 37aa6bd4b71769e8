"""Each rule catches the model that breaks it, and finds nothing wrong with the one that breaks none."""

from collections.abc import Callable

import pytest

from tests.conformance.forecasters.forecaster_rules import RULES, Subject
from tests.conformance.forecasters.wrong_forecasters import WRONG, Right

BY_NAME = {rule.__name__: rule for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_model_without_fault_passes(rule: Callable[[Subject], None]) -> None:
    rule(Subject(Right(), tolerance=1e-9))


@pytest.mark.parametrize(("rule", "kind"), WRONG, ids=[kind.name for _, kind in WRONG])
def test_a_rule_catches_the_model_that_breaks_it(rule: str, kind: type[Right]) -> None:
    with pytest.raises(AssertionError):
        BY_NAME[rule](Subject(kind(), tolerance=1e-9))


def test_every_rule_has_a_model_that_breaks_it() -> None:
    assert {rule for rule, _ in WRONG} == set(BY_NAME)
