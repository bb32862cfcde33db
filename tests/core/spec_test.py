import jax
import numpy as np
import optax
import pytest

from fl_jax.core import spec
from fl_jax.models import resnet
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


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("f(x=1, x=2)", "x is repeated"),
        ("f(1e999)", "not finite"),
        ("f((1, [-1e999]))", "not finite"),
        ("f({2147483648: 1})", "integer above 2147483647"),
        ("f(b'x')", "type bytes"),
        ("f(1j)", "type complex"),
        ("f(...)", "type ellipsis"),
        ("\u017fgd(0.1)", "other than ASCII"),  # Python reads a long s as an s
        ("f(" * 9 + ")" * 9, "more than 8 calls"),
        ("f(" * 200 + ")" * 200, "more than 8 calls|is not Python"),
        ("f(" + "9" * 900 + ")", "integer above"),
        ("f(1, " + "x" * 10**6, "a spec has at most 1000"),
        ("f(lambda: 1)", "lambda: 1 is no literal"),
    ],
)
def test_says_in_one_short_line_what_is_wrong(text, why):
    with pytest.raises(ValueError, match=why) as error:
        spec.parse(text)
    assert len(str(error.value)) < 1200
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("adam('x')", "learning_rate='x': must be a number or a schedule"),
        ("sgd(True)", "learning_rate=True: must be a number or a schedule"),
        ("sgd(-0.1)", "learning_rate=-0.1: must be at least 0"),
        ("sgd(0.1, nesterov='no')", "nesterov='no': must be True or False"),
        ("chain(clip('1'))", "max_delta='1': must be a number"),
        ("sgd(clip(1.0))", "learning_rate=a GradientTransformation: must be a number or"),
        ("sgd(cosine_decay_schedule(0.1, 2.5))", "decay_steps=2.5: must be an integer"),
        ("adamw(1e-3, weight_decay='x')", "weight_decay='x'"),
    ],
)
def test_arguments_have_the_types_of_the_signature(text, why):
    with pytest.raises(ValueError, match=why):
        spec.transformation(text)


@pytest.mark.parametrize("value", ["'no'", "1", "0", "None", "sgd(0.1)"])
def test_only_true_and_false_are_such(value):
    with pytest.raises(ValueError, match=r"keep_optimizer=.*: must be True or False"):
        spec.build(
            f"fed_avg(keep_optimizer={value})",
            "fl_jax.algorithms",
            lambda *_: 0.0,
            optax.sgd(0.1),
        )


def test_builds_a_plug_in_by_its_modules_name():
    model = spec.build("resnet(widths=(8, 16), blocks=(1, 1), strides=(1, 2))", "fl_jax.models")
    assert isinstance(model, ResNet)


def test_a_bare_name_is_one_of_the_values_and_may_be_traced():
    def step(lr):
        optimizer = spec.transformation("sgd(lr)", {"lr": lr})
        return optimizer.update(np.float32(2), optimizer.init(np.float32(0)))[0]

    assert jax.jit(step)(0.25) == -0.5
    nested = spec.parse("fed_avg(server_optimizer=sgd(lr))", {"lr": 3})
    assert nested.kwargs["server_optimizer"].args == (3,)
    with pytest.raises(ValueError, match="not a literal call"):
        spec.transformation("sgd(rate)", {"lr": 3})


def test_a_rate_may_be_a_schedule_that_counts_the_updates_of_its_state():
    optimizer = spec.transformation("sgd(linear_schedule(1.0, 0.0, transition_steps=4))")
    state, moves = optimizer.init(np.float32(0)), []
    for _ in range(6):
        move, state = optimizer.update(np.float32(1), state)
        moves.append(float(move))
    np.testing.assert_allclose(moves, [-1, -0.75, -0.5, -0.25, 0, 0])
    nested = "fed_avg(server_optimizer=adam(constant_schedule(0.1)))"
    built = spec.build(nested, "fl_jax.algorithms", lambda *_: 0.0, optax.sgd(0.1))
    assert len(jax.tree.leaves(built.init_server(np.zeros(2)).optimizer)) == 4  # and a count


def test_a_schedule_by_itself():
    factor = spec.schedule("cosine_decay_schedule(1.0, rounds)", {"rounds": 4})
    np.testing.assert_allclose([factor(r) for r in (0, 2, 4)], [1, 0.5, 0], atol=1e-7)
    for text in ("sgd(0.1)", "inject_hyperparams(1)", "join_schedules(1, 2)", "cosine()"):
        with pytest.raises(ValueError, match=r"no schedule .*there are:.* cosine_decay_schedule"):
            spec.schedule(text)
    with pytest.raises(ValueError, match="constant_schedule"):
        spec.transformation("constant_schedule(0.1)")
    with pytest.raises(ValueError, match=r"signature is cosine_decay_schedule\("):
        spec.transformation("sgd(cosine_decay_schedule(1.0))")


def test_an_unknown_name_is_answered_with_the_list():
    with pytest.raises(ValueError, match=r"there are:.* fed_avg"):
        spec.build("fed_magic()", "fl_jax.algorithms")


def test_an_unknown_argument_is_answered_with_the_signature():
    with pytest.raises(ValueError, match=r"signature is resnet\(widths"):
        spec.build("resnet(depth=3)", "fl_jax.models")


def test_a_nested_call_is_a_plug_in_of_the_same_package_or_a_transformation():
    text = "process(pre=clip(1.0), aggregate=quantize(bits=4, aggregate=median()))"
    built = spec.build(text, "fl_jax.aggregators")
    assert built.payload(np.zeros(8)) == 8  # 4 bits a value and a scale
    with pytest.raises(
        ValueError,
        match=r"no 'medain' in optax or fl_jax.aggregators; did you mean median\? there are:",
    ):
        spec.build("process(aggregate=medain())", "fl_jax.aggregators")
    with pytest.raises(ValueError, match="optax has no transformation 'median'"):
        spec.build("process(pre=chain(median()))", "fl_jax.aggregators")


def test_a_nested_plug_in_takes_the_same_context(monkeypatch):
    def wrapper(context, other):
        return context, other

    monkeypatch.setattr(resnet, "resnet", wrapper)
    assert spec.build("resnet(resnet(1))", "fl_jax.models", 0) == (0, (0, 1))


def test_a_nested_name_that_means_two_things_is_refused(monkeypatch):
    monkeypatch.setattr(optax, "median", optax.clip, raising=False)
    with pytest.raises(ValueError, match=r"both fl_jax.aggregators and optax have 'median'"):
        spec.build("process(aggregate=median())", "fl_jax.aggregators")


@pytest.mark.parametrize("package", ["fl_jax.aggregators", "fl_jax.algorithms", "fl_jax.models"])
def test_no_plug_in_has_the_name_of_a_transformation(package):
    assert spec.names(package)
    assert not [name for name in spec.names(package) if hasattr(optax, name)]


def test_transformations_come_from_optax():
    assert isinstance(spec.transformation("sgd(0.1, momentum=0.9)"), optax.GradientTransformation)
    with pytest.raises(ValueError, match="optax has no transformation 'adamm'"):
        spec.transformation("adamm(0.1)")
    with pytest.raises(ValueError, match="does not return a gradient transformation"):
        spec.transformation("cosine_decay_schedule(0.1, 10)")
