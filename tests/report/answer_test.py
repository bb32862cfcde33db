import pytest

from fl_jax.report import answer, gains, page


@pytest.mark.parametrize(
    ("value", "digits", "plain", "with_sign"),
    [
        (0.9487, 4, "0.9487", "+0.9487"),
        (-0.0266, 4, "−0.0266", "−0.0266"),
        (-0.0002, 3, "0.000", "0.000"),
        (0.0002, 3, "0.000", "0.000"),
        (None, 3, "–", "–"),
    ],
)
def test_numbers_as_the_page_writes_them(value, digits, plain, with_sign):
    assert answer.fixed(value, digits) == plain
    assert answer.signed(value, digits) == with_sign


def test_intervals_as_the_page_writes_them():
    assert answer.spread({"low": 0.94, "high": 0.961}) == "0.940–0.961"
    assert answer.spread({"low": -0.011, "high": 0.002}, difference=True) == "−0.011 to +0.002"
    near = {"low": 0.0003, "high": -0.00004}  # on which side of 0 is never rounded away
    assert answer.spread(near, difference=True) == "+0.0003 to −0.00004"
    assert answer.spread({"low": 0.0, "high": 1e-9}, difference=True) == "0.000 to 0.000"
    assert answer.spread({"low": None, "high": None}) == "no interval"


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (9.54, "9.5 s"), (403, "6 min 43 s"), (7500, "2 h 05 min")]
)
def test_durations(value, text):
    assert page.duration(value) == text


def test_counts():
    assert page.grouped(1234567) == "1\u202f234\u202f567"
    assert page.grouped(None) == "–"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.001, 0.1, "gains"),
        (-0.1, -0.001, "loses"),
        (-0.1, 0.1, "unclear"),
        (0.0, 0.1, "unclear"),
        (float("nan"), 0.1, "undefined"),
    ],
)
def test_verdicts(low, high, expected):
    assert gains.verdict({"low": low, "high": high}) == expected


def _found(gap: tuple[float | None, float | None, float | None], verdicts: dict[str, str]) -> dict:
    names = ("estimate", "low", "high")
    return {
        "primary": {"data": "holdout", "statistic": "auroc/micro"},
        "bootstrap": {"level": 0.95},
        "data_sets": {"holdout": {"patients": 60}},
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
            "(0.940–0.961) over all labels, 0.006 below training on pooled scans (95\u00a0% interval of the "
            "difference −0.011 to −0.001); "
            "on their own test patients all 2 hospitals gain over a model of their own.",
        ),
        (
            (0.001, -0.002, 0.004),
            {"a": "gains", "b": "loses", "c": "unclear", "d": "undefined"},
            "0.001 above training on pooled scans (95\u00a0% interval of the difference −0.002 to +0.004, so "
            "the two cannot be told apart); on their own test patients 1 of 4 hospitals gains over a "
            "model of its own (a), b loses, c shows no clear difference and d has too few patients to "
            "tell.",
        ),
        (
            (None, None, None),
            {"a": "unclear", "b": "unclear"},
            "and its difference from pooled training is undefined; on their own test patients none of 2 "
            "hospitals gains over a model of its own, none loses and a and b show no clear difference.",
        ),
        ((-0.006, -0.011, -0.001), {}, "; there are no local models to compare it with."),
    ],
)
def test_the_answer_in_words(gap, verdicts, words):
    assert answer.sentence(_found(gap, verdicts)).endswith(words)
