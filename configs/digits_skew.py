"""Do they help? Every algorithm on real images at twenty sites that hold few digits each.

    python -m launch.sweep --config=configs/digits_skew.py --workdir=runs/digits_skew

Seen with five seeds (1,360 runs, 46 minutes in two threads on two busy cores), test accuracy +- standard
error:

- SCAFFOLD (option 2) 0.974 +- 0.001 and FedDyn 0.969 +- 0.003 beat FedAvg's 0.960 +- 0.004, as their
  papers say; so does a server optimiser (FedAdam 0.974, FedAdagrad 0.974). SCAFFOLD's option 1 does not
  (0.953).
- FedProx is FedAvg: the smallest mu is chosen, and the difference is below one image.
- Cyclic transfer is the best of all, 0.977 +- 0.001, which the literature does not say: with a small
  step in many rounds, passing a model on through all sites is nearly pooled training. Pooled training
  itself, tuned by the same grid, is at 0.966 +- 0.004; its chosen rate is the largest of the grid.
- Mime and MimeLite stay below FedAvg (0.924 to 0.938): the rate that they bear is a tenth of FedAvg's,
  and fifty rounds are then too few. FedSGD (0.936) and FedBuff (0.934, whose stale sites count) need
  more rounds, too.
- Where each site judges its own model on its own digits, APFL (0.985) and Ditto (0.983) beat both FedAvg
  (0.959) and a model trained alone (0.964).
"""

from typing import Any

from ml_collections import ConfigDict

CLIENT_LR = (0.01, 0.03, 0.1, 0.3, 1.0)


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.runner = "digits()"
    config.jobs = 0
    config.seeds = (0, 1, 2, 3, 4)
    config.base = base()
    # Validation images alone decide, with sites, models and batches that the reported seeds do not have.
    config.tuning = ConfigDict(
        {
            "seeds": (100, 101, 102),
            "grid": {"client_lr": CLIENT_LR},
            "metric": "val_accuracy",
            "highest": True,
        }
    )
    config.columns = ConfigDict(
        {
            "test_accuracy": "test accuracy",
            "test_loss": "test loss",
            "test_own_accuracy": "own-site accuracy",
            "rounds_to_target": "rounds to 0.9",
        },
        sort_keys=False,
    )
    config.reference = "fed_avg"
    config.rows = rows()
    return config


def base() -> ConfigDict:
    """Fields of a run, see `fl_jax/experiment/runners/digits.py`."""
    config = ConfigDict()
    config.sites = 20
    config.alpha = 0.1
    config.minimum = 5
    config.rounds = 50
    config.epochs = 5
    config.batch_size = 16
    config.min_sites = 16  # four of five, as in the study
    config.model = "mlp(widths=(64,))"
    config.optimizer = "sgd(client_lr)"
    config.algorithm = "fed_avg()"
    config.aggregator = "weighted_mean()"
    config.faults = ()
    config.client_lr = 0.1
    config.server_lr = 1.0
    config.global_model = True
    config.target = 0.9
    return config


def rows() -> ConfigDict:
    """The methods. Most have one number more to tune than FedAvg's rate: a server's rate, or their own."""

    def served(optimizer: str, server_lr: tuple[float, ...], **fields: Any) -> dict[str, Any]:
        grid = {"server_lr": server_lr}
        return {"algorithm": f"fed_avg(server_optimizer={optimizer})", "grid": grid, **fields}

    def tried(*algorithms: str) -> dict[str, Any]:
        return {"grid": {"algorithm": algorithms}}

    plain, scaled = (0.1, 0.3, 1.0, 3.0), (0.03, 0.1, 0.3, 1.0)
    adaptive = "b1=0.9, b2=0.99, eps=1e-3"  # as in Reddi et al.
    momentum = "chain(ema(0.9, debias=False), sgd(client_lr))"  # as in the paper
    one = {
        "pooled": {"sites": 1, "min_sites": 1},
        "fed_avg": {},
        "fed_avg, server SGD": served("sgd(server_lr)", plain),
        "FedSGD": served("sgd(server_lr)", plain, epochs=1, batch_size=0),
        "FedAvgM": served("sgd(server_lr, momentum=0.9)", plain),
        "FedAdam": served(f"adam(server_lr, {adaptive})", scaled),
        "FedYogi": served(f"yogi(server_lr, {adaptive})", scaled),
        "FedAdagrad": served("adagrad(server_lr, initial_accumulator_value=0.0, eps=1e-3)", scaled),
        "fed_prox": tried(*(f"fed_prox(mu={mu})" for mu in (0.001, 0.01, 0.1, 1.0))),
        "fed_sam": tried(*(f"fed_sam(rho={rho})" for rho in (0.01, 0.05, 0.1, 0.5))),
        "scaffold, option 1": {"algorithm": "scaffold(option=1)"},
        "scaffold": tried(*(f"scaffold(server_lr={lr})" for lr in (0.3, 0.5, 1.0))),
        "fed_dyn": tried(*(f"fed_dyn(alpha={alpha})" for alpha in (0.01, 0.03, 0.1, 0.3))),
        "mime": {"algorithm": "mime()"},
        "mime, momentum": {"algorithm": "mime()", "optimizer": momentum},
        "mime_lite, momentum": {"algorithm": "mime_lite()", "optimizer": momentum},
        "fed_nova": {"algorithm": "fed_nova()"},
        "q_fed_avg": tried(
            *(f"q_fed_avg(q={q}, lipschitz={lip})" for q in (0.1, 1.0) for lip in (0.1, 1.0))
        ),
        "agnostic": tried(*(f"agnostic(rate={rate})" for rate in (0.01, 0.1, 1.0))),
        "fed_buff": tried(*(f"fed_buff(buffer={share})" for share in (0.25, 0.5, 1.0))),
        "cyclic": {"algorithm": "cyclic()"},
    }
    own = {
        "alone": {"algorithm": "ditto(lam=0.0)"},
        "fed_avg": {},
        "ditto": tried(*(f"ditto(lam={lam})" for lam in (0.01, 0.1, 1.0))),
        "apfl": tried(*(f"apfl(alpha={alpha})" for alpha in (0.25, 0.5, 0.75))),
        "fed_per": {"algorithm": "fed_per(local='^Dense_1/')"},
        "fed_rep": tried(
            *(f"fed_rep(head_steps={steps}, local='^Dense_1/')" for steps in (1, 5, 10))
        ),
        "ifca": tried(*(f"ifca(clusters={clusters})" for clusters in (2, 4))),
    }
    judged = {"global_model": False, "metric": "val_own_accuracy"}
    return ConfigDict(
        {f"One model for all/{name}": row for name, row in one.items()}
        | {f"A model for each site/{name}": row | judged for name, row in own.items()},
        sort_keys=False,
    )
