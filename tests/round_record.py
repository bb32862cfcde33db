"""A line of metrics.jsonl."""


def record(number, auroc=0.9):
    return {
        "round": number,
        "loss": 0.5,
        "val_loss": 0.4,
        "val_macro_auroc": auroc,
        "images_per_second": 100.0,
        "site_loss": {"a": 0.5},
        "left_out": {},
        "void": False,
    }
