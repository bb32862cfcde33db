"""Families are named in text, group by group."""

import dataclasses

import pytest

from fl_jax.phantom import family


def test_a_family_takes_groups_of_others():
    mixed = family.parse("standard, pose=former,noise = shifted")
    assert mixed == dataclasses.replace(
        family.STANDARD, pose=family.FORMER.pose, noise=family.SHIFTED.noise
    )


@pytest.mark.parametrize(
    "text", ["", "other", "standard, pose", "standard, poses=former", "former, pose=x"]
)
def test_what_is_unknown_is_named(text: str):
    with pytest.raises(ValueError, match="family="):
        family.parse(text)
