"""Which DICOM study each of a dataset's slices belongs to."""

from collections.abc import Mapping

from fl_jax.data.index import read_index
from fl_jax.workdir import Workdir


def study_names(workdir: Workdir) -> Mapping[str, str]:
    """The study of each slice of the experiment's dataset, by image.

    Raises:
        FileNotFoundError: the dataset is not on this disk.
    """
    index = workdir.own_data() / "slices" / "index.csv"
    if not index.exists():
        raise FileNotFoundError(
            f"--by_study: there is no {index}, which maps images to studies; put the training dataset, "
            f"or a link to it, at {index.parent.parent}"
        )
    columns = read_index(index, ("image", "study"))
    return dict(zip(columns["image"], columns["study"], strict=True))
