"""The model card and the reporting checklists CLAIM and TRIPOD+AI, in Markdown, from `results.json` alone.

Items that no run can answer are left to the authors.

References: Mitchell et al., "Model Cards for Model Reporting", FAT* 2019; Mongan, Moy and Kahn, Radiology:
Artificial Intelligence 2020; 2(2):e200029 (CLAIM); Collins et al., BMJ 2024; 385:e078378 (TRIPOD+AI).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from fl_jax.core.types import LABELS
from fl_jax.evaluation.slice_properties import SIZE
from fl_jax.report.rendering import render_markdown


def model_card(results: Mapping[str, Any]) -> str:
    """The federated model's card, from `results.json`."""
    return _render("model_card.md", results, labels=(*LABELS, "micro"))


def reporting_checklist(results: Mapping[str, Any]) -> str:
    """CLAIM and TRIPOD+AI, answered from `results.json` as far as possible."""
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


def _total(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(total)


def _render(template: str, results: Mapping[str, Any], **values: Any) -> str:
    run = results["run"] or {}
    config = run.get("config") or {}
    generated = "cohort" in config and not config.get("source") and not config.get("data_dir")
    # Lesion sizes are known for a synthetic cohort only.
    sized = SIZE in ((results.get("subgroups") or {}).get("table") or {})
    return render_markdown(
        template,
        r=results,
        run=run,
        config=config,
        cohort=results["cohort"] or {},
        synthetic=generated or sized,
        **values,
    )
