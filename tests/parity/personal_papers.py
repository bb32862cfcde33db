"""Algorithms with models of the sites, transcribed from their papers in float64 NumPy.

Each yields, after every round, the global model and every site's, which a site that has not yet participated
takes from the start. Ditto, APFL and IFCA on quadratics; those that split a model on the two-layer problem,
whose models are dictionaries. `p.mean` as in `global_papers`.
"""

import numpy as np
from parity_problem import SITES, gradient, pooled, value

EPSILON = 0.1
"""Added to the variance by the normalisation of `normalised_gradient`."""


def ditto(p, *, lr, lam):
    """Li et al. 2021, Algorithm 1: v_k <- v_k - lr (grad F_k(v_k) + lam (v_k - w^t)), beside FedAvg."""
    w, v = p.start, [p.start] * SITES
    for clients in p.rounds:
        new = {}
        for k, batches in clients.items():
            new[k] = w
            for b in batches:
                v[k] = v[k] - lr * (gradient(v[k], b) + lam * (v[k] - w))
                new[k] = new[k] - lr * gradient(new[k], b)
        w = p.mean(new)
        yield w, [*v]


def apfl(p, *, lr, alpha, alpha_lr):
    """Deng et al. 2020, Algorithm 1; vbar_i = alpha_i v_i + (1 - alpha_i) w_i is a client's model.

    The step of v_i is the gradient of f_i(vbar_i) for v_i, which has a factor alpha_i. FedJAX
    (`fedjax/algorithms/apfl.py`) takes it for vbar_i, without the factor.
    """
    w, v, a = p.start, [p.start] * SITES, [alpha] * SITES
    for clients in p.rounds:
        w_i = {}
        for i, batches in clients.items():
            w_i[i] = w
            for b in batches:
                g = gradient(a[i] * v[i] + (1 - a[i]) * w_i[i], b)
                step = alpha_lr * (v[i] - w_i[i]) @ g
                w_i[i], v[i] = w_i[i] - lr * gradient(w_i[i], b), v[i] - lr * a[i] * g
                a[i] = np.clip(a[i] - step, 0, 1)
        w = p.mean(w_i)
        yield w, [a[i] * v[i] + (1 - a[i]) * w for i in range(SITES)]


def p_fed_me(p, *, lr, eta, lam, K):
    """Dinh et al. 2020, Algorithm 1: w_{i,r+1} = w_{i,r} - eta lam (w_{i,r} - theta~_i(w_{i,r})).

    theta~ minimises h_i = F_i(theta; D) + lam / 2 |theta - w_{i,r}|^2 by K steps of gradient descent, from
    the last theta of the round, as in the authors' code (`FLAlgorithms/users/userpFedMe.py`); first from w^t.
    """
    w, personal = p.start, [p.start] * SITES
    for clients in p.rounds:
        w_i = {}
        for i, batches in clients.items():
            w_i[i] = theta = w
            for b in batches:
                for _ in range(K):
                    theta = theta - lr * (gradient(theta, b) + lam * (theta - w_i[i]))
                w_i[i] = w_i[i] - eta * lam * (w_i[i] - theta)
            personal[i] = theta
        w = p.mean(w_i)
        yield w, [*personal]


def ifca(p, *, lr, centres):
    """Ghosh et al. 2020, Algorithm 1, model averaging: theta_j is the mean of the models that chose j.

    The global model is ours: the one of the cluster with the largest weight, of those chosen.
    """
    theta, choice, w = [*centres], [0] * SITES, p.start
    for clients in p.rounds:
        new = {}
        for i, batches in clients.items():
            choice[i] = int(np.argmin([value(t, pooled(batches)) for t in theta]))
            new[i] = theta[choice[i]]
            for b in batches:
                new[i] = new[i] - lr * gradient(new[i], b)
        weights = np.zeros(len(theta))
        for j in range(len(theta)):
            members = {i: new[i] for i in clients if choice[i] == j}
            if members:
                weights[j] = sum(p.weights[i] for i in members)
                theta[j] = p.mean(members)
        w = theta[int(np.argmax(weights))]
        yield w, [theta[choice[i]] for i in range(SITES)]


def layers_gradient(model, batch):
    """Of the mean of (h . W u - y)^2 / 2."""
    u, y = batch
    z = u @ model["body"].T
    error = z @ model["head"] - y[:, 0]
    return {
        "body": np.outer(model["head"], error @ u) / len(u),
        "head": error @ z / len(u),
    }


def step(model, grad, lr, only=None):
    """A step of SGD on all entries of a model, or on some."""
    return {k: x - lr * grad[k] if only is None or k in only else x for k, x in model.items()}


def part(model, names):
    return {k: x for k, x in model.items() if k in names}


def mean(p, models):
    """The mean of the sites' dictionaries."""
    names = next(iter(models.values()))
    return {k: p.mean({s: model[k] for s, model in models.items()}) for k in names}


def fed_per(p, *, lr):
    """Arivazhagan et al. 2019, Algorithms 1 and 2: body W_B and head W_P by SGD; W_B is averaged."""
    body, heads = part(p.start, ["body"]), [part(p.start, ["head"])] * SITES
    for clients in p.rounds:
        new = {}
        for j, batches in clients.items():
            model = body | heads[j]
            for b in batches:
                model = step(model, layers_gradient(model, b), lr)
            new[j], heads[j] = part(model, ["body"]), part(model, ["head"])
        body = mean(p, new)
        yield body, [body | head for head in heads]


def fed_rep(p, *, lr, tau):
    """Collins et al. 2021, Algorithm 1: tau steps of the head with the body fixed, then steps of the body.

    The remaining batches of a round are the body's. A client with tau batches sends the body that it got.
    """
    body, heads = part(p.start, ["body"]), [part(p.start, ["head"])] * SITES
    for clients in p.rounds:
        new = {}
        for i, batches in clients.items():
            model = body | heads[i]
            for number, b in enumerate(batches):
                only = ["head"] if number < tau else ["body"]
                model = step(model, layers_gradient(model, b), lr, only)
            new[i], heads[i] = part(model, ["body"]), part(model, ["head"])
        body = mean(p, new)
        yield body, [body | head for head in heads]


def fed_ala(p, *, lr, eta):
    """Zhang et al. 2023, equations (4) and (5), the head being the p upper layers; clip as its sigma.

    Theta^_i = Theta_i + (Theta - Theta_i) * [1; W_i],  W_i <- W_i - eta grad_W L(Theta^_i),  W_i in [0, 1]
    A pass over the round's batches for W_i, then one for the model.
    """
    world, heads, W = p.start, [p.start["head"]] * SITES, [np.ones(2)] * SITES

    def combined(i):
        return {"body": world["body"], "head": heads[i] + (world["head"] - heads[i]) * W[i]}

    for clients in p.rounds:
        new = {}
        for i, batches in clients.items():
            for b in batches:
                grad = layers_gradient(combined(i), b)["head"]
                W[i] = np.clip(W[i] - eta * grad * (world["head"] - heads[i]), 0, 1)
            new[i] = combined(i)
            for b in batches:
                new[i] = step(new[i], layers_gradient(new[i], b), lr)
            heads[i] = new[i]["head"]
        world = mean(p, new)
        yield world, [combined(i) for i in range(SITES)]


def normalised_gradient(model, batch):
    """Gradient, and the batch's moments, of the mean of (h . (scale z' + bias) - y)^2 / 2.

    z = W u, z' = (z - mean z) / sqrt(var z + eps): Ioffe and Szegedy 2015, the chain rule of section 3.
    """
    u, y = batch
    n = len(u)
    z = u @ model["body"].T
    mu, var = z.mean(0), z.var(0)
    inverse = 1 / np.sqrt(var + EPSILON)
    z_hat = (z - mu) * inverse
    out = model["scale"] * z_hat + model["bias"]
    error = (out @ model["head"] - y[:, 0]) / n
    d_out = np.outer(error, model["head"])
    d_hat = d_out * model["scale"]
    d_var = (d_hat * (z - mu)).sum(0) * -0.5 * inverse**3
    d_mu = -(d_hat * inverse).sum(0) + d_var * (-2 * (z - mu)).mean(0)
    d_z = d_hat * inverse + d_var * 2 * (z - mu) / n + d_mu / n
    grad = {
        "body": d_z.T @ u,
        "head": error @ out,
        "scale": (d_out * z_hat).sum(0),
        "bias": d_out.sum(0),
    }
    return grad, mu, var


def fed_bn(p, *, lr, momentum, ours=("scale", "bias", "mean", "var")):
    """Li et al. 2021 (FedBN): everything but the normalisation's parameters and statistics is averaged.

    With `ours` its statistics alone, SiloBN (Andreux et al. 2020).
    """
    shared = {k: x for k, x in p.start.items() if k not in ours}
    local = [part(p.start, ours)] * SITES
    for clients in p.rounds:
        new = {}
        for k, batches in clients.items():
            model = shared | local[k]
            for b in batches:
                grad, mu, var = normalised_gradient(model, b)
                moments = {
                    "mean": momentum * model["mean"] + (1 - momentum) * mu,
                    "var": momentum * model["var"] + (1 - momentum) * var,
                }
                model = step(model, grad, lr, grad) | moments
            new[k], local[k] = part(model, shared), part(model, ours)
        shared = mean(p, new)
        yield shared, [shared | kept for kept in local]


def batch_stats(p, *, lr, momentum, naive):
    """FedAvg with federated running statistics, as `wrappers/batch_stats.py` states them.

    A site's K steps move its statistics by d = 1 - momentum^K of the way to its data's moments M, V.
    Aggregated: the mixture of the sites' moments, and the mean of the ways. Naive: the mean of statistics.
    """
    model = p.start
    for clients in p.rounds:
        new, M, V, d = {}, {}, {}, {}
        for k, batches in clients.items():
            own = model
            for b in batches:
                grad, mu, var = normalised_gradient(own, b)
                moments = {
                    "mean": momentum * own["mean"] + (1 - momentum) * mu,
                    "var": momentum * own["var"] + (1 - momentum) * var,
                }
                own = step(own, grad, lr, grad) | moments
            new[k], d[k] = own, 1 - momentum ** len(batches)
            M[k] = model["mean"] + (own["mean"] - model["mean"]) / d[k]
            V[k] = model["var"] + (own["var"] - model["var"]) / d[k]
        last, model = model, mean(p, new)
        if not naive:
            mixed = p.mean(M)
            within, between = p.mean(V), p.mean({k: (M[k] - mixed) ** 2 for k in M})
            model["mean"] = last["mean"] + p.mean(d) * (mixed - last["mean"])
            model["var"] = last["var"] + p.mean(d) * (within + between - last["var"])
        yield model, [model] * SITES
