"""Two sites whose intensities are shifted: what happens to batch normalisation between them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fl_jax.aggregators.weighted_mean import weighted_mean
from fl_jax.algorithms.ditto import ditto
from fl_jax.algorithms.fed_avg import fed_avg
from fl_jax.core import layouts, spec
from fl_jax.core.types import Batch
from fl_jax.models.deep_resnet import DeepResNet
from fl_jax.models.layers.norm import Norm
from fl_jax.tasks.multi_label import multi_label
from fl_jax.wrappers.batch_stats import federated_batch_stats, from_moments, moments
from fl_jax.wrappers.recompute_batch_stats import recompute_batch_stats

KEY = jax.random.key(0)
SHIFT = 6.0  # between the sites, in standard deviations of one


class Model(nn.Module):
    """Normalises the pixels, then a convolution's largest value decides."""

    norm: str = "batch"

    @nn.compact
    def __call__(self, images, mask=None):
        x = Norm(self.norm, name="bn")(images, mask)
        x = nn.relu(nn.Conv(8, (1, 1))(x))
        return nn.Dense(1)(x.mean((1, 2)))


def sites(steps=4, size=16, key=KEY):
    """The label is whether an image is brighter than its site's mean; site 1 has half of the examples."""
    draw = jax.random.split(key)
    labels = jax.random.bernoulli(draw[0], 0.5, (2, steps, size, 1)).astype(jnp.float32)
    noise = jax.random.normal(draw[1], (2, steps, size, 4, 4, 2))
    shift = jnp.array([0.0, SHIFT])[:, None, None, None, None, None]
    mask = jnp.ones((2, steps, size)).at[1, steps // 2 :].set(0)
    return Batch(noise + shift + labels[..., None, None] - 0.5, labels, mask)


def federation(rule, rate=0.0):
    task = multi_label(Model(), jnp.zeros((1, 4, 4, 2)), running=True)
    algorithm = federated_batch_stats(
        fed_avg(task.loss, optax.adam(rate), keep_optimizer=True), rule
    )
    state = layouts.init(algorithm, weighted_mean(), task.init(KEY), 2, KEY)
    return task, algorithm, state, jax.jit(layouts.whole_round(algorithm, weighted_mean()))


def mixture(of):
    """Mean and variance of both sites' examples together, by the weights of the messages."""
    real = [np.asarray(of.inputs[s])[np.asarray(of.mask[s]) > 0].reshape(-1, 2) for s in range(2)]
    everything = np.concatenate(real).astype(np.float64)
    return everything.mean(0), everything.var(0)


def server_stats(state):
    kept = state.server.params["batch_stats"]["bn"]["BatchNorm_0"]
    return np.asarray(kept["mean"]), np.asarray(kept["var"])


def test_pooled_moments_by_hand():
    one = {"bn": {"mean": jnp.array([0.0]), "var": jnp.array([1.0])}}
    other = {"bn": {"mean": jnp.array([4.0]), "var": jnp.array([3.0])}}
    mean = jax.tree.map(lambda a, b: 0.75 * a + 0.25 * b, moments(one), moments(other))
    pooled = from_moments(mean)["bn"]
    np.testing.assert_allclose(pooled["mean"], [1.0])
    np.testing.assert_allclose(pooled["var"], [0.75 + 0.25 * 19 - 1])  # E2 - E1^2


@pytest.mark.parametrize("rule", ["aggregate", "naive"])
def test_many_rounds_give_the_moments_of_all_only_where_they_are_pooled(rule):
    _, _, state, run = federation(rule)
    for number in range(30):
        batches = sites(key=jax.random.key(number))
        state, _ = run(state, batches, jnp.ones(2, bool))
    mean, variance = server_stats(state)
    wanted, all_of_it = mixture(sites(steps=64, size=64, key=jax.random.key(99)))
    if rule == "aggregate":
        np.testing.assert_allclose(mean, wanted, rtol=0.05)
        np.testing.assert_allclose(variance, all_of_it, rtol=0.05)
    else:  # the known failure: a site of few steps is forgotten, the variance between sites lost
        assert (mean < 0.75 * wanted).all()
        assert (variance < 0.3 * all_of_it).all()


def test_an_absent_site_changes_no_statistic_and_an_absent_round_none_at_all():
    _, _, state, run = federation("aggregate")
    state, _ = run(state, sites(), jnp.ones(2, bool))
    other = sites()._replace(inputs=sites().inputs.at[1].set(1e3))
    alone, _ = run(state, sites(), jnp.array([True, False]))
    again, _ = run(state, other, jnp.array([True, False]))
    for a, b in zip(server_stats(alone), server_stats(again), strict=True):
        np.testing.assert_array_equal(a, b)
    nobody, _ = run(state, sites(), jnp.zeros(2, bool))
    for a, b in zip(server_stats(nobody), server_stats(state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_one_site_has_plain_trainings_statistics():
    task, _, state, run = federation("aggregate", rate=0.01)
    batches = sites()._replace(mask=jnp.ones((2, 4, 16)))
    state, _ = run(state, batches, jnp.array([True, False]))
    variables = task.init(KEY)
    params, kept = variables["params"], variables["batch_stats"]
    optimizer = optax.adam(0.01)
    inner = optimizer.init(params)
    for step in range(4):
        batch = jax.tree.map(lambda x, step=step: x[0, step], batches)
        moved = task.loss.update(params, kept, batch, KEY)[1]
        updates, inner = optimizer.update(jax.grad(task.loss)(params, batch, KEY), inner)
        params, kept = optax.apply_updates(params, updates), moved
    close(state.server.params, {"params": params, "batch_stats": kept})


def test_local_statistics_are_never_sent_and_serve_their_own_site():
    _, pooled, state, run = federation("aggregate")
    _, with_pooled = run(state, sites(), jnp.ones(2, bool))
    task, algorithm, state, run = federation("local", rate=0.03)
    for number in range(20):
        state, metrics = run(state, sites(key=jax.random.key(number)), jnp.ones(2, bool))
    np.testing.assert_array_equal(metrics["bytes"], with_pooled["bytes"] - 4 * (2 + 2 + 1))
    assert pooled.personal is None
    test = sites(key=jax.random.key(99))
    for site in range(2):
        own = algorithm.personal(state.server, jax.tree.map(lambda x, s=site: x[s], state.sites))
        mean = own["batch_stats"]["bn"]["BatchNorm_0"]["mean"]
        np.testing.assert_allclose(mean, site * SHIFT, atol=0.4)
        right = (task.logits(own, test.inputs[site, 0]) > 0) == (test.labels[site, 0] > 0)
        assert right.mean() > 0.9


def test_a_batch_of_padding_moves_nothing():
    task, _, _, _ = federation("aggregate")
    algorithm, begun = started(fed_avg(task.loss, optax.sgd(0.1)), task.init(KEY))
    batch = jax.tree.map(lambda x: x[0, 0], sites())
    after = algorithm.client.step(begun, batch._replace(mask=jnp.zeros(16)))
    jax.tree.map(np.testing.assert_array_equal, after.base.batch_stats, begun.base.batch_stats)


def started(algorithm, variables):
    """The algorithm with statistics, and what a site holds before its first step."""
    carried = federated_batch_stats(algorithm)
    server, site = carried.init_server(variables), carried.init_site(variables)
    return carried, carried.client.start(carried.broadcast(server), site, KEY)


@pytest.mark.parametrize("text", ["fed_avg()", "fed_sam(rho=3.0)", "scaffold(option=1)", "mime()"])
def test_they_move_by_the_pass_whose_gradient_is_taken_at_the_site_s_own_model(text):
    """Augmentation included, wherever else the algorithm takes a gradient; and by no pass of their own."""
    task = multi_label(
        Model(),
        jnp.zeros((1, 4, 4, 2)),
        augment=lambda key, images: images + jax.random.normal(key, images.shape),
        running=True,
    )
    algorithm, local = started(
        spec.build(text, "fl_jax.algorithms", task.loss, optax.sgd(0.5)), task.init(KEY)
    )
    step = jax.jit(algorithm.client.step)
    for number in range(2):  # in the second the site's model is no longer the one that it was sent
        batch = jax.tree.map(lambda x, t=number: x[0, t], sites())
        batch = batch._replace(mask=jnp.where(jnp.arange(16) < 11, 1.0, 0.0))
        before, key = local.base, jax.random.split(local.base.key)[1]
        local = step(local, batch)
        wanted = task.loss.update(before.params, before.batch_stats, batch, key)[1]
        close(local.base.batch_stats, wanted)


def test_they_cost_no_pass_of_their_own():
    task, _, state, _ = federation("aggregate")
    algorithm, local = started(fed_avg(task.loss, optax.sgd(0.1)), state.server.params)
    batch = jax.tree.map(lambda x: x[0, 0], sites())
    step = str(jax.make_jaxpr(algorithm.client.step)(local, batch))
    alone = str(jax.make_jaxpr(jax.value_and_grad(task.loss))(local.base.params, batch, KEY))
    for product in ("conv_general_dilated[", "dot_general["):
        assert step.count(product) == alone.count(product) > 0


def close(found, wanted):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, wanted)


def test_blocks_that_are_computed_again_move_them_once():
    batch = jax.tree.map(lambda x: x[0, 0, :2], sites())
    batch = batch._replace(inputs=jnp.tile(batch.inputs, (1, 2, 2, 1)))
    found = []
    for remat in (False, True):
        model = DeepResNet((1,), False, 1, 64, 0, 1, "batch", jnp.float32, remat=remat)
        task = multi_label(model, batch.inputs[:1], running=True)
        variables = task.init(KEY)
        moving = task.loss.update
        step = jax.grad(moving, has_aux=True) if remat else moving
        given = variables["params"], variables["batch_stats"], batch, KEY
        found.append(jax.jit(step)(*given)[1])
    assert jax.tree.structure(found[0]) == jax.tree.structure(variables["batch_stats"])
    close(*found)


class Contrast(nn.Module):
    """A linear model of normalised pixels."""

    norm: str

    @nn.compact
    def __call__(self, images, mask=None):
        x = Norm(self.norm, name="bn")(images, mask)
        return nn.Dense(1, kernel_init=nn.initializers.zeros)(x.reshape(len(x), -1))


BRIGHT, APART = 1.4, 2.0


def contrasts(key):
    """The label is whether the left half is bright or dark. All pixels of site 1 are brighter by `APART`.

    Both sites have 32 examples: site 0 in eight steps, site 1 in one, which naive averages forget.
    """
    labels = jnp.broadcast_to(jnp.arange(32.0) % 2, (2, 8, 32))[..., None]
    left = jnp.arange(4) < 2
    images = BRIGHT * (2 * labels[..., None, None] - 1) * left[:, None]
    images += jnp.array([0, APART])[:, None, None, None, None, None]
    images += jax.random.normal(key, (2, 8, 32, 4, 4, 1)) / 2
    mask = jnp.zeros((2, 8, 32)).at[0, :, :4].set(1).at[1, 0].set(1)
    return Batch(images, labels, mask)


def accuracies(remedy):
    """Of the model that each site uses, on its own examples."""
    running = remedy != "group"
    rule = {"recompute": "naive"}.get(remedy, remedy)
    example = jnp.zeros((1, 4, 4, 1))
    task = multi_label(Contrast("batch" if running else "group"), example, running=running)
    algorithm = fed_avg(task.loss, optax.adam(0.03), keep_optimizer=True)
    if running:
        algorithm = federated_batch_stats(algorithm, rule)
    state = layouts.init(algorithm, weighted_mean(), task.init(KEY), 2, KEY)
    run = jax.jit(layouts.whole_round(algorithm, weighted_mean()))
    for number in range(30):
        state, _ = run(state, contrasts(jax.random.key(number)), jnp.ones(2, bool))
    models = [state.server.params] * 2
    if remedy == "recompute":
        seen = contrasts(jax.random.key(0))
        steps = lambda site: [Batch(*(leaf[site, t] for leaf in seen)) for t in range(8)]  # noqa: E731
        data = [lambda: steps(0), lambda: steps(1)]
        models = [recompute_batch_stats(task.logits, state.server.params, data).variables] * 2
    if algorithm.personal is not None:
        models = [
            algorithm.personal(state.server, jax.tree.map(lambda x, s=s: x[s], state.sites))
            for s in range(2)
        ]
    test = contrasts(jax.random.key(99))
    return [
        float(((task.logits(m, test.inputs[s, 0]) > 0) == (test.labels[s, 0] > 0)).mean())
        for s, m in enumerate(models)
    ]


def test_naive_statistics_fail_the_site_of_few_steps():
    ours, theirs = accuracies("naive")
    assert ours > 0.95
    assert theirs < 0.6  # with the other site's mean all of its images are bright


@pytest.mark.parametrize("remedy", ["aggregate", "local", "recompute", "group"])
def test_each_remedy_removes_that_failure(remedy):
    assert min(accuracies(remedy)) > 0.95


def test_what_does_not_go_together():
    task, _, _, _ = federation("aggregate")
    with pytest.raises(ValueError, match="rule='median'"):
        federated_batch_stats(fed_avg(task.loss, optax.sgd(0.1)), "median")
    with pytest.raises(ValueError, match="trains one model at a site"):
        started(ditto(task.loss, optax.sgd(0.1)), task.init(KEY))
    with pytest.raises(ValueError, match="momentum=1"):
        federated_batch_stats(fed_avg(task.loss, optax.sgd(0.1)), momentum=1.0)
    batch = jax.tree.map(lambda x: x[0, 0], sites())
    wrapped = fed_avg(lambda *given: 2 * task.loss(*given), optax.sgd(0.1))
    own = wrapped._replace(client=wrapped.client._replace(step=lambda local, batch: local))
    for algorithm, message in ((wrapped, "only the task's own loss"), (own, "updates none")):
        carried, begun = started(algorithm, task.init(KEY))
        with pytest.raises(ValueError, match=message):
            carried.client.step(begun, batch)
    without = multi_label(Model("group"), jnp.zeros((1, 4, 4, 2)), running=True)
    with pytest.raises(ValueError, match=r"running=True: the model has \['params'\]"):
        without.init(KEY)
