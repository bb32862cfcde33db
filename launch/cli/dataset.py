"""Tables of a dataset's counts, and of files and labels that were refused, repaired or left out."""

from rich import box
from rich.table import Table

from fl_jax.core.types import LABELS
from fl_jax.data import dataset as builder

SHORT = dict(zip(LABELS, ("any", "EDH", "IPH", "IVH", "SAH", "SDH"), strict=True))
"""Abbreviations of the labels, for narrow tables."""
LEFT_OUT = {
    "labels_without_image": "label without image",
    "images_without_label": "image without label",
    "duplicate_labels": "duplicate label line",
    "any_repaired": "'any' set from a subtype",
}
"""Counts of a listing, in words."""
SHARED = {
    "shared_pictures": "image identical to another",
    "linked_patients": "patient kept in the split of one with an identical image",
}
"""Counts of identical images, in words."""


def table(summary: builder.Summary) -> Table:
    """Sites x (patients, studies, slices, positives per label), with a row of totals."""
    shown = Table(
        title="Dataset: positive slices per label",
        caption="epidural, intraparenchymal, intraventricular, subarachnoid, subdural hemorrhage",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    shown.add_column("site", no_wrap=True)
    counts = ("patients", "studies", "slices")
    for name in (*counts, *SHORT.values(), "refused"):
        shown.add_column(name, justify="right")
    total = [0] * (len(counts) + len(LABELS) + 1)
    for site, counted in summary["sites"].items():
        row = [counted[name] for name in counts]
        row += [counted["positives"][label] for label in LABELS]
        row.append(sum(counted["refused"].values()))
        total = [a + b for a, b in zip(total, row, strict=True)]
        shown.add_row(site, *map(str, row))
    shown.add_section()
    shown.add_row("all", *map(str, total))
    return shown


def notes(summary: builder.Summary) -> Table | None:
    """Files and labels refused, repaired or left out, by reason and site; None if there are none."""
    where: dict[tuple[str, str], dict[str, int]] = {}
    for site, counted in summary["sites"].items():
        kinds = {("refused", reason): count for reason, count in counted["refused"].items()}
        kinds |= {("repaired", repair): count for repair, count in counted["repairs"].items()}
        kinds |= {("labels", LEFT_OUT[name]): counted[name] for name in LEFT_OUT}
        kinds |= {("pictures", SHARED[name]): counted[name] for name in SHARED}
        for kind, count in kinds.items():
            if count:
                where.setdefault(kind, {})[site] = count
    if not where:
        return None
    shown = Table(
        title="Files and labels refused, repaired or left out",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    shown.add_column("what", no_wrap=True)
    shown.add_column("why", no_wrap=True)
    shown.add_column("all", justify="right")
    shown.add_column("where", overflow="fold")
    for (what, why), counts in sorted(where.items()):
        sites = ", ".join(f"{site} {count}" for site, count in counts.items())
        shown.add_row(what, why, str(sum(counts.values())), sites)
    return shown
