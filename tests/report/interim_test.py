"""While arms train, the report's file says so and has no interval."""

import fake_experiment
import numpy as np

from fl_jax.evaluation import roc
from fl_jax.report import interim
from fl_jax.workdir import Workdir


def test_the_page_names_the_arms_that_train_and_is_not_the_report(tmp_path):
    workdir = Workdir(fake_experiment.make(tmp_path))
    interim.write(workdir, ["central"], ["federated", "local_<b>"])
    page = workdir.report.read_text()
    assert "Arms still training: federated, local_&lt;b&gt;" in page
    assert "This is not the report" in page
    data = workdir.read_predictions("central")
    test = data.split == "test"
    pooled = roc.auroc(np.ravel(data.truth[test]), np.ravel(data.scores[test]))
    assert f'<td class="n">{pooled:.3f}</td>' in page
    assert not workdir.results.exists()
