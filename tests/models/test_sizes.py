"""What the models' size arguments mean."""

import pytest

from tfcore.errors import ConfigError
from tfcore.models.sizes import dropout_rates, some_filters


@pytest.mark.parametrize(("rates", "expected"), [((0.2,), (0.2, 0.2)), ((0.25, 0.5), (0.25, 0.5)), ((0,), (0, 0))])
def test_one_rate_stands_for_both(rates: tuple[float, ...], expected: tuple[float, float]) -> None:
    assert dropout_rates(rates) == expected


@pytest.mark.parametrize("rates", [(), (0.1, 0.2, 0.3)])
def test_other_numbers_of_rates_are_refused(rates: tuple[float, ...]) -> None:
    with pytest.raises(
        ConfigError, match=rf"`dropout` must be one rate, or two such as 0.25,0.5. Received {len(rates)}"
    ):
        dropout_rates(rates)


def test_there_must_be_a_filter() -> None:
    some_filters((1,))
    with pytest.raises(ConfigError, match=r"`filters` must be at least one number, such as 32,64"):
        some_filters(())
