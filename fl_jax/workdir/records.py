"""Everything a finished experiment left for its report, read and checked without model, dataset or device."""

from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from fl_jax.data import partition
from fl_jax.data.metadata import Summary, read_summary
from fl_jax.evaluation import slice_properties
from fl_jax.evaluation.predictions import Predictions
from fl_jax.evaluation.slice_properties import SliceProperties
from fl_jax.evaluation.tissue import Tissue
from fl_jax.files.regular import sha256
from fl_jax.workdir.schema import Done, Manifest, RoundRecord, Saliency
from fl_jax.workdir.workdir import Workdir


class Records(NamedTuple):
    """The records of an experiment.

    Attributes:
        predictions: by model: federated, central, local_<site> in the order of sites, others.
        metrics: rounds by model, for models with any.
        done: how the training ended, by model.
        manifest: None without one.
        data: folder of the dataset, which may be absent.
        dataset: summary of the dataset, or None.
        partition: patients by [site][split], or None.
        slice_properties: acquisition of every slice; empty without the dataset's index.
        tissue: amounts in the slices, of `tissue_of`, or why there are none.
        saliency: of `launch.explain`, or None.
        saliency_is_current: whether `saliency` is of these predictions.
    """

    predictions: dict[str, Predictions]
    metrics: dict[str, list[RoundRecord]]
    done: dict[str, Done]
    manifest: Manifest | None
    data: Path
    dataset: Summary | None
    partition: dict[str, dict[str, int]] | None
    slice_properties: SliceProperties = MappingProxyType({})
    tissue: Tissue | str = "the slices' tissue was not measured"
    saliency: Saliency | None = None
    saliency_is_current: bool = False

    @property
    def config(self) -> dict[str, Any]:
        """The experiment's config, from its manifest; empty without one."""
        return self.manifest.config if self.manifest else {}


def read_records(workdir: Workdir) -> Records:
    """Reads the records of an experiment; without a file, all but the predictions are None or empty.

    Raises:
        FileNotFoundError: there are no predictions.
        ValueError: a file does not hold what it should; names file, place, value and a remedy.
    """
    names = workdir.predicted()
    if not names:
        raise FileNotFoundError(
            f"{workdir} has no predictions: run launch.experiment with --workdir={workdir} first"
        )
    models = {name: data for name in names if (data := workdir.read_predictions(name))}
    arms = [workdir.arm(name) for name in names]
    manifest, data = workdir.read_manifest(), workdir.own_data()
    saliency = workdir.read_saliency()
    return Records(
        predictions=models,
        metrics={arm.name: rows for arm in arms if (rows := arm.read_metrics())},
        done={arm.name: done for arm in arms if (done := arm.read_done()) is not None},
        manifest=manifest,
        data=data,
        dataset=read_summary(data),
        partition=_count_patients(workdir.partition),
        slice_properties=slice_properties.load(
            data / "slices" / "index.csv",
            _lesion_tables(workdir, data, manifest),
            images={image for each in models.values() for image in each.image.tolist()},
        ),
        saliency=saliency,
        saliency_is_current=saliency is not None and _is_current(workdir, saliency, names),
    )


def _lesion_tables(workdir: Workdir, data: Path, manifest: Manifest | None) -> list[Path]:
    """Where a synthetic cohort's table of drawn lesions may be."""
    source = manifest.config.get("source") if manifest else None
    cohorts = [*([Path(source)] if source else []), workdir.cohort, data.parent / "cohort"]
    return [cohort / "truth" / "slices.csv" for cohort in cohorts]


def _is_current(workdir: Workdir, saliency: Saliency, names: list[str]) -> bool:
    # The model's name may be any text: it becomes a path only if it is one of the known names.
    return (
        saliency.model in names
        and sha256(workdir.predictions(saliency.model)) == saliency.predictions
    )


def _count_patients(path: Path) -> dict[str, dict[str, int]] | None:
    if not path.exists():
        return None
    counts: dict[str, dict[str, int]] = {}
    table = partition.load(path)
    for site, split in zip(table.site.tolist(), table.split.tolist(), strict=True):
        of_site = counts.setdefault(site, {})
        of_site[split] = of_site.get(split, 0) + 1
    return counts
