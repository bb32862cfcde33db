"""How far each federated row is from its panel's central model, with intervals by patient and seed.

Rows are runs of `fl_jax.experiment.runners.cohort` named `PANEL/NAME`: every panel has `PANEL/central`, one
has `PANEL/local`. A row is *first* at a site if its micro AUROC on the site's test patients, the mean over
seeds, is at least that of the best local model there. `launch.sweep.tables.places` defines the intervals.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fl_jax.evaluation.seed_variance import Spread
from fl_jax.files import atomic, csv_table
from launch.sweep.tables import places

CENTRAL, LOCAL = "central", "local"
_BEST, _AT = "best_micro_at_", "micro_at_"


class Gap(NamedTuple):
    """A row of the table.

    Attributes:
        auroc: micro AUROC on the hold-out.
        less: `auroc` minus the central model's; None for the central model or without one.
        own_site: the same difference on the sites' own test patients.
        first: at how many sites it is first, and of how many; None without local models.
    """

    auroc: Spread
    less: Spread | None
    own_site: Spread | None
    first: tuple[int, int] | None


def gaps(allowed: float = 0.01) -> Callable[[places.Rows, Path], None]:
    """Makes the function that writes `table.csv` and `table.md` into a folder.

    Args:
        allowed: the loss of AUROC that the interval should exclude, > 0.
    """
    if not allowed > 0:
        raise ValueError(f"allowed={allowed}: must be above 0")

    def write(rows: places.Rows, folder: Path) -> None:
        gaps_by_row = lines(rows)
        atomic.write_text(folder / "table.csv", as_csv(gaps_by_row))
        atomic.write_text(folder / "table.md", as_markdown(gaps_by_row, allowed))

    return write


def lines(rows: places.Rows) -> dict[str, Gap]:
    """Every row of each panel, the smallest gap first, after the panel's central and local models."""
    gaps_by_row: dict[str, Gap] = {}
    locals_ = [runs for title, (_, runs) in rows.items() if _name(title) == LOCAL]
    for panel in dict.fromkeys(title.rpartition("/")[0] for title in rows):
        here = {t: row for t, row in rows.items() if t.rpartition("/")[0] == panel}
        at = f"{panel}/".lstrip("/")
        best = [here[at + LOCAL][1]] if at + LOCAL in here else locals_[:1]
        measured = {
            title: _gap(line, here[title][1], best[0] if best else None)
            for title, line in places.lines(here, at + CENTRAL).items()
        }
        order = sorted(
            measured.items(),
            key=lambda item: (
                _name(item[0]) not in (CENTRAL, LOCAL),
                -item[1].less.mean if item[1].less else 0.0,
            ),
        )
        gaps_by_row |= dict(order)
    return gaps_by_row


def _name(title: str) -> str:
    return title.rpartition("/")[2]


def _gap(line: places.Line, runs: places.Runs, best: places.Runs | None) -> Gap:
    less = line.get("less", {})
    first = None
    if best is not None:
        sites = [name.removeprefix(_BEST) for name in best[0] if name.startswith(_BEST)]
        won = [_mean(runs, _AT + s) >= _mean(best, _BEST + s) for s in sites]
        first = sum(won), len(sites)
    return Gap(
        line["auroc"]["holdout_micro"], less.get("holdout_micro"), less.get("own_micro"), first
    )


def _mean(runs: places.Runs, name: str) -> float:
    return float(np.mean([run[name] for run in runs]))


def as_csv(gaps_by_row: Mapping[str, Gap]) -> str:
    """Means, limits and the deviation between seeds, unrounded."""
    header = ["row", "seeds", "measure", "mean", "low", "high", "between_seeds"]
    rows = []
    for title, gap in gaps_by_row.items():
        measures = {"holdout_micro": gap.auroc, "holdout_less": gap.less, "own_less": gap.own_site}
        for name, s in measures.items():
            if s is not None:
                values: list[Any] = [title, s.seeds, name, s.mean, s.low, s.high, s.between]
                rows.append([*values, *(gap.first or ("", ""))])
    return csv_table.text([*header, "first_at", "sites"], rows)


def as_markdown(gaps_by_row: Mapping[str, Gap], allowed: float) -> str:
    """A line a row."""
    titles = ["", "seeds", "hold-out micro AUROC", "less central", "own site, less central"]
    titles += [f"where a loss of {allowed:g} is excluded", "first at"]
    rows = []
    for title, gap in gaps_by_row.items():
        less = {"hold-out": gap.less, "own site": gap.own_site}
        cells = [title, str(gap.auroc.seeds), places.shown(gap.auroc)]
        cells += ["" if s is None else places.shown(s, sign=True) for s in less.values()]
        known = {place: s.low for place, s in less.items() if s is not None and not np.isnan(s.low)}
        excluded = " and ".join(place for place, low in known.items() if low > -allowed)
        cells.append(excluded or ("nowhere" if known else ""))
        cells.append("" if gap.first is None else f"{gap.first[0]} of {gap.first[1]}")
        rows.append(cells)
    return places.markdown(titles, rows)
