"""What the JSON files of a study may hold, as `fl_jax.files.json_shape` tells shapes."""

from fl_jax.core.types import LABELS
from fl_jax.files.json_shape import COUNT, NUMBER, TEXT

_INTERVAL = {"estimate": NUMBER, "low": NUMBER, "high": NUMBER}

ROUND = {
    "round": int,
    **dict.fromkeys(("loss?", "val_macro_auroc?", "val_loss?", "examples?"), NUMBER),
    "site_loss?": ({"*": NUMBER}, None),
    "left_out?": ({"*": str}, [str], None),
    "faults?": ({"*": [str]}, None),
}
"""A line of metrics.jsonl."""
DONE = {
    **dict.fromkeys(("best_round?", "rounds?", "examples_seen?", "parameters?"), COUNT),
    **dict.fromkeys(("best_val_macro_auroc?", "images_per_second?", "seconds?"), NUMBER),
    "predictions?": [str],
    "device?": str,
}
"""done.json"""
MANIFEST = {
    "config?": (
        {
            **dict.fromkeys(("seed?", "resamples?"), int),
            **dict.fromkeys(("source?", "data_dir?", "survey?", "algorithm?"), TEXT),
            "margin?": (int, float),
        },
        None,
    ),
    "command?": TEXT,
    "versions?": ({"*": str}, None),
    "stages?": ({"*": NUMBER}, None),
}
"""manifest.json"""
INPUTS = {"backbone?": str}
"""inputs.json of a model, as far as a report reads it"""
SALIENCY = {
    **dict.fromkeys(("model", "predictions", "slices"), str),
    **dict.fromkeys(("samples", "seed", "resamples"), int),
    "noise_hu": (int, float),
    "subtypes": {
        f"{label}?": (
            {
                **dict.fromkeys(("fit", "slices", "patients", "checked_slices"), int),
                **dict.fromkeys(("share", "chance", "difference", "random_share"), _INTERVAL),
                "correlation": {"all": _INTERVAL, "*": _INTERVAL},
            },
            None,
        )
        for label in LABELS[1:]
    }
    | {"*": ()},
}
"""saliency.json"""
