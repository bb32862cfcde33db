"""The cost of each fault of a federation, with and without a defence, as more sites fail.

    python -m launch.sweep --config=configs/faults.py --workdir=runs/faults

Twenty sites with moderate label skew, all planned in every round; FedAvg at one learning rate. Faults hit the
first 2, 4 or 8 sites, in every round or, for faults that strike at random, with probability 1/2. "Undefended"
means a plain mean and, where the server's checks are the defence, a server without them.

Test accuracy, three seeds (240 runs, 5 minutes on 2 busy cores); 0.964 without a fault:

- A single message that is not finite drives an unchecked run to chance. Left out, it costs nothing.
- Clipping stops exploding updates (0.965) but not sign flips at 8 of 20 sites (0.75 to 0.84). Multi-Krum
  stops both (0.94 to 0.96) and costs 0.017 without an attack.
- Late messages, and messages counted five times, do no measurable harm: these sites are too similar for
  either to move the mean far.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import digits_skew

SEVERITIES = (2, 4, 8)
"""Faulty sites of twenty."""
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
    """Rows `FAULT/SITES, DEFENCE`."""
    result: dict[str, dict[str, Any]] = {}

    def panel(title: str, fault: str, **defences: dict[str, Any]) -> None:
        result[f"{title}/no fault"] = {}
        for sites in SEVERITIES:
            for name, fields in defences.items():
                faults = (fault.format(sites), *fields.get("faults", ()))
                row = {"faults": faults} | {k: v for k, v in fields.items() if k != "faults"}
                result[f"{title}/{sites} sites, {name.replace('_', ' ')}"] = row

    trusting = {"faults": ("trusting()",)}
    # No message arrives; the round continues with the others.
    panel("absent", "absent({}, share=0.5)", goes_on={})
    panel("dropping out", "drop_out({}, share=0.5)", goes_on={})
    panel("straggling", "straggle({}, share=0.5, done=0.2)", goes_on={})
    # Faults that the server's checks detect.
    panel("not finite", "not_finite({}, share=0.5)", unchecked=trusting, left_out={})
    panel("wrong shape", "garble({}, share=0.5)", left_out={})
    panel("late by 3 rounds", "stale({}, share=0.5, delay=3)", unchecked=trusting, left_out={})
    panel("sent 5 times", "duplicate({}, share=0.5, copies=5)", unchecked=trusting, once={})
    # Faults that pass every check.
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
