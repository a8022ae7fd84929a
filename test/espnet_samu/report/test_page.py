"""Tests of espnet_samu.report.page."""

from markupsafe import Markup

from espnet_samu.report.page import (
    Section,
    load_macros,
    make_definitions,
    make_page,
)


def test_text_is_escaped_once():
    text = make_definitions([("<k>", "a & 'c'"), ("b", Markup("<b>x</b>"))])
    assert "<dt>&lt;k&gt;</dt><dd>a &amp; &#39;c&#39;</dd>" in text
    assert "<dt>b</dt><dd><b>x</b></dd>" in text
    page = make_page("A < B", text, [Section("one", "1 & 2", Markup("<p>x</p>"))])
    assert page.count("A &lt; B") == 2 and text in page
    assert '<h2 id="one-title">1 &amp; 2</h2>\n<p>x</p>' in page
    assert '<li><a href="#one">1 &amp; 2</a></li>' in page


def test_table():
    make_table = load_macros("components.html").table
    text = make_table('"What"', ["system", "BLEU"], [["<a>", "1.0"]], 1)
    assert '<th class="number" scope="col">BLEU</th>' in text
    assert '<th scope="row">&lt;a&gt;</th>' in text
    assert '<td class="number">1.0</td>' in text
    assert "<caption>&#34;What&#34;</caption>" in text
    assert 'aria-label="&#34;What&#34;"' in text
    first = make_table("", ["a", "b"], [["x", "y"]], 2)
    assert '<th scope="col">b</th>' in first and "<td>y</td>" in first


def test_commands_are_shown_as_they_are():
    commands = load_macros("components.html").commands
    assert "<pre><code>a &lt; b\n  c</code></pre>" in commands(["a < b", "", "  c"])
    assert "<summary>Commands</summary>" in commands(["a", "b"])
    assert "Its command was not given." in commands([""])
