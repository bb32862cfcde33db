import jinja2
import pytest

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
    assert rendering.render_markdown("a.md", x="a <b>\n| c") == "| a <b> \\| c |\n"
