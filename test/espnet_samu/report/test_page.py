"""Tests of espnet_samu.report.page."""

from espnet_samu.report.page import Html, definitions, escape, join, table, tag


def test_text_is_escaped_once():
    assert escape("a < b & 'c'") == "a &lt; b &amp; &#x27;c&#x27;"
    assert escape(Html("<b>")) == "<b>"
    bold = tag("b", "<i>", class_='x"y', aria_label="z", title=None)
    assert bold == '<b class="x&quot;y" aria-label="z">&lt;i&gt;</b>'
    assert tag("p", bold, " & ", "more") == f"<p>{bold} &amp; more</p>"
    assert join(["<", Html("<br>")]) == "&lt;<br>"
    assert definitions([("<k>", "v")]) == "<dl><dt>&lt;k&gt;</dt><dd>v</dd></dl>"


def test_table():
    text = table("What", ["system", "BLEU"], [["<a>", "1.0"]])
    assert '<th class="number" scope="col">BLEU</th>' in text
    assert '<tr><th scope="row">&lt;a&gt;</th><td class="number">1.0</td></tr>' in text
    assert "<caption>What</caption>" in text
