"""Tests of study.study_report."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_samu.utils.kaldi_io import read_text, write_text, write_vectors
from study.study_report import main

ARMS = ("b", "c_frozen", "d")


@pytest.fixture
def cmd(make_study, monkeypatch):
    """Arguments for a small synthetic study."""
    folder = make_study(primary=2, contents=8, arms=ARMS)
    monkeypatch.chdir(folder)
    words = "--runs runs --arms arms.yaml --out out --samples 60"
    return words.split()


@pytest.fixture
def least(cmd):
    """The page that the command writes without any option."""
    main(cmd)
    return Path("out/report.html").read_text(encoding="utf-8")


def test_again_is_the_same(cmd, least):
    main(cmd)
    assert Path("out/report.html").read_text(encoding="utf-8") == least


def test_least(least):
    page = least
    assert "Players for the clips are not shown: --audio was not given." in page
    assert "embeddings is not shown: --embeddings was not given." in page
    assert "Retrieval between languages is not shown" in page
    assert "<script" not in page and "http" not in page


@pytest.fixture
def everything(cmd):
    """What the command writes with all options."""
    floor = read_text("floor")
    rng = np.random.default_rng(0)
    for name in ("before", "after"):
        write_vectors(name, ((utt, rng.normal(size=8)) for utt in floor))
    soundfile.write("clip.wav", rng.normal(0, 0.01, 8000), 16000)
    write_text("wav.scp", {utt: "clip.wav" for utt in floor})
    cmd += "--floor floor --slots slots.txt --src src --audio wav.scp".split()
    cmd += ["--credit", "By <nobody>, CC0.", "--embeddings", "before=before/embed.scp"]
    cmd += ["--embeddings", "after=after/embed.scp", "--command", "after=samu_embed x"]
    cmd += [
        "--note",
        "data=made up",
        "--title",
        "A & B",
        "--command",
        "runs=./study.sh",
    ]
    main(cmd)
    return Path("out")


def test_everything(everything):
    page = (everything / "report.html").read_text(encoding="utf-8")
    assert page.count("data:audio/mpeg;base64,") == 16
    assert "The clips: By &lt;nobody&gt;, CC0." in page
    assert "(it for: " in page and "samu_embed x" in page and "./study.sh" in page
    assert page.count("<svg") == 3 + 4 + 3 + 1 + 4

    text = (everything / "RESULTS.md").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines[0] == "# RESULTS of the study"
    assert lines[2].startswith("Preliminary: ")
    assert lines[4].startswith("Not every registered comparison holds for every")
    for what in ("template floor", "2 cores, no GPU (synthetic)", "translation 800"):
        assert what in text
    assert "python -m study.study_report --runs runs" in text
    assert "distillation 5.0" in text  # minutes

    results = json.loads((everything / "results.json").read_text(encoding="utf-8"))
    assert results["arms"]["d"]["failed_seeds"] == {"2": "killed (synthetic)"}
    difference = results["sets"]["test"]["differences"]["c_frozen - b"]
    shown = difference["zero-shot"]["bleu"]
    assert f"{shown['value']:+.1f} [{shown['interval'][0]:+.1f}, " in text
    assert results["primary"][0]["verdict"]["it"] in text
    assert results["settings"]["samples"] == 60


@pytest.mark.parametrize(
    "extra, message",
    [
        (["--audio", "wav.scp"], "--audio needs --credit"),
        (["--embeddings", "x"], "--embeddings must be NAME=VALUE: 'x'"),
    ],
)
def test_wrong_options(cmd, extra, message):
    with pytest.raises(ValueError, match=message):
        main([*cmd, *extra])


def test_embeddings_of_other_utterances(cmd):
    write_vectors("few", [("it_test-000", np.ones(3))])
    with pytest.raises(ValueError, match="embed.scp: must have every utterance"):
        main([*cmd, "--embeddings", "few=few/embed.scp"])
