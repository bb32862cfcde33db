import re

import jinja2
import pytest

from fl_jax.files import csv_table
from fl_jax.report import rendering


@pytest.fixture
def templates(tmp_path, monkeypatch):
    for name in ("page.css", "page.js"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(rendering, "TEMPLATES", tmp_path)
    return tmp_path


def test_html_is_escaped_and_a_missing_value_is_an_error(templates):
    (templates / "a.html").write_text("{{ x | fixed(1) }} {{ y }}")
    assert rendering.render_html("a.html", x=-0.25, y="<b>") == "−0.2 &lt;b&gt;"
    with pytest.raises(jinja2.UndefinedError, match="'y' is undefined"):
        rendering.render_html("a.html", x=1.0)


def test_numbers_count_up_by_kind_and_start_anew_on_each_page(templates):
    (templates / "a.html").write_text(
        "{{ number('Table') }}, {{ number('Figure') }}, {{ number('Table') }}"
    )
    for _ in range(2):
        assert rendering.render_html("a.html") == "Table 1, Figure 1, Table 2"


def test_markdown_keeps_its_text_and_cells_stay_in_their_row(templates):
    (templates / "a.md").write_text("| {{ x | cell }} |\n")
    assert rendering.render_markdown("a.md", x="a <b>\n| c") == "| a &lt;b> \\| c |\n"


def test_the_pages_csv_escapes_what_a_spreadsheet_would_run():
    script = (rendering.TEMPLATES / "page.js").read_text(encoding="utf-8")
    (pattern,) = re.findall(r"const escape = \(value\) => /\^(.*)/\.test", script)
    signs = [*"=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"]
    assert all(re.match(pattern, sign) and csv_table.FORMULA.match(sign) for sign in signs)
    assert not any(re.match(pattern, text) for text in ("a=1", "0", "\u22121", "", "'a", " "))


def test_markdown_takes_no_markup_from_values(templates):
    (templates / "a.md").write_text("`{{ x.a }}` {% for k in x %}{{ k }}{% endfor %} {{ y[0] }}\n")
    hostile = {"a": "`<b>", "<img src=x>": 1}
    written = rendering.render_markdown("a.md", x=hostile, y=["[c](javascript:d)\n# e"])
    assert written == "`'&lt;b>` a&lt;img src=x> [c] (javascript:d) # e\n"
