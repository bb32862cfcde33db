"""Normalisation x running statistics x algorithm on the synthetic cohort.

    python -m launch.sweep --config=configs/norm.py --workdir=runs/norm

45 runs in 42 minutes on 2 busy cores. Three seeds: FedBN beats FedAvg on the own site (0.799 against
0.753, both with group normalisation), batch normalisation learns faster than group normalisation, and how
its statistics are pooled makes no difference here. The table is in configs/README.md.
"""

from ml_collections import ConfigDict

from configs import ich_fed_avg

MODEL = "resnet(widths=(16, 32), stem=16, norm={norm!r})"
ALGORITHMS = {
    "FedAvg": "fed_avg(keep_optimizer=True)",
    "FedBN": "fed_bn(keep_optimizer=True)",
    "FedProx": "fed_prox(mu=0.01, keep_optimizer=True)",
}
SETTINGS = {
    "group": ("group", "frozen"),
    "layer": ("layer", "frozen"),
    "none": ("none", "frozen"),
    "batch aggregate": ("batch", "aggregate"),
    "batch recompute": ("batch", "recompute"),
    "batch local": ("batch", "local"),
    "batch naive": ("batch", "naive"),
}
"""Normalisation and `statistics`, which only batch normalisation has."""
LEFT_OUT = {
    # No layers to keep local; and recomputed statistics do not fit personal models.
    "FedBN": ("none", "batch recompute"),
    "FedProx": ("layer", "none", "batch local", "batch naive"),  # for time
}


def base() -> ConfigDict:
    config = ich_fed_avg.get_config()
    config.partition_seed = 0
    config.image_size = 48
    config.fractions = (0.6, 0.15, 0.25)
    config.optimizer = "adam(2e-3)"
    config.positive_weight_ceiling = 3.0
    config.rounds = 12
    config.epochs = 0.5
    config.resamples = 500
    return config


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.runner = "cohort()"
    config.tables = "places(reference='FedAvg/group')"
    config.base = base()
    config.rows = ConfigDict(
        {
            f"{title}/{name}": {
                "algorithm": algorithm,
                "model": MODEL.format(norm=norm),
                "statistics": statistics,
            }
            for title, algorithm in ALGORITHMS.items()
            for name, (norm, statistics) in SETTINGS.items()
            if name not in LEFT_OUT.get(title, ())
        },
        sort_keys=False,
    )
    config.seeds = (0, 1, 2)
    config.tuning = ConfigDict({"seeds": (), "grid": {}, "metric": "own_macro", "highest": True})
    config.columns = ConfigDict(
        {
            "own_macro": "own site",
            "other_macro": "other sites",
            "holdout_macro": "unseen hold-out",
            "holdout_micro": "hold-out, micro",
        },
        sort_keys=False,
    )
    config.reference = "group"
    config.jobs = 1
    return config
