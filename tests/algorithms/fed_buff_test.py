import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from quadratic_problem import START, everybody, federate, quadratic_loss, real, sgd, site_batches

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.algorithms.fed_buff import fed_buff
from fl_jax.core import layouts

LR = 0.1
BATCHES = site_batches((2, 2, 2), (4, 2, 3), spread=0.5)
WEIGHTS = np.array([8.0, 4.0, 6.0])


def run(algorithm, batches, rounds=12):
    """The model after each round, [rounds, 2], and the metrics by name, [rounds, S]."""
    params = {"x": jnp.asarray(START, jnp.float32)}
    state = layouts.init(algorithm, weighted_mean(), params, 3, jax.random.key(4))
    step, models, metrics = jax.jit(layouts.whole_round(algorithm, weighted_mean())), [], []
    for _ in range(rounds):
        state, seen = step(state, next(batches), np.ones(3, bool))
        models.append(np.asarray(state.server.params["x"], float))
        metrics.append(jax.device_get(seen))
    return np.stack(models), {name: np.stack([m[name] for m in metrics]) for name in metrics[0]}


def forever(batches):
    while True:
        yield batches


@pytest.mark.parametrize("buffer", [0.1, 0.6, 1.0])
def test_it_is_the_papers_algorithm(buffer):
    """An event loop that is told only when each site reports."""
    algorithm = fed_buff(quadratic_loss, optax.sgd(LR), max_delay=3, buffer=buffer)
    models, metrics = run(algorithm, forever(BATCHES))
    x, version, total, share, jobs = START, 0, np.zeros(2), 0.0, {}
    for got, due, staleness in zip(models, metrics["due"], metrics["staleness"], strict=True):
        for site in range(3):
            if site not in jobs:
                jobs[site] = sgd(x, real(BATCHES, site), LR) - x, version
            if due[site]:
                update, begun = jobs.pop(site)
                assert staleness[site] == version - begun
                total = total + WEIGHTS[site] * update / np.sqrt(1 + version - begun)
                share += WEIGHTS[site]
        if share >= buffer * WEIGHTS.sum():
            x, version, total, share = x + total / share, version + 1, np.zeros(2), 0.0
        np.testing.assert_allclose(got, x, rtol=1e-5, atol=1e-5)
    assert version > 1


def test_delays_are_drawn_from_0_to_the_largest():
    algorithm = fed_buff(quadratic_loss, optax.sgd(LR), max_delay=2)
    _, metrics = run(algorithm, forever(BATCHES), rounds=40)
    for due in metrics["due"].T:
        assert set(np.diff(np.flatnonzero(due))) == {1, 2, 3}


def test_without_delay_it_is_fed_avg():
    one = federate(fed_buff(quadratic_loss, optax.sgd(LR), max_delay=0), BATCHES, everybody(3))
    other = federate(fed_avg(quadratic_loss, optax.sgd(LR)), BATCHES, everybody(3))
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def test_the_server_waits_until_the_buffer_is_full():
    batches = site_batches((1, 1, 1))
    present = [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    algorithm = fed_buff(quadratic_loss, optax.sgd(LR), max_delay=0, buffer=1.0)
    got = federate(algorithm, batches, present)
    np.testing.assert_array_equal(got[:2], [START, START])
    together = federate(fed_avg(quadratic_loss, optax.sgd(LR)), batches, everybody(1))
    np.testing.assert_allclose(got[2], together[0], rtol=1e-6)


def test_a_spoiled_update_is_refused_once_and_the_site_goes_on():
    spoiled = BATCHES._replace(inputs=BATCHES.inputs.copy())
    spoiled.inputs[:] = np.nan  # of every site, whatever its first delay
    algorithm = fed_buff(quadratic_loss, optax.sgd(LR), max_delay=3)

    def batches():
        yield spoiled
        yield from forever(BATCHES)

    models, metrics = run(algorithm, batches())
    assert np.isfinite(models).all()
    np.testing.assert_array_equal(np.argwhere(~metrics["accepted"]), [[0, 0], [0, 1], [0, 2]])
    assert metrics["due"][1:].any(0).all()


def test_bad_arguments_are_refused():
    for delay in (-1, 0.5):
        with pytest.raises(ValueError, match=f"max_delay={delay}: must be a whole number"):
            fed_buff(quadratic_loss, optax.sgd(LR), max_delay=delay)
    for buffer in (0.0, 1.5):
        with pytest.raises(ValueError, match=f"buffer={buffer}: must be above 0"):
            fed_buff(quadratic_loss, optax.sgd(LR), buffer=buffer)
