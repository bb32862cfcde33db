import dataclasses

import numpy as np
import pytest

from fl_jax.phantom.drawing.pack import pack
from fl_jax.phantom.patient.parameters import Lesion, Spot
from fl_jax.phantom.patient.sampling import sample_patient

PATIENT = sample_patient(np.random.default_rng(1), age=70.0, subtypes=("subdural",), severity=0.8)


def test_shapes_are_the_same_for_every_patient():
    other = pack(sample_patient(np.random.default_rng(2), age=20.0))
    for name, value in pack(PATIENT).items():
        assert (value.shape, value.dtype) == (other[name].shape, other[name].dtype), name


def test_more_findings_than_slots_are_refused():
    spot = Spot((0.0, 0.0, 30.0), (2.0, 2.0, 2.0), 100.0)
    with pytest.raises(ValueError, match="spots: 40 of them"):
        pack(dataclasses.replace(PATIENT, spots=(spot,) * 40))
    with pytest.raises(ValueError, match="form='sphere'"):
        pack(dataclasses.replace(PATIENT, lesions=(Lesion("epidural", "sphere"),)))
