"""What each flaw of the published study's code costs: one switch each, flipped one by one.

    python -m launch.sweep --config=configs/as_published.py --workdir=runs/as_published

Each row turns one switch on and compares what is then printed with what is printed without it, from the same
synthetic cohort, seed and starting point. Never a setting of a study: the flaws live in
`fl_jax/experiment/runners/published.py` alone. AUROC is the mean over the labels. A seed decides partition,
starting
point and order. "Untouched" are the hold-out's patients, with all their pixels.

- `image_level_split`: each site's slices are dealt to train, validation and test one by one, as many to each
  as in the split by patient, so that a patient's slices are on both sides. Printed: the federated model's
  AUROC on its own test slices. Difference also on untouched patients.
- `unequal_budgets`: the central model sees `central_budget` times the examples of the federated one, in
  batches of `central_batch`. Printed: federated less central AUROC. (That the published central model also
  had another split is not part of this switch.)
- `silent_zero_images`: the share `unreadable` of all files, at random, cannot be read. Published: each is an
  image of zeros with its label, in training, validation and test. Right: it is refused and counted, here left
  out of all three. Printed: the federated model's AUROC on the hold-out as it was read. Difference also on
  untouched patients. A training sees as many examples in both.
- `local_from_federated`: a "local" model is the federated one after one more round at its site. Right: it
  starts where all others do and never sees another site; it makes as many passes over its slices as in the
  federation. Printed: federated AUROC less the local models' mean.
- `naive_intervals`: DeLong's interval takes the slices of a patient for independent; right: patients are the
  clusters. Printed: the width of the 95 % interval of the federated model's AUROC. Each of `resamples`
  cohorts, drawn with replacement from the hold-out's patients, gets both intervals: coverage is the share
  that holds the hold-out's own AUROC.
- `bleed_free_weights`: a label's positive weight is bleed-free images to positives; right: all images without
  that label to its positives. Both up to `positive_weight_ceiling`, high enough to bind neither much.
  Printed: the federated model's AUROC.

Hold-out results are printed on the hold-out, so that nothing but the flaw moves. Intervals resample patients
within their sites, both ways on the same resamples, and add the spread between seeds.
"""

from ml_collections import ConfigDict

from configs import ich_fed_avg

FLAWS = {
    "image_level_split": "Image-level split",
    "unequal_budgets": "Unequal budgets",
    "silent_zero_images": "Silent zero images",
    "local_from_federated": "Local models from the federated run",
    "naive_intervals": "Naive intervals",
    "bleed_free_weights": "Positive weights against bleed-free images",
}


def study() -> ConfigDict:
    """The study that is the same in all rows: small, and trained from random parameters."""
    config = ich_fed_avg.get_config()
    config.image_size = 64
    config.fractions = (0.6, 0.15, 0.25)
    config.model = "resnet(widths=(32, 64), stem=32)"
    config.optimizer = "adam(2e-3)"
    config.positive_weight_ceiling = 50.0
    config.rounds = 16
    config.epochs = 0.5
    config.local_budget = "epochs"
    return config


def base() -> ConfigDict:
    return ConfigDict(
        dict.fromkeys(FLAWS, False)
        | {
            "unreadable": 0.05,
            "central_budget": 3.0,
            "central_batch": 32,
            "resamples": 500,
            "study": study(),
        }
    )


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.runner = "published()"
    config.tables = "flaw_costs()"
    config.base = base()
    config.rows = ConfigDict(
        {title: {name: True} for name, title in FLAWS.items()}, sort_keys=False
    )
    config.seeds = (0, 1)
    config.tuning = ConfigDict({"seeds": (), "grid": {}, "metric": "published", "highest": True})
    config.columns = ConfigDict(
        {"published": "as published", "right": "done right", "difference": "difference"},
        sort_keys=False,
    )
    config.reference = ""
    config.jobs = 1  # the rows share their trainings
    return config
