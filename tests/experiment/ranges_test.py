"""Every number of a config has a range, and what is outside it is refused by name."""

import math

import pytest

from configs import demo, ich_fed_avg
from fl_jax.experiment import ranges


def test_the_configs_are_within_them():
    for config in (demo, ich_fed_avg):
        ranges.check(config.get_config())


@pytest.mark.parametrize("name", sorted(ranges.RANGES))
def test_a_number_out_of_its_range(name):
    low, high = ranges.RANGES[name]
    config = demo.get_config()
    kind = type(config[name])
    wrong = [low - 1] if kind is int else [low - 1, math.nan]
    for value in wrong + [high + 1] * (high < 2**62 and kind is int):
        config[name] = kind(value)
        with pytest.raises(ValueError, match=rf"config\.{name}=.*: must lie in"):
            ranges.check(config)


@pytest.mark.parametrize("name", sorted(ranges.CHOICES))
def test_a_word_that_is_no_choice(name):
    config = demo.get_config()
    config[name] = "hang"
    with pytest.raises(ValueError, match=f"config.{name}='hang': must be one of"):
        ranges.check(config)
