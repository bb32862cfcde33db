import optax
import pytest

from fl_jax import spec
from fl_jax.models.resnet import ResNet


def test_parses_a_literal_call():
    parsed = spec.parse("fed_avg(1, mu=0.5, inner=adam(3e-4))")
    assert parsed == ("fed_avg", (1,), {"mu": 0.5, "inner": spec.Spec("adam", (3e-4,), {})})
    assert spec.parse("fed_avg") == ("fed_avg", (), {})


@pytest.mark.parametrize(
    "text", ["", "a.b()", "f(x)", "f(**{'a': 1})", "__import__('os').system('true')", "f(1 + n)"]
)
def test_refuses_what_is_not_one(text):
    with pytest.raises(ValueError, match="not a literal call"):
        spec.parse(text)


def test_builds_a_plug_in_by_its_modules_name():
    model = spec.build("resnet(widths=(8, 16), blocks=(1, 1), strides=(1, 2))", "fl_jax.models")
    assert isinstance(model, ResNet)


def test_an_unknown_name_is_answered_with_the_list():
    with pytest.raises(ValueError, match="there are: fed_avg"):
        spec.build("fed_magic()", "fl_jax.algorithms")


def test_an_unknown_argument_is_answered_with_the_signature():
    with pytest.raises(ValueError, match=r"signature is resnet\(widths"):
        spec.build("resnet(depth=3)", "fl_jax.models")


def test_transformations_come_from_optax():
    assert isinstance(spec.transformation("sgd(0.1, momentum=0.9)"), optax.GradientTransformation)
    with pytest.raises(ValueError, match="optax has no transformation 'adamm'"):
        spec.transformation("adamm(0.1)")
    with pytest.raises(ValueError, match="does not return a gradient transformation"):
        spec.transformation("cosine_decay_schedule(0.1, 10)")
