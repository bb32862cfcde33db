"""The cost of each flaw in the published study's code, one switch at a time.

    python -m launch.sweep --config=configs/as_published.py --workdir=runs/as_published

Each row turns one flaw on and compares the figure that the flawed code reports with the correct one, from the
same synthetic cohort, seed and initial parameters. The flaws exist in
`fl_jax/experiment/runners/published.py` alone; no experiment can use them. A seed decides partition, initial
parameters and order. AUROC is the mean over labels. "Untouched" means on all pixels of the hold-out.

- `image_level_split`: each site's slices, not its patients, are split into train, validation and test, in the
  same proportions, so that a patient's slices land on both sides. Reported: the federated model's AUROC on
  its test slices. Also the difference on untouched patients.
- `unequal_budgets`: the central model sees `central_budget` times the examples of the federated one, in
  batches of `central_batch`. Reported: federated minus central AUROC. (The published central model also had
  another split, which this switch leaves out.)
- `silent_zero_images`: a random share `unreadable` of all files cannot be read. As published, each becomes an
  image of zeros that keeps its label, in training, validation and test. Correct: it is refused and counted.
  Both trainings see the same number of examples. Reported: the federated model's AUROC on the hold-out as
  read. Also the difference on untouched patients.
- `local_from_federated`: a "local" model is the federated one after one more round at its site. Correct: it
  starts from the common initial parameters, never sees another site, and makes as many passes over its
  slices as in the federation. Reported: federated AUROC minus the mean of the local models'.
- `naive_intervals`: DeLong's interval treats a patient's slices as independent. Correct: patients are
  clusters. Reported: the width of the 95 % interval of the federated model's AUROC, and the coverage of both
  intervals, i.e. the share of `resamples` cohorts, drawn with replacement from the hold-out's patients, whose
  interval contains the AUROC of the whole hold-out.
- `bleed_free_weights`: a label's positive weight is the number of bleed-free images over its positives.
  Correct: all images without that label over its positives. Both are capped at `positive_weight_ceiling`,
  which is high enough to bind rarely. Reported: the federated model's AUROC.

Hold-out figures with and without a flaw use the same hold-out, so only the flaw differs. Intervals resample
patients within sites, the same resamples for both, and include the spread between seeds.
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
    """The experiment that all rows share: small, trained from random parameters."""
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
