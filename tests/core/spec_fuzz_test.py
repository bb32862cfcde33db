"""Whatever a one-string plug-in says, it is built or refused with its text; nothing in it is run."""

import jax.numpy as jnp
import optax
import pytest
from fuzzing import WORDS, count, each, flipped

from fl_jax.core import spec
from fl_jax.faults.fault import build_faults

CONTEXT = {
    "fl_jax.aggregators": (),
    "fl_jax.faults": (),
    "fl_jax.models": (),
    "fl_jax.data.partition.schemes": (),
    "fl_jax.algorithms": (lambda params, batch, key: jnp.zeros(()), optax.sgd(0.1)),
}
GOOD = {
    "fl_jax.aggregators": (
        *("process(pre=clip_by_global_norm(1.0), aggregate=median())", "trimmed_mean(trim=0.2)"),
        *("krum(byzantine=2, keep=3)", "centered_clip(radius=1.0)", "quantize()", "top_k()"),
    ),
    "fl_jax.faults": (
        *("absent(sites=(0, 2), share=0.3)", "not_finite(1, value='inf')", "stale(2, delay=3)"),
        *("sign_flip(sites=(1,), scale=10.0)", "straggle(1, done=0.5)", "garble(1, how='dtype')"),
    ),
    "fl_jax.models": ("resnet()", "mlp(widths=(64, 32))"),
    "fl_jax.data.partition.schemes": ("iid(sites=5)", "dirichlet(sites=5, alpha=0.5)", "natural()"),
    "fl_jax.algorithms": (
        *("fed_avg(server_optimizer=adam(0.1, b1=0.9))", "fed_prox(mu=0.01)", "ifca(clusters=2)"),
        *("scaffold(option=1)", "fed_per(local='^Dense_1/')", "q_fed_avg(q=0.1, lipschitz=1.0)"),
    ),
}
VALUES = (
    *("0", "-1", "1.5", "1e999", "-0.0", "True", "None", "'x'", "''", "b'x'", "(1,)", "()", "[]"),
    *("{}", "{1: 2}", "...", "1j", "x", "f()", "sgd(0.1)", "-x", "1 + 1", "lambda: 0", "*x", "**x"),
    *("__import__('os').system('true')", "().__class__", "[x for x in y]", "f'{1}'", "x := 1"),
)


def made(generator):
    package = list(GOOD)[int(generator.integers(len(GOOD)))]
    text = GOOD[package][int(generator.integers(len(GOOD[package])))]
    for _ in range(int(generator.integers(1, 4))):
        place = int(generator.integers(len(text) + 1))
        match int(generator.integers(6)):
            case 0:
                text = text[:place] + VALUES[int(generator.integers(len(VALUES)))] + text[place:]
            case 1:
                text = text[:place] + WORDS[int(generator.integers(len(WORDS)))] + text[place:]
            case 2:
                text = text[:place]
            case 3:
                text = flipped(generator, text.encode("utf-8", "replace")).decode(
                    "utf-8", "replace"
                )
            case 4:
                head, equals, tail = text.rpartition("=")
                text = (
                    head + equals + VALUES[int(generator.integers(len(VALUES)))] + ")" * bool(tail)
                )
            case 5:
                text = "(" * (n := int(generator.integers(1, 2000))) + text + ")" * n
    return package, text


def judge(case):
    package, text = case
    try:
        spec.build(text, package, *CONTEXT[package])
    except ValueError as error:
        return "refused" if len(str(error)) else "without a word"
    return "built"


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_no_text_breaks_the_promise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcomes = each(7, count(3000), made, judge)
    assert outcomes.keys() == {"built", "refused"}, outcomes
    assert min(outcomes.values()) > 40, outcomes
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("depth", [1_000, 100_000])
@pytest.mark.parametrize("form", ["f({0})", "-{0}", "({0})", "f(x={0})", "[{0}]"])
def test_deep_nesting_is_refused(form, depth):
    before, after = form.split("{0}")
    with pytest.raises(ValueError, match=r"not a literal call|at most 1000"):
        spec.parse(before * depth + "1" + after * depth)


@pytest.mark.parametrize(
    "text", ["fed_prox(mu='x')", "fed_prox(mu=None)", "scaffold(option=(1,))", "ifca(clusters='2')"]
)
def test_a_value_of_another_type_is_an_error_of_the_spec(text):
    with pytest.raises(ValueError, match=r"must be|signature"):
        spec.build(text, "fl_jax.algorithms", *CONTEXT["fl_jax.algorithms"])


@pytest.mark.parametrize("specs", [("absent('x')",), ("absent(None)",), ("stale(1, delay='x')",)])
def test_so_is_one_of_a_fault(specs):
    with pytest.raises(ValueError, match=r"signature"):
        build_faults(specs, 3)
