"""The initial state, and batches on their way to a device."""

import jax
import numpy as np
import pytest
from layout_problem import begin

from fl_jax.core.layouts import common
from fl_jax.core.types import Batch


def test_a_federation_has_a_site(params):
    with pytest.raises(ValueError, match="sites=0"):
        begin(params, sites=0)


def test_a_batch_is_on_the_device_before_it_is_asked_for():
    device, drawn = jax.devices()[1], []

    def source():
        for number in range(3):
            drawn.append(number)
            yield Batch(np.full((2, 3), number), np.zeros((2, 1)), np.ones(2))

    ahead = common.ahead(source(), device)
    assert not drawn
    for number, batch in enumerate(ahead):
        assert drawn == [*range(min(number + 2, 3))]
        assert batch.inputs.devices() == batch.labels.devices() == {device}
        assert isinstance(batch.mask, np.ndarray)
        assert (np.asarray(batch.inputs) == number).all()
    assert list(common.ahead([], device)) == []
