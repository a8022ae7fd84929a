import base64
import re
from html.parser import HTMLParser

import pytest

from espnet_samu.bin.report import main
from espnet_samu.bin.score_st import main as score
from espnet_samu.utils.kaldi_io import write_text

VOID = {"meta", "img", "br"}
LANGS = ("es", "fr", "it")
REFS = {
    f"{lang}{i}": f"we wait for {word} long hours in <May> & 'June'"
    for lang in LANGS
    for i, word in enumerate(("one", "two", "three", "four"))
}


class Page(HTMLParser):
    """Elements and text of a page; every element must be closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text = [], [], {}
        self.feed(text)
        assert not self.open

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.elements.append((name, dict(attributes)))

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)

    def find(self, name):
        """Attributes of all elements of a name."""
        return [attributes for found, attributes in self.elements if found == name]


@pytest.fixture
def cmd(tmp_path, monkeypatch):
    """Arguments for a scored test set of two systems."""
    monkeypatch.chdir(tmp_path)
    write_text("ref", REFS)
    write_text("utt2lang", {utt: utt[:2] for utt in REFS})
    write_text("src", {utt: f"<script>alert('{utt}')</script>" for utt in REFS})
    write_text("good", {**REFS, "it3": ""})
    write_text("bad", {utt: ref.replace("long", "short") for utt, ref in REFS.items()})
    (tmp_path / "groups").write_text("high\tes fr\nlow\tit\n")
    words = "--ref ref --utt2lang utt2lang --output_dir out --system good=good --system"
    words += " bad=bad --groups groups --baseline bad --paired_bs_n 40 --metrics"
    score([*words.split(), "bleu,chrf,ter", "--note", "seed=<7>"])
    return ["--results", "out/results.json", "--output", "out/report.html"]


EXAMPLES = "--ref ref --utt2lang utt2lang --src src --system good=good --system bad=bad"


def test_page(cmd, tmp_path):
    (tmp_path / "published").write_text("system\tes\tfr\tit\nXLS-R\t39.2\t37.6\t34.9\n")
    image = tmp_path / "map.png"
    from matplotlib.figure import Figure

    Figure(figsize=(1, 1)).savefig(image, format="png")
    cmd += ["--title", "A & B", "--published", "published", *EXAMPLES.split()]
    cmd += ["--examples", "2", "--figure", "heat map=map.png", "--note", "updates=3"]
    cmd += ["--command", "heat map=score_retrieval --k 4", "--command", "model=train"]
    main(cmd)
    text = (tmp_path / "out/report.html").read_text()
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    page = Page(text)
    assert page.text["title"][0] == page.text["h1"][0] == "A & B"

    # Nothing is loaded from elsewhere, nothing runs.
    assert not {"script", "link", "iframe"} & {name for name, _ in page.elements}
    for _, attributes in page.elements:
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
        assert not any(key.startswith("on") for key in attributes)
    assert not re.search(r"https?:|@import|url\((?!#)", text)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(link["href"][1:] in ids for link in page.find("a"))

    # Charts: one a group, the means, length ratio one a group
    titles = [t for t in page.text["title"] if t.startswith(("BLEU", "Length"))]
    assert titles == [
        *("BLEU: high", "BLEU: low", "BLEU: means"),
        *("Length ratio: high", "Length ratio: low"),
    ]
    described = page.text["desc"][0]
    assert described.startswith("es: good 100.0 (100.0 to 100.0), bad ")
    assert described.count("XLS-R 39.2") == 1
    assert "high: good 100.0, bad " in page.text["desc"][2]
    assert "XLS-R 38.4" in page.text["desc"][2]

    # Tables: means with the gap, tests
    cells = page.text["td"]
    assert "38.4" in cells and "3.5" in cells  # (39.2 + 37.6) / 2, and less 34.9
    assert "TRFGap" in page.text["th"] and "TER" in page.text["th"]
    assert page.text["strong"]
    assert any("bs:40|seed:" in code for code in page.text["code"])

    # Examples: two a language, escaped
    assert len([a for a in page.find("article")]) == 6
    assert "<script>alert('es" in "".join(page.text["span"])
    assert text.count("&lt;May&gt; &amp; &#39;June&#39;") >= 6 * 2
    assert "Drawn at random from each direction, seed 1: not chosen." in page.text["p"]

    # The image as it is, and how it was made
    (img,) = page.find("img")
    assert img["alt"] == "heat map"
    assert base64.b64decode(img["src"].partition(",")[2]) == image.read_bytes()
    assert page.text["code"].count("score_retrieval --k 4") == 2
    commands = "\n".join(page.text["code"])
    assert "python -m espnet_samu.bin.score_st --ref ref" in commands
    assert "python -m espnet_samu.bin.report --results out/results.json" in commands
    assert {"seed", "updates", "model"} <= set(page.text["dt"])
    assert "<7>" in page.text["dd"]
    first = text
    main(cmd)
    assert (tmp_path / "out/report.html").read_text() == first


def test_published_figures_that_are_not_shown(cmd, tmp_path, caplog):
    """Ours are into English."""
    (tmp_path / "published").write_text("system\tes-fr\tit-fr\nA\t39.2\t37.6\n")
    main([*cmd, "--published", "published"])
    assert "A " not in Page((tmp_path / "out/report.html").read_text()).text["desc"][0]
    assert "--published: 'A' has no figure of what was scored" in caplog.text
    path = tmp_path / "out/results.json"
    old = path.read_text().replace('"source"', '"was"')
    path.write_text(old)
    main([*cmd, "--published", "published"])
    assert "of an earlier version and name no target languages" in caplog.text


def test_learning_curves(cmd, tmp_path, caplog):
    line = "INFO: {}epoch results: [train] loss={}, [valid] loss=2.0, acc=0.{}\n"
    lines = "".join(line.format(n, 5 - n, n) for n in (1, 2, 3))
    (tmp_path / "train.log").write_text(lines)
    (tmp_path / "empty.log").write_text("")
    main([*cmd, "--training", "mine=train.log", "--training", "none=empty.log"])
    page = Page((tmp_path / "out/report.html").read_text())
    assert "Learning curves" in page.text["h2"]
    assert page.text["title"][-2:] == ["Loss", "Accuracy"]
    assert page.text["desc"][-1].endswith("last 0.3 in epoch 3.")
    assert "mine: means over each epoch. " in page.text["figcaption"]
    assert "--training 'none': no epoch has results in empty.log" in caplog.text


def test_least(cmd, tmp_path, caplog):
    main(cmd)
    page = Page((tmp_path / "out/report.html").read_text())
    titles = page.text["h2"]
    assert "Examples" not in titles and "Significance" in titles
    assert not page.find("img") and not page.find("article")


@pytest.mark.parametrize(
    "extra, message",
    [
        (["--system", "x=good"], r"--system must name some of \['good', 'bad'\]: 'x'"),
        (["--system", "good=good"], "--system needs --ref"),
        (["--system", "good=good", "--ref", "ref"], "--system needs --utt2lang"),
        (["--figure", "map.png"], "--figure must be NAME=VALUE: 'map.png'"),
        (["--figure", "a=ref"], "ref: not a PNG file"),
    ],
)
def test_refused(cmd, tmp_path, extra, message):
    with pytest.raises(ValueError, match=message):
        main([*cmd, *extra])
    assert not (tmp_path / "out/report.html").exists()
