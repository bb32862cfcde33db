"""One self-contained HTML page, drawn from `results.json` and the pictures of its cases alone.

Styles, script, figures and pictures are inside; a content security policy forbids it the network.
"""

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from fl_jax.core.types import LABELS
from fl_jax.data.site_names import ALL_SITES, HOLDOUT
from fl_jax.report import answer, cases, figures, gains, survey

FOLDER = Path(__file__).parent
POINTS = {
    "fixed_0.4": "0.4, as published",
    "youden": "Youden",
    "sensitivity_0.95": "Sensitivity 0.95 on validation patients",
    "sensitivity_0.98": "Sensitivity 0.98 on validation patients",
}
"""What the page calls the operating points of `evaluation.operating`."""


def templates() -> jinja2.Environment:
    """The templates of this folder; what is put into one is escaped, and must be given."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "fixed": answer.fixed,
        "signed": answer.signed,
        "spread": answer.spread,
        "grouped": grouped,
        "duration": duration,
        "title": title,
        "percent": answer.percent,
        "p_value": answer.p_value,
    }
    environment.globals |= {
        "css": Markup((FOLDER / "page.css").read_text(encoding="utf-8")),
        "script": Markup((FOLDER / "page.js").read_text(encoding="utf-8")),
        **{"HOLDOUT": HOLDOUT, "ALL_SITES": ALL_SITES},
    }
    return environment


def render(
    results: Mapping[str, Any],
    pictures: Mapping[str, Mapping[str, bytes | None]] | None = None,
    panels: Mapping[str, bytes] | None = None,
) -> str:
    """Draws the page.

    Args:
        results: `results.json`, read back: null where a number is undefined.
        pictures: of `cases.sheet` by image name; None where the dataset is absent.
        panels: PNG of saliency maps by subtype.

    Returns:
        The page.
    """
    environment = templates()
    environment.filters |= {"counted": counted}
    drawn = figures.draw(results)
    return environment.get_template("page.html").render(
        r=results,
        answer=answer.sentence(results),
        margin=answer.margin(results),
        caution=answer.caution(results),
        delivered=answer.delivered(results),
        judged=answer.judged(results),
        few=gains.FEW,
        labels=list(LABELS),
        main=results["performance"][results["primary"]["data"]],
        look=figures.styles(results["models"]),
        variables=figures.VARIABLES,
        figure={name: Markup(figures.svg(made, name, _alt(name))) for name, made in drawn.items()},
        outcomes=cases.OUTCOMES,
        each=cases.EACH,
        points=POINTS,
        windows=cases.WINDOWS,
        pictures=None
        if pictures is None
        else {
            name: {side: data_uri(png) for side, png in shown.items() if png}
            for name, shown in pictures.items()
        },
        heat=_heat(results["cross_site"]),
        settings=dict(_flat((results["run"] or {}).get("config") or {})),
        panels={name: data_uri(png) for name, png in (panels or {}).items()},
        survey=survey.pictures(results.get("survey")),
    )


def grouped(value: float | None) -> str:
    """A count with thin spaces between thousands; an en dash for None."""
    return "–" if value is None else f"{value:,.0f}".replace(",", "\u202f")


def duration(seconds: float | None) -> str:
    """Seconds as "9.5 s", "6 min 43 s" or "2 h 05 min"; an en dash for None."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def title(name: str) -> str:
    """A model's or data set's name as the page says it."""
    said = {"central": "pooled", HOLDOUT: "hold-out", ALL_SITES: "all hospitals"}
    return said.get(name, name.removeprefix("local_"))


def counted(site: Mapping[str, Any]) -> dict[str, int]:
    """A site's repairs and whatever else its cohort row counts, zeros left out."""
    known = ("patients", "studies", "slices")
    others = {key: n for key, n in site.items() if isinstance(n, int) and key not in known}
    found = {**(site.get("repairs") or {}), **others}
    return {key.replace("_", " "): number for key, number in found.items() if number}


def _alt(name: str) -> str:
    known = {
        "gain": "Forest plot of each hospital's gain",
        "loss": "Training loss by examples seen",
        "auroc": "Validation AUROC by examples seen",
        "site_loss": "Federated training loss by hospital and round",
    }
    for start, said in (
        ("roc_", "ROC curves"),
        ("precision_recall_", "Precision-recall curves"),
        ("calibration_", "Reliability curves"),
    ):
        if name.startswith(start):
            return f"{said}, {name.removeprefix(start)}"
    return known[name]


def data_uri(png: bytes) -> str:
    """A PNG as an address that holds the picture itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _heat(matrix: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """[statistic][data][model]: opacity in [0, 1], linear from the lowest to the highest AUROC."""
    heat: dict[str, dict[str, dict[str, float]]] = {}
    for statistic in ("auroc/micro", "auroc/macro"):
        cells = {
            (data, model): cell[statistic]["estimate"]
            for data, row in matrix.items()
            for model, cell in row.items()
        }
        known = [value for value in cells.values() if value is not None]
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        for (data, model), value in cells.items():
            share = 0.0 if value is None else (value - low) / (high - low or 1)
            heat.setdefault(statistic, {}).setdefault(data, {})[model] = round(share, 3)
    return heat


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys and printed values of a nested config."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
