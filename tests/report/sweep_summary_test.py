"""Means and standard errors by hand, differences paired by seed, the order and the dashes of a table."""

import csv

import pytest

from fl_jax.report import sweep_summary

COLUMNS = {"accuracy": "test accuracy", "loss": "test loss"}


def row(name, accuracy, loss=(None, None, None), panel="", **more):
    metrics = {"accuracy": sweep_summary.summary(accuracy), "loss": sweep_summary.summary(loss)}
    for result in metrics.values():
        result["difference"] = sweep_summary.difference(result["values"], (1.0, 1.0, 1.0))
    return {"panel": panel, "name": name, "metrics": metrics, "chosen": {}} | more


def test_mean_and_standard_error_by_hand():
    result = sweep_summary.summary([1.0, 2.0, 6.0])
    assert result["mean"] == 3
    # squares 4 + 1 + 9 = 14, over n - 1 is 7, over n is 7 / 3
    assert result["standard_error"] == pytest.approx((7 / 3) ** 0.5)
    assert result["values"] == [1.0, 2.0, 6.0]


def test_one_seed_has_no_error_and_an_undefined_run_undefines_the_mean():
    assert sweep_summary.summary([2.0]) == {"mean": 2.0, "standard_error": None, "values": [2.0]}
    result = sweep_summary.summary([2.0, None])
    assert (result["mean"], result["standard_error"]) == (None, None)


def test_differences_are_paired():
    result = sweep_summary.difference([1.0, 2.0, 3.0], [0.5, 1.5, 2.5])
    assert (result["mean"], result["standard_error"]) == (0.5, 0.0)
    assert sweep_summary.difference([1.0], [None])["mean"] is None


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.9, 0.91, 0.92], "0.9100 ± 0.0058"),
        ([10.0, 12.0, 17.0], "13.0 ± 2.1"),
        ([100.0, 300.0], "200 ± 100"),
        ([2e9, 4e9], "3e+09 ± 1e+09"),
        ([1.0, 1.0], "1.0000 ± 0.0000"),
        ([0.5], "0.5000"),
        ([None, 1.0], "–"),
    ],
)
def test_two_digits_of_the_error_are_shown(values, text):
    assert sweep_summary.printed(sweep_summary.summary(values)) == text


def test_the_table_is_ranked_and_says_what_was_chosen():
    rows = [
        row("worse", [0.0, 0.0, 0.3], chosen={"lr": 0.1, "mu": 1.0}, edge=["mu"]),
        row("none", [None, 1.0, 1.0]),
        row("reference", [1.0, 1.0, 1.0]),
    ]
    lines = sweep_summary.as_markdown(rows, COLUMNS, "reference").splitlines()
    assert lines[0] == "|  | test accuracy | minus reference | chosen |"  # nobody has a loss
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| reference", "| worse", "| none"]
    assert lines[2] == "| reference | 1.0000 ± 0.0000 |  |  |"
    assert lines[3] == "| worse | 0.10 ± 0.10 | -0.90 ± 0.10 | lr=0.1, mu=1.0* |"
    assert lines[4] == "| none | – | – |  |"


def test_every_panel_has_its_own_first_column():
    rows = [row("a", [1.0] * 3, panel="one"), row("b", [None] * 3, [1.0] * 3, panel="two")]
    text = sweep_summary.as_markdown(rows, COLUMNS, "")
    assert "### one\n\n|  | test accuracy | chosen |" in text
    assert "### two\n\n|  | test loss | chosen |" in text
    figure = sweep_summary.draw(rows, COLUMNS, "")
    assert [ax.get_xlabel() for ax in figure.axes] == ["test accuracy", "test loss"]
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["one", "two"]


def test_panels_of_the_same_rows_stand_side_by_side():
    rows = [row("a", [1.0] * 3, panel="x"), row("b", [2.0] * 3, panel="x")]
    rows += [row("b", [3.0] * 3, panel="y")]
    lines = sweep_summary.as_markdown(rows, COLUMNS, "").splitlines()
    assert lines[0] == "| test accuracy | x | y |"
    assert lines[2:4] == ["| a | 1.0000 ± 0.0000 |  |", "| b | 2.0000 ± 0.0000 | 3.0000 ± 0.0000 |"]


def test_panels_of_the_same_rows_share_their_order():
    rows = [row(name, [value] * 3, panel=p) for p in "xy" for name, value in (("a", 0), ("b", 1))]
    left, right = sweep_summary.draw(rows, COLUMNS, "a").axes
    assert [t.get_text() for t in left.get_yticklabels()] == ["b", "a"]
    assert left.get_shared_y_axes().joined(left, right)


def test_csv_is_unrounded():
    (result,) = csv.DictReader(
        sweep_summary.as_csv([row("a", [1.0, 2.0, 6.0])], COLUMNS).splitlines()
    )
    assert float(result["accuracy_mean"]) == 3
    assert float(result["accuracy_standard_error"]) == (7 / 3) ** 0.5
    assert float(result["accuracy_difference_mean"]) == 2
    assert result["loss_mean"] == ""
    assert (result["method"], result["seeds"]) == ("a", "3")


def test_rows_without_any_value_draw_nothing():
    assert sweep_summary.draw([row("a", [None] * 3)], COLUMNS, "").axes[0].get_xlabel() == ""
