"""Algorithms with one global model, transcribed from their papers in float64 NumPy, on quadratics.

Written from the papers, not from `fl_jax`; each keeps its paper's signs, units and order. Each yields the
model after every round. `p.mean` stands for the papers' mean over the participants (equal weights, or by
examples), `p.share` for their |S| / N.
"""

import numpy as np
from parity_problem import SITES, gradient, pooled, value


def fed_avg(p, *, lr):
    """McMahan et al. 2017, Algorithm 1: w_{t+1} = sum_k n_k / m_t w^k_{t+1}."""
    w = p.start
    for clients in p.rounds:
        new = {}
        for k, batches in clients.items():
            new[k] = w
            for b in batches:
                new[k] = new[k] - lr * gradient(new[k], b)
        w = p.mean(new)
        yield w


def momentum(beta):
    """A buffer of gradients: m <- beta m + g."""
    m = 0.0

    def step(g):
        nonlocal m
        m = beta * m + g
        return m

    return step


def adam(beta1, beta2, eps):
    """Kingma and Ba 2015, Algorithm 1: bias-corrected, unlike Reddi et al.'s FedAdam."""
    m, v, t = 0.0, 0.0, 0

    def step(g):
        nonlocal m, v, t
        m, v, t = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2, t + 1
        return m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)

    return step


def reddi(second, beta1, tau):
    """Reddi et al. 2021, Algorithm 2, of Delta = -g: v_{-1} = tau^2, no bias correction."""
    m, v = 0.0, tau**2

    def step(g):
        nonlocal m, v
        m, v = beta1 * m + (1 - beta1) * -g, second(v, -g)
        return -m / (np.sqrt(v) + tau)

    return step


SECOND = {
    "adagrad": lambda v, delta: v + delta**2,
    "yogi": lambda v, delta: v - (1 - 0.99) * delta**2 * np.sign(v - delta**2),
    "adam": lambda v, delta: 0.99 * v + (1 - 0.99) * delta**2,
}
"""The second moments of Algorithm 2, with beta_2 = 0.99."""


def fed_opt(p, *, lr, eta, server):
    """Reddi et al. 2021, Algorithm 1 (FedOpt): the server's optimiser takes -mean(x_i - x) for a gradient.

    With `momentum`, FedAvgM (Hsu et al. 2019).
    """
    x, optimiser = p.start, server()
    for clients in p.rounds:
        (average,) = fed_avg(p._replace(start=x, rounds=[clients]), lr=lr)
        x = x - eta * optimiser(x - average)
        yield x


def kept_momentum(p, *, lr, beta):
    """FedAvg whose clients keep their optimiser's state between their rounds, here `momentum`'s."""
    w, optimisers = p.start, [momentum(beta) for _ in range(SITES)]
    for clients in p.rounds:
        new = {}
        for k, batches in clients.items():
            new[k] = w
            for b in batches:
                new[k] = new[k] - lr * optimisers[k](gradient(new[k], b))
        w = p.mean(new)
        yield w


def fed_prox(p, *, lr, mu):
    """Li et al. 2020, Algorithm 2; SGD on h_k(w; w^t) = F_k(w) + mu / 2 |w - w^t|^2."""
    w = p.start
    for clients in p.rounds:
        new = {}
        for k, batches in clients.items():
            new[k] = w
            for b in batches:
                new[k] = new[k] - lr * (gradient(new[k], b) + mu * (new[k] - w))
        w = p.mean(new)
        yield w


def fed_sam(p, *, lr, rho):
    """Qu et al. 2022, Algorithm 1: g at w + rho g / |g|."""
    w = p.start
    for clients in p.rounds:
        new = {}
        for k, batches in clients.items():
            new[k] = w
            for b in batches:
                g = gradient(new[k], b)
                new[k] = new[k] - lr * gradient(new[k] + rho * g / np.linalg.norm(g), b)
        w = p.mean(new)
        yield w


def scaffold(p, *, lr, server_lr, option):
    """Karimireddy et al. 2020, Algorithm 1; equations (3), (4) with its two options, (5).

    pfl-research (`pfl/algorithm/scaffold.py`) has option 2 with x_s - x in the place of x - y_i, and option 1
    with minus the gradient: its c and c_i point the wrong way.
    """
    x, c, c_i = p.start, 0.0, [0.0] * SITES
    for clients in p.rounds:
        dy, dc = {}, {}
        for i, batches in clients.items():
            y, K = x, len(batches)
            for b in batches:
                y = y - lr * (gradient(y, b) - c_i[i] + c)
            plus = gradient(x, pooled(batches)) if option == 1 else c_i[i] - c + (x - y) / (K * lr)
            dy[i], dc[i] = y - x, plus - c_i[i]
            c_i[i] = plus
        x = x + server_lr * p.mean(dy)
        c = c + p.share(clients) * p.mean(dc)
        yield x


def fed_dyn(p, *, lr, alpha):
    """Acar et al. 2021, Algorithm 1, whose argmin is SGD's K steps; `grad_k` is its grad L_k(theta_k^t).

    h <- h - alpha / m sum over P_t of (theta_k - theta), where the sum over m devices is share times mean.
    """
    theta, h, grad = p.start, 0.0, [0.0] * SITES
    for clients in p.rounds:
        new = {}
        for k, batches in clients.items():
            new[k] = theta
            for b in batches:
                new[k] = new[k] - lr * (gradient(new[k], b) - grad[k] + alpha * (new[k] - theta))
            grad[k] = grad[k] - alpha * (new[k] - theta)
        h = h - alpha * p.share(clients) * p.mean({k: new[k] - theta for k in clients})
        theta = p.mean(new) - h / alpha
        yield theta


def fed_nova(p, *, lr, local, norm):
    """Wang et al. 2020, section 4: x <- x - tau_eff sum_i p_i eta d_i, d_i = G_i a_i / |a_i|_1.

    tau_eff = sum_i p_i |a_i|_1. `local` yields the steps of the local optimiser; eta G_i a_i is the way that
    it goes. `norm(K)` is |a_i|_1.
    """
    x = p.start
    for clients in p.rounds:
        d, a = {}, {}
        for i, batches in clients.items():
            y, optimiser = x, local()
            for b in batches:
                y = y - lr * optimiser(gradient(y, b))
            a[i] = norm(len(batches))
            d[i] = (x - y) / lr / a[i]
        x = x - p.mean(a) * lr * p.mean(d)
        yield x


def fed_exp(p, *, lr, eps):
    """Jhunjhunwala et al. 2023, Algorithm 1: eta_g = max{1, sum |Delta_i|^2 / (2 M (|mean|^2 + eps))}."""
    w = p.start
    for clients in p.rounds:
        delta = {}
        for i, batches in clients.items():
            (new,) = fed_avg(p._replace(start=w, rounds=[{i: batches}]), lr=lr)
            delta[i] = w - new
        mean = p.mean(delta)
        squares = p.mean({i: d @ d for i, d in delta.items()})
        w = w - max(1, squares / (2 * (mean @ mean + eps))) * mean
        yield w


def q_fed_avg(p, *, lr, q, L):
    """Li et al. 2020 (q-FFL), Algorithm 2: w <- w - sum Delta_k / sum h_k.

    Dw_k = L (w - w_k),  Delta_k = F_k^q(w) Dw_k,  h_k = q F_k^{q-1}(w) |Dw_k|^2 + L F_k^q(w)

    Flower (`flwr/server/strategy/qfedavg.py`) has the server's one evaluation loss in the place of every F_k.
    """
    w = p.start
    for clients in p.rounds:
        Delta, h = {}, {}
        for k, batches in clients.items():
            new, F = w, value(w, pooled(batches))
            for b in batches:
                new = new - lr * gradient(new, b)
            Dw = L * (w - new)
            Delta[k] = F**q * Dw
            h[k] = q * F ** (q - 1) * (Dw @ Dw) + L * F**q
        w = w - p.mean(Delta) / p.mean(h)
        yield w


def mime(p, *, lr, beta, corrected, last_c=False):
    """Karimireddy et al. 2021, Algorithm 1, Mime and MimeLite, with momentum as the base optimiser.

    y <- y - lr U(grad f(y; b) - grad f(x; b) + c, m);  MimeLite: U(grad f(y; b), m);  m <- V(c, m)
    U(g, m) = (1 - beta) g + beta m = V(g, m);  c = mean of grad f_i(x).  `last_c`: c of the round before.
    """
    U = V = lambda g, m: (1 - beta) * g + beta * m
    x, m, last = p.start, 0.0, 0.0
    for clients in p.rounds:
        c = p.mean({i: gradient(x, pooled(batches)) for i, batches in clients.items()})
        y = {}
        for i, batches in clients.items():
            y[i] = x
            for b in batches:
                g = gradient(y[i], b)
                if corrected:
                    g = g - gradient(x, b) + (last if last_c else c)
                y[i] = y[i] - lr * U(g, m)
        x, m, last = p.mean(y), V(c, m), c
        yield x


def agnostic(p, *, lr, rate):
    """Ro et al. 2021: FedAvg with client weights lambda_k, and an exponentiated gradient step on them.

    lambda_k <- lambda_k exp(rate F_k(w)) for the clients of the round, at the round's w; normalised whole.
    """
    w, weights = p.start, p.weights / p.weights.sum()
    for clients in p.rounds:
        (average,) = fed_avg(p._replace(start=w, rounds=[clients], weights=weights), lr=lr)
        weights = weights.copy()
        for k, batches in clients.items():
            weights[k] *= np.exp(rate * value(w, pooled(batches)))
        weights = weights / weights.sum()
        w = average
        yield w


def fed_buff(p, *, lr, K, due):
    """Nguyen et al. 2022, Algorithm 1: the server moves by its buffer's mean once K updates are in it.

    Delta_i is scaled by 1 / sqrt(1 + staleness), the server's steps since client i got its model. A client
    trains when it gets the model. `due[r][i]`: whether its update arrives in round r. Weighted, K is a share
    of all weights: each update counts with its client's.
    """
    w, t, buffer, filled, busy = p.start, 0, 0.0, 0.0, {}
    for clients, arrives in zip(p.rounds, due, strict=True):
        for i, batches in clients.items():
            if i not in busy:
                (new,) = fed_avg(p._replace(start=w, rounds=[{i: batches}]), lr=lr)
                busy[i] = new - w, t
        for i in clients:
            if arrives[i]:
                delta, start = busy.pop(i)
                buffer = buffer + p.weights[i] * delta / np.sqrt(1 + t - start)
                filled += p.weights[i]
        if filled / p.weights.sum() >= K - 1e-12:
            w, t, buffer, filled = w + buffer / filled, t + 1, 0.0, 0.0
        yield w


def cyclic(p, *, lr):
    """Chang et al. 2018: the model travels from institution to institution."""
    w = p.start
    for institutions in p.rounds:
        for batches in institutions.values():
            for b in batches:
                w = w - lr * gradient(w, b)
        yield w


def fed_newton(p, *, l2):
    """Newton's method on the participants' pooled loss plus l2 / 2 |x - x_0|^2, as `fed_newton` states it.

    Safaryan et al. 2022 (FedNL) without compression; |H| of Dauphin et al. 2014 for indefinite Hessians.
    """
    x, lowest, best, d = p.start, np.inf, p.start, 0.0
    for sites in p.rounds:
        data = {s: pooled(batches) for s, batches in sites.items()}
        F = p.mean({s: value(x, b) for s, b in data.items()}) + l2 / 2 * np.sum((x - p.start) ** 2)
        g = p.mean({s: gradient(x, b) for s, b in data.items()}) + l2 * (x - p.start)
        H = p.mean({s: b[0].mean(0) for s, b in data.items()})  # of quadratics, the diagonal
        if F - lowest < 0:
            lowest, best, d = F, x, -g / (np.abs(H) + l2)
        else:
            d = d / 4
        x = best + d
        yield x


def ema(models, decay):
    """Polyak averaging with Adam's debiasing: sum_j decay^{k-j} x_j / sum_j decay^{k-j}."""
    seen = []
    for x in models:
        seen.append(x)
        weights = decay ** np.arange(len(seen) - 1, -1, -1)
        yield weights @ np.stack(seen) / weights.sum()


def scheduled(p, *, lr, factors):
    """FedAvg whose client rate in round r is lr factors[r]."""
    w = p.start
    for clients, factor in zip(p.rounds, factors, strict=True):
        (w,) = fed_avg(p._replace(start=w, rounds=[clients]), lr=lr * factor)
        yield w
