"""Both kinds of pages in headless Chromium, by tools/look_at_page.py."""

import os
from pathlib import Path

import look_at_page
import numpy as np
import pytest
import soundfile
from matplotlib.figure import Figure

from espnet_samu.bin.report import main as report
from espnet_samu.bin.score_st import main as score_st
from espnet_samu.utils.kaldi_io import read_text, write_text, write_vectors
from study.study_report import main as study_report

NEEDED = "SAMU_REQUIRE_BROWSER"


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; it starts once."""
    program = look_at_page.find_browser()
    if program is None:
        missing = f"no browser found; to install one: {look_at_page.INSTALL}"
        if os.environ.get(NEEDED):
            pytest.fail(missing)
        pytest.skip(f"{missing} ({NEEDED}=1 fails instead)")
    with look_at_page.open_browser(program) as browser:
        yield browser


def look_at(browser, page, widths=(400, 1400), schemes=("light", "dark")):
    """Faults and figures of a page at several widths, light and dark."""
    shots = page.parent / "shots"
    return [
        look_at_page.look(
            browser, page, width, scheme, shots / f"{page.stem}_{width}_{scheme}.png"
        )
        for width in widths
        for scheme in schemes
    ]


@pytest.fixture
def study_page(make_study, monkeypatch):
    """The page of a synthetic study."""
    folder = make_study(primary=2, contents=8)
    monkeypatch.chdir(folder)
    floor = read_text("floor")
    rng = np.random.default_rng(0)
    for name in ("before", "after"):
        write_vectors(name, ((utt, rng.normal(size=8)) for utt in floor))
    soundfile.write("clip.wav", rng.normal(0, 0.01, 8000), 16000)
    write_text("wav.scp", {utt: "clip.wav" for utt in floor})
    words = "--runs runs --arms arms.yaml --out out --samples 60 --floor floor --src "
    words += "src --slots slots.txt --audio wav.scp --credit nobody --embeddings "
    words += "before=before/embed.scp --embeddings after=after/embed.scp"
    study_report(words.split())
    return folder / "out" / "report.html"


@pytest.fixture
def recipe_page(tmp_path, monkeypatch):
    """The page that stage 13 of covost2 and europarl makes, with all of its parts."""
    monkeypatch.chdir(tmp_path)
    langs = ["fr", "de", "ca", "zh-CN", "sv-SE", "mn"]
    refs = {
        f"common_voice_{lang}_{i:08d}": f"we wait for {word} long hours in <May>, say"
        for lang in langs
        for i, word in enumerate(("one", "two", "three", "four"))
    }
    write_text("ref", refs)
    write_text("utt2lang", {utt: utt.split("_")[2] for utt in refs})
    write_text("src", {utt: "長い時間待っています" for utt in refs})
    write_text("good", refs)
    write_text("bad", {u: ref.replace("long", "short") for u, ref in refs.items()})
    Path("groups").write_text("high\tfr de ca\nlow\tzh-CN sv-SE mn\n")
    Path("published").write_text(
        "system\tfr\tde\tca\tzh-CN\tsv-SE\tmn\thigh\tlow\n"
        "A published system of a long name\t37.6\t33.6\t33.8\t8.8\t30.3\t0.4\t-\t-\n"
    )
    Figure(figsize=(9, 4)).savefig("map.png", format="png", dpi=120)
    words = "--ref ref --utt2lang utt2lang --output_dir out --system good=good --system"
    words += " bad=bad --groups groups --baseline bad --paired_bs_n 40"
    score_st(words.split())
    words = "--results out/results.json --output out/report.html --published published"
    words += " --ref ref --utt2lang utt2lang --src src --system good=good --system"
    words += " bad=bad --figure map=map.png --command map=score_retrieval --training"
    words += " distillation=train.log"
    line = "INFO: {}epoch results: [train] loss={}, [valid] loss=2.0, r1=0.{}\n"
    lines = (line.format(n, 9 / n, 40 + n) for n in range(1, 40))
    Path("train.log").write_text("".join(lines))
    report([*words.split(), "--command", "model=" + "run.sh --option value " * 9])
    return tmp_path / "out" / "report.html"


@pytest.mark.timeout(60)
def test_study_page(browser, study_page):
    for look in look_at(browser, study_page):
        assert look["faults"] == []
        assert look["svg"] == 16
        assert look["seconds_of_sound"] == pytest.approx(16 * 0.5, abs=0.2)
        assert look["least_contrast"] >= 4.5 and look["smallest_font"] >= 10


@pytest.mark.timeout(60)
def test_recipe_page(browser, recipe_page):
    for look in look_at(browser, recipe_page):
        assert look["faults"] == []
        assert look["svg"] == 7 and look["images"] == 1
        assert look["least_contrast"] >= 4.5 and look["smallest_font"] >= 10


@pytest.fixture
def crowded_page(tmp_path, monkeypatch):
    """The page of 36 directions and 8 systems, with names that are no plain words."""
    monkeypatch.chdir(tmp_path)
    langs = ["de", "fr", "$\\frac$", "中文", "a\x01b", "x" * 45]
    pairs = [
        (source, target) for source in langs for target in "ab cs de en es fi".split()
    ]
    refs = {f"u{i}": f"we wait for {i} hours" for i in range(36)}
    write_text("ref", refs)
    write_text("utt2lang", {f"u{i}": source for i, (source, _) in enumerate(pairs)})
    write_text("targets", {f"u{i}": target for i, (_, target) in enumerate(pairs)})
    words = "--ref ref --utt2lang utt2lang --utt2tgt_lang targets --output_dir out"
    words += " --tokenizer ab=13a --baseline s0 --paired_bs_n 40"
    names = [*(f"s{i}" for i in range(7)), "of a long name, learning rate 1e-4, seed 1"]
    systems = [word for name in names for word in ("--system", f"{name}=ref")]
    score_st([*words.split(), *systems])
    report("--results out/results.json --output out/report.html".split())
    return tmp_path / "out" / "report.html"


@pytest.mark.timeout(60)
def test_crowded_page(browser, crowded_page):
    looks = look_at(browser, crowded_page, (400, 1000, 1600), ["light"])
    paper = look_at(browser, crowded_page, [look_at_page.PAPER], ["print"])
    for look in [*looks, *paper]:
        assert look["faults"] == []
        assert look["svg"] == 3 and look["smallest_font"] >= 8


@pytest.mark.timeout(60)
def test_faults_are_seen(browser, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text("""<!DOCTYPE html><html><head><meta charset="utf-8"></head><body>
        <p style="color: #ccc; background: #fff">pale</p>
        <p style="font-size: 5px">small</p>
        <div style="width: 900px">wide wide wide</div>
        <div style="width: 300px; overflow-x: auto"><p style="width: 800px">ok</p></div>
        <img src="data:image/png;base64,AAAA" alt="broken">
        <audio src="data:audio/ogg;base64,AAAA" aria-label="mute"></audio>
        <script>console.error("oh"); throw new Error("no")</script>
        <script src="other.js"></script></body></html>""")
    for look in look_at(browser, page, [400]):
        text = "\n".join(look["faults"])
        for fault in (
            *("contrast of 1.61", "text of 5.0 pixels", "page is 908 wide, not 400"),
            *("sticks out, 8 to 908", "no image: img", "no sound: mute"),
            *("console: error", "exception: no", "loads file:"),
        ):
            assert fault in text
        assert '"ok"' not in text
    assert (tmp_path / "shots" / "bad_400_dark.png").read_bytes()[:4] == b"\x89PNG"
