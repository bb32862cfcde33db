import re

import pytest

from fl_jax.report import formatting


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
def test_fixed_and_signed_numbers(value, digits, plain, with_sign):
    assert formatting.fixed(value, digits) == plain
    assert formatting.signed(value, digits) == with_sign


def test_limits_never_round_away_the_side_of_zero():
    assert formatting.limits({"low": 0.94, "high": 0.961}) == "0.940–0.961"
    assert formatting.limits({"low": -0.011, "high": 0.002}, difference=True) == "−0.011 to +0.002"
    near = {"low": 0.0003, "high": -0.00004}
    assert formatting.limits(near, difference=True) == "+0.0003 to −0.00004"
    assert formatting.limits({"low": 0.0, "high": 1e-9}, difference=True) == "0.000 to 0.000"
    assert formatting.limits({"low": None, "high": None}) == "no interval"
    assert formatting.limits({"low": 1.0, "high": 1.0}) == "no interval"  # of one patient, say


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a` [b](javascript:alert(1)) `",
        "![x](https://example.org/x.png)",
        "[x][y]",
        "a\n\n# b\n- c",
        "</code>|x",
    ],
)
def test_a_text_adds_no_markdown(text):
    for written in (formatting.markdown_text(text), formatting.markdown_table(["h"], [[text]])):
        assert not re.search(r"<|`|\]\(|\]\[", written)
    assert "\n" not in formatting.markdown_text(text)
    assert formatting.markdown_table(["h"], [[text]]).count("\n") == 2
    assert not re.search(r"(?<!\\)\|", formatting.markdown_table([text], []).split("\n")[0][1:-1])


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (9.54, "9.5 s"), (403, "6 min 43 s"), (7500, "2 h 05 min")]
)
def test_durations(value, text):
    assert formatting.duration(value) == text


def test_counts():
    assert formatting.grouped(1234567) == "1\u202f234\u202f567"
    assert formatting.grouped(None) == "–"


def test_p_values_shares_and_names():
    assert formatting.p_value(0.00009) == "< 0.0001"
    assert formatting.p_value(0.0123) == "0.0123"
    assert formatting.p_value(None) == "–"
    assert formatting.percent(0.95) == "95\u00a0%"
    names = ("local_elm", "holdout", "all_sites", "central")
    shown = ["elm", "hold-out", "all hospitals", "central"]
    assert [formatting.display_name(name) for name in names] == shown
