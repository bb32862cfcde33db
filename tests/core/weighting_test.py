"""Sites of 12, 6 and 2 examples, whose minima are 0, 1 and 10."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from linear_problem import streamed
from quadratic_problem import quadratic_loss, report, site_batches

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.agnostic import agnostic
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.fed_buff import fed_buff
from fl_jax.algorithms.fed_dyn import fed_dyn
from fl_jax.algorithms.fed_newton import fed_newton
from fl_jax.algorithms.ifca import ifca
from fl_jax.algorithms.mime import mime
from fl_jax.algorithms.scaffold import scaffold
from fl_jax.core import layouts, weighting
from fl_jax.core.types import Batch

SIZES, MINIMA = np.array([12.0, 6.0, 2.0]), np.array([0.0, 1.0, 10.0])
OPTIMA = {"examples": 1.3, "equal": 11 / 3}


def squares(params, batch, key):
    del key
    return (0.5 * (params - batch.inputs) ** 2 * batch.mask).sum() / batch.mask.sum()


def batches_of(steps=1, dtype=np.float32, minima=MINIMA):
    """Every site's examples in every step, [S, T, 12]."""
    inputs = np.broadcast_to(minima[:, None, None], (3, steps, 12)).astype(dtype)
    mask = np.broadcast_to((np.arange(12) < SIZES[:, None])[:, None], inputs.shape).astype(dtype)
    return Batch(inputs, np.zeros_like(inputs), mask)


def begin(algorithm):
    return layouts.init(algorithm, weighted_mean(), jnp.array(5.0), 3, jax.random.key(0))


PLAIN = fed_avg(squares, optax.sgd(0.1))
WATCHED = PLAIN._replace(
    init_server=lambda params: PLAIN.init_server(params)._replace(extra=jnp.zeros(())),
    server=lambda state, message, fraction: PLAIN.server(state, message, fraction)._replace(
        extra=jnp.asarray(fraction)
    ),
)
"""FedAvg that remembers the last round's fraction."""


@pytest.mark.parametrize("layout", ["sequential", "vmapped", "mesh", "whole_round"])
@pytest.mark.parametrize("name", weighting.WEIGHTINGS)
def test_the_fraction_and_the_weights_in_every_layout(layout, name):
    everyone, two = np.ones(3, bool), np.array([True, False, True])
    start = begin(WATCHED)
    run = getattr(layouts, layout)(WATCHED, weighted_mean(), sizes=SIZES, weighting=name)
    run = jax.jit(run) if layout == "whole_round" else run

    def after(present, *, minima=MINIMA, dropout=None):
        batches = batches_of(minima=minima)

        def stream(site):
            yield from streamed(batches)(site)
            if site == dropout:
                raise layouts.Dropout

        if layout == "whole_round":
            state, metrics = run(start, batches, present & (np.arange(3) != dropout))
        else:
            state, metrics = run(start, stream, present)
        return float(state.server.extra), np.asarray(metrics["weight"])

    counts = SIZES if name == "examples" else np.ones(3)
    fraction, weights = after(everyone)
    assert fraction == 1
    np.testing.assert_array_equal(weights, counts)
    fraction, weights = after(two)
    assert fraction == pytest.approx(counts[two].sum() / counts.sum())
    np.testing.assert_array_equal(weights, np.where(two, counts, np.nan))
    alone = pytest.approx(counts[2] / counts.sum())
    assert after(two, dropout=0)[0] == alone
    assert after(two, minima=np.array([np.nan, 1.0, 10.0]))[0] == alone  # refused


def test_a_chained_server_receives_the_fraction_of_one_site():
    chained = WATCHED._replace(chained=True)
    run = layouts.sequential(chained, weighted_mean(), sizes=SIZES)
    state, _ = run(begin(chained), streamed(batches_of()), np.ones(3, bool))
    assert float(state.server.extra) == pytest.approx(2 / 20)  # of the last one


def test_federations_of_several_sizes_are_vmapped():
    def fraction(sizes):
        run = layouts.whole_round(WATCHED, weighted_mean(), sizes=sizes)
        return run(begin(WATCHED), batches_of(), np.array([True, False, True]))[0].server.extra

    got = jax.vmap(fraction)(np.stack([SIZES, np.ones(3)]))
    np.testing.assert_allclose(got, [14 / 20, 2 / 3])


def test_all_sites_are_exactly_1_whatever_their_sizes():
    generator = np.random.default_rng(0)
    for sites in (1, 3, 7, 100):
        sizes = generator.random(sites) + 1e-3
        assert float(weighting.fraction(sizes, np.ones(sites, bool))) == 1
        assert float(weighting.fraction(sizes, np.zeros(sites, bool))) == 0


@pytest.mark.parametrize("factory", [fed_avg, fed_buff, fed_newton, ifca, mime])
def test_equal_weights_are_1_where_the_algorithm_weights_by_examples(factory):
    batches = site_batches((1, 2, 1), (4, 3, 2))
    steps = [Batch(*(leaf[1, step] for leaf in batches)) for step in range(2)]
    sent = report(factory(quadratic_loss, optax.sgd(0.1)), steps)
    assert (float(sent.weight), float(weighting.make("equal").weigh(sent).weight)) == (6, 1)
    assert weighting.make("examples").weigh(sent) is sent


def test_an_algorithms_factor_stays():
    sent = report(agnostic(quadratic_loss, optax.sgd(0.1)), [])
    sent = sent._replace(weight=jnp.float32(12), metrics={"examples": jnp.float32(4)})
    assert float(weighting.make("equal").weigh(sent).weight) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sites", None), r"weighting='sites': must be one of examples, equal"),
        (("examples", [1, 0]), r"sizes=\[1\.0, 0\.0\]: must be one number of examples > 0"),
        (("equal", [np.nan]), r"sizes=\[nan\]: must be"),
        (("examples", 3), r"sizes=3\.0: must be"),
        (("examples", jnp.zeros(1)), r"sizes=\[0\.0\]: must be"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        weighting.make(*arguments)


def test_what_does_not_fit_is_refused():
    run = layouts.sequential(PLAIN, weighted_mean(), sizes=[1, 2])
    with pytest.raises(ValueError, match="sizes: has 2 values for 3 sites"):
        run(begin(PLAIN), streamed(batches_of()), np.ones(3, bool))
    silent = report(fed_avg(quadratic_loss, optax.sgd(0.1)), [])._replace(metrics={})
    with pytest.raises(ValueError, match="weighting='equal': the algorithm's metrics have no"):
        weighting.make("equal").weigh(silent)


def rest(algorithm, present, steps, name):
    """Where x is after the rounds of `present`, bool[R, S], in float64."""
    with jax.enable_x64(True):
        batches = batches_of(steps, np.float64)
        run = layouts.whole_round(algorithm, weighted_mean(), sizes=SIZES, weighting=name)
        one = lambda state, row: (run(state, batches, row)[0], None)  # noqa: E731
        scanned = jax.jit(lambda state, rows: jax.lax.scan(one, state, rows)[0])
        return float(scanned(begin(algorithm), present).server.params)


@pytest.mark.parametrize("name", weighting.WEIGHTINGS)
@pytest.mark.parametrize(
    "algorithm", [scaffold(squares, optax.sgd(0.05)), fed_dyn(squares, optax.sgd(0.2), alpha=1.0)]
)
def test_control_variates_lead_to_the_optimum_whoever_is_absent(algorithm, name):
    present = np.random.default_rng(0).random((2000, 3)) < 0.4
    assert rest(algorithm, present, 5, name) == pytest.approx(OPTIMA[name], abs=1e-9)


@pytest.mark.parametrize("name", weighting.WEIGHTINGS)
def test_fed_buff_waits_for_what_the_sites_count(name):
    """One site a round: the buffer is full after each of them has sent."""
    algorithm = fed_buff(squares, optax.sgd(0.3), max_delay=0, buffer=1.0)
    present = np.tile(np.eye(3, dtype=bool), (40, 1))
    assert rest(algorithm, present, 3, name) == pytest.approx(OPTIMA[name], abs=1e-9)
