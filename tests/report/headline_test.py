import pytest

from fl_jax.report import headline


def _results(
    gap: tuple[float | None, float | None, float | None], verdicts: dict[str, str]
) -> dict:
    names = ("estimate", "low", "high")
    return {
        "primary": {"data": "holdout", "statistic": "auroc/micro"},
        "bootstrap": {"level": 0.95},
        "data_sets": {"holdout": {"patients": 60, "too_few": False}},
        "performance": {
            "holdout": {
                "federated": {"auroc": {"micro": {"estimate": 0.951, "low": 0.94, "high": 0.961}}}
            }
        },
        "federated_minus_central": {"holdout": {"auroc/micro": dict(zip(names, gap, strict=True))}},
        "gains": {site: {"verdict": verdict} for site, verdict in verdicts.items()},
    }


@pytest.mark.parametrize(
    ("gap", "verdicts", "words"),
    [
        (
            (-0.006, -0.011, -0.001),
            {"a": "gains", "b": "gains"},
            "On 60 hold-out patients the federated model reaches an AUROC of 0.951 "
            "(0.940–0.961) over all labels, 0.006 below central training (95\u00a0% interval of the "
            "difference −0.011 to −0.001); "
            "both hospitals gain over their local models, each on its own test patients.",
        ),
        (
            (0.001, -0.002, 0.004),
            {"a": "gains", "b": "loses", "c": "unclear", "d": "too few to say"},
            "0.001 above central training (95\u00a0% interval of the difference −0.002 to +0.004, which "
            "includes 0); on their own test patients, 1 of 4 hospitals gains over its local model (a), "
            "b loses, c shows no clear difference and d has too few patients to say.",
        ),
        (
            (None, None, None),
            {"a": "unclear", "b": "unclear"},
            "and its difference from central training is undefined; on their own test patients, none of 2 "
            "hospitals gains over its local model, none loses and a and b show no clear difference.",
        ),
        ((-0.006, -0.011, -0.001), {}, "; there are no local models to compare it with."),
    ],
)
def test_headline_states_score_difference_and_gains(gap, verdicts, words):
    assert headline.sentence(_results(gap, verdicts)).endswith(words)


def test_no_difference_is_claimed_from_too_few_patients_or_without_an_interval():
    results = _results((0.4, 0.4, 0.4), {})
    assert "0.400 above central training, without an interval;" in headline.sentence(results)
    results["data_sets"]["holdout"] = {"patients": 1, "too_few": True}
    words = "0.400 above central training, with too few patients to say which is better;"
    assert words in headline.sentence(results)
    results["non_inferiority"] = {
        "micro": {"verdict": "too few to say", "margin": 0.02, "low": 0.4, "high": 0.4}
    }
    assert "cannot be compared with central training, for lack of" in headline.non_inferiority(
        results
    )
