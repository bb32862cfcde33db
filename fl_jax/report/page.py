"""The page of the report: self-contained HTML, rendered from `results.json` and pictures of its cases."""

from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from fl_jax.core.types import LABELS
from fl_jax.report import cases, figures, gains, headline, shortcut_scores, survey
from fl_jax.report.clinical import OPERATING_POINTS
from fl_jax.report.pictures import WINDOWS, data_uri
from fl_jax.report.rendering import render_html
from fl_jax.report.style import VARIABLES, line_styles, svg

ALT_TEXTS = {
    "gain": "Forest plot of each hospital's gain",
    "loss": "Training loss by examples seen",
    "auroc": "Validation AUROC by examples seen",
    "site_loss": "Federated training loss by hospital and round",
    "roc": "ROC curves",
    "precision_recall": "Precision-recall curves",
    "calibration": "Reliability curves",
}
"""Alternative texts by figure, or by figure without its label."""


def render(
    results: Mapping[str, Any],
    pictures: Mapping[str, Mapping[str, bytes | None]] | None = None,
    panels: Mapping[str, bytes] | None = None,
) -> str:
    """Renders the page.

    Args:
        results: `results.json`, read back (null where undefined).
        pictures: `pictures.case_pictures` by image name; None without the dataset.
        panels: PNG of saliency maps by subtype.

    Returns:
        The page.
    """
    drawings = figures.draw(results)
    return render_html(
        "page.html",
        filters={"repairs": repairs},
        r=results,
        answer=headline.sentence(results),
        margin=headline.non_inferiority(results),
        caution=headline.caveats(results),
        delivered=headline.delivered_model(results),
        site_gains=headline.site_gains(results),
        few=gains.FEW_PATIENTS,
        labels=list(LABELS),
        main=results["performance"][results["primary"]["data"]],
        styles=line_styles(results["models"]),
        variables=VARIABLES,
        figure={name: Markup(svg(drawing, name, _alt(name))) for name, drawing in drawings.items()},
        outcomes=cases.OUTCOMES,
        per_outcome=cases.CASES_PER_OUTCOME,
        points=OPERATING_POINTS,
        shortcut_warning=shortcut_scores.warning(results),
        windows=WINDOWS,
        pictures=None
        if pictures is None
        else {
            name: {side: data_uri(png) for side, png in case.items() if png}
            for name, case in pictures.items()
        },
        heat=_heat(results["cross_site"]),
        settings=dict(_flat((results["run"] or {}).get("config") or {})),
        panels={name: data_uri(png) for name, png in (panels or {}).items()},
        survey=survey.figures(results.get("survey")),
    )


def repairs(site: Mapping[str, Any]) -> dict[str, int]:
    """A site's repairs and other counts of its cohort row, without zeros."""
    sizes = ("patients", "studies", "slices")
    others = {key: n for key, n in site.items() if isinstance(n, int) and key not in sizes}
    counts = {**(site.get("repairs") or {}), **others}
    return {key.replace("_", " "): number for key, number in counts.items() if number}


def _alt(name: str) -> str:
    kind, _, label = name.rpartition("_")
    return ALT_TEXTS[name] if name in ALT_TEXTS else f"{ALT_TEXTS[kind]}, {label}"


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
