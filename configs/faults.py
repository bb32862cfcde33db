"""What does each fault of a federation cost, with and without a defence, and how does it grow?

    python -m launch.sweep --config=configs/faults.py --workdir=runs/faults

Twenty sites with moderately different digits, all planned in every round, FedAvg at one learning rate.
The first 2, 4 or 8 of them are struck, in every round or, where the fault is one of chance, in every second.
Undefended is a mean, and a server that checks nothing where its checks are the defence.

Seen with three seeds (240 runs, some 5 minutes in two parts on two busy cores); without a fault 0.964:

- One message that is not finite, unchecked, ends a run at chance; left out it costs nothing.
- Clipping stops an explosion (0.965) and not a flip by 8 of 20 (0.75 to 0.84); Multi-Krum stops both (0.94 to
  0.96) and costs 0.017 where nobody lies.
- Expected and not seen: harm by messages that are late, or counted five times. With sites this alike neither
  moves the mean far.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import digits_skew

SEVERITIES = (2, 4, 8)
"""Struck sites of twenty."""
CLIPPED = "process(pre=clip_by_global_norm(1.0))"
ROBUST = "krum(byzantine=8, keep=10)"


def get_config() -> ConfigDict:
    config = digits_skew.get_config()
    config.base = digits_skew.base()
    config.base.update(min_sites=20, alpha=1.0)
    config.seeds = (0, 1, 2)
    config.tuning = ConfigDict({"seeds": (), "grid": {}, "metric": "val_accuracy", "highest": True})
    config.columns = ConfigDict(
        {"test_accuracy": "test accuracy", "test_loss": "test loss"}, sort_keys=False
    )
    config.reference = "no fault"
    config.rows = rows()
    return config


def rows() -> ConfigDict:
    """By fault the number of struck sites and what the server does."""
    result: dict[str, dict[str, Any]] = {}

    def panel(title: str, fault: str, **defences: dict[str, Any]) -> None:
        result[f"{title}/no fault"] = {}
        for sites in SEVERITIES:
            for name, fields in defences.items():
                faults = (fault.format(sites), *fields.get("faults", ()))
                row = {"faults": faults} | {k: v for k, v in fields.items() if k != "faults"}
                result[f"{title}/{sites} sites, {name.replace('_', ' ')}"] = row

    trusting = {"faults": ("trusting()",)}
    # Nothing arrives: the others go on.
    panel("absent", "absent({}, share=0.5)", goes_on={})
    panel("dropping out", "drop_out({}, share=0.5)", goes_on={})
    panel("straggling", "straggle({}, share=0.5, done=0.2)", goes_on={})
    # What a check finds.
    panel("not finite", "not_finite({}, share=0.5)", unchecked=trusting, left_out={})
    panel("wrong shape", "garble({}, share=0.5)", left_out={})
    panel("late by 3 rounds", "stale({}, share=0.5, delay=3)", unchecked=trusting, left_out={})
    panel("sent 5 times", "duplicate({}, share=0.5, copies=5)", unchecked=trusting, once={})
    # What passes every check.
    robust = {
        "mean": {},
        "clipped": {"aggregator": CLIPPED},
        "robust mean": {"aggregator": ROBUST},
    }
    panel("100 times too large", "explode({}, scale=100.0)", **robust)
    panel("sign flipped", "sign_flip({})", **robust)
    panel("sign flipped, 10 times", "sign_flip({}, scale=10.0)", **robust)
    panel("labels flipped", "label_flip({}, how='reverse')", **robust)
    for name in ("clipped", "robust mean"):
        result[f"no fault/{name}"] = robust[name]
    result["no fault/no fault"] = {}
    return ConfigDict(result, sort_keys=False)
