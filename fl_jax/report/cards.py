"""Texts about a study for readers of papers, in Markdown: the model's card and two reporting checklists.

Made from `results.json` alone, as the page is. What a run cannot know is left to the authors.

References: Mitchell et al., "Model Cards for Model Reporting", FAT* 2019; Mongan, Moy and Kahn, Radiology:
Artificial Intelligence 2020; 2(2):e200029 (CLAIM); Collins et al., BMJ 2024; 385:e078378 (TRIPOD+AI).
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from fl_jax.core.types import LABELS
from fl_jax.evaluation.slice_properties import SIZE
from fl_jax.report import page
from fl_jax.report.answer import fixed, signed, spread


def model_card(results: Mapping[str, Any]) -> str:
    """The federated model's card.

    Args:
        results: of `results.compute`, as JSON has them (null for undefined).

    Returns:
        Markdown.
    """
    return _render("model_card.md", results, labels=(*LABELS, "micro"))


def checklist(results: Mapping[str, Any]) -> str:
    """CLAIM and TRIPOD+AI, with what the run answers of them.

    Args:
        results: of `results.compute`, as JSON has them (null for undefined).

    Returns:
        Markdown.
    """
    sites = (results["cohort"] or {}).get("sites") or {}
    return _render(
        "reporting_checklist.md",
        results,
        labels=LABELS,
        sites=sites,
        splits=_total((results["partition"] or {}).values()),
        refused=_total(site.get("refused", {}) for site in sites.values()),
        repairs=_total(site.get("repairs", {}) for site in sites.values()),
        lacking={
            name: sum(site.get(name, 0) for site in sites.values())
            for name in ("labels_without_image", "images_without_label")
        },
    )


def _total(counts: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def _render(template: str, results: Mapping[str, Any], **values: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        **{"fixed": fixed, "signed": signed, "spread": spread},
        **{"grouped": page.grouped, "title": page.title},
        "cell": lambda text: " ".join(text.split()).replace("|", "\\|"),
    }
    run = results["run"] or {}
    config = run.get("config") or {}
    own = "cohort" in config and not config.get("source") and not config.get("data_dir")
    drawn = SIZE in (
        (results.get("subgroups") or {}).get("table") or {}
    )  # of none else is it known
    return environment.get_template(template).render(
        r=results,
        run=run,
        config=config,
        cohort=results["cohort"] or {},
        synthetic=own or drawn,
        **values,
    )
