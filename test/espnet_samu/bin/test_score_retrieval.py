import json
import logging

import numpy as np
import pytest

from espnet_samu.bin.score_retrieval import get_parser, main
from espnet_samu.bin.score_st import read_retrieval
from espnet_samu.retrieval.pools import pair_speech_speech, pair_speech_text
from espnet_samu.retrieval.scores import score_retrieval
from espnet_samu.utils.kaldi_io import write_text, write_vectors

LANGS = {u: "es" if u < "d" else "it" for u in "abcdef"}
CONTENT = dict(zip("abcdef", ["1", "2", "3", "1", "2", "4"]))


@pytest.fixture
def tables(tmp_path):
    """Write embeddings and texts to tmp_path, return both tables of embeddings."""
    generator = np.random.default_rng(0)
    text = dict(zip("abcdef", generator.normal(size=(6, 4)).astype(np.float32)))
    speech = {u: v + generator.normal(size=4).astype("f4") for u, v in text.items()}
    write_vectors(tmp_path / "speech", speech.items())
    # a target of another utterance is left out
    text["z"] = np.ones(4, dtype=np.float32)
    write_vectors(tmp_path / "text", text.items())
    write_text(tmp_path / "utt2lang", LANGS)
    write_text(tmp_path / "words", {u: u for u in speech})
    write_text(tmp_path / "content", CONTENT)
    write_text(tmp_path / "english", dict.fromkeys(text, "en"))
    write_text(tmp_path / "corpus", {**CONTENT, "z": "4"})
    return speech, text


@pytest.fixture
def run(tmp_path, tables):
    """Runs the command with files of tmp_path, returns what it saved."""

    def run(*options, **files):
        cmd = ["--query", str(tmp_path / "speech/embed.scp"), *options]
        for name, file in files.items():
            cmd += [f"--{name}", str(tmp_path / file)]
        main([*cmd, "--output_dir", str(tmp_path / "out")])
        return json.loads((tmp_path / "out/retrieval.json").read_text())

    return run


def test_as_the_recipe_calls_it(tables, run, tmp_path, capsys):
    write_text(tmp_path / "speech/failed.scp", {"lost": "too short"})
    saved = run(
        "--margin",
        "distance",
        "--k",
        "2",
        target="text/embed.scp",
        query_lang="utt2lang",
        target_text="words",
    )
    result = score_retrieval(pair_speech_text(*tables, LANGS), "distance", 2)
    assert saved == {**result.to_dict(), "failed": ["lost"]}
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "out/retrieval.md").read_text()
    lines = printed.splitlines()
    assert lines[2].split("|")[1].strip() == "es"
    assert lines[2].split("|")[3].strip() == f"{result.scores[0].r1:.3f}"
    assert lines[-2].endswith("margin:distance|k:2`")
    assert lines[-1] == "- not scored, without an embedding: 1 utterances (lost)"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "projection.png",
        "retrieval.json",
        "retrieval.md",
    ]
    r1 = read_retrieval(str(tmp_path / "out/retrieval.json"))
    assert [*r1] == [("es", None), ("it", None)]
    assert r1["es", None] == (
        result.scores[0].r1,
        "direction:speech-text|queries:3|pool:3|" + result.scores[0].settings,
    )


def test_one_pool_without_languages(run, tmp_path):
    saved = run("--projection", "none", target="text/embed.scp")["scores"]
    assert [s["lang"] for s in saved] == ["all", "all", "average", "average"]
    assert saved[0]["r1"] == saved[2]["r1"]
    assert not [*(tmp_path / "out").glob("*.png")]


def test_all_directions(tables, run, tmp_path):
    saved = run(
        target="text/embed.scp",
        query_lang="utt2lang",
        query_text="content",
        target_text="corpus",
        target_lang="english",
        content="content",
    )
    english = dict.fromkeys(tables[1], "en")
    words = {**CONTENT, "z": "4"}
    pairs = pair_speech_text(*tables, LANGS, words, CONTENT, english)
    pairs += pair_speech_speech(tables[0], LANGS, CONTENT)
    assert saved == score_retrieval(pairs).to_dict()
    assert [(s["direction"], s["lang"]) for s in saved["scores"]] == [
        ("speech-text", "es"),
        ("text-speech", "en"),
        ("speech-text", "it"),
        ("text-speech", "en"),
        ("speech-speech", "es"),
        ("speech-speech", "it"),
        ("speech-text", "average"),
        ("text-speech", "average"),
        ("speech-speech", "average"),
    ]
    assert saved["scores"][4]["dropped"] == 1  # "3" is not said in Italian
    assert sorted(p.name for p in (tmp_path / "out").glob("*.png")) == [
        "heat_map_speech-speech.png",
        "heat_map_speech-text.png",
        "heat_map_text-speech.png",
        "projection.png",
    ]
    r1 = read_retrieval(str(tmp_path / "out/retrieval.json"))
    assert [*r1] == [("es", "en"), ("it", "en")]


def test_content_of_one_language(run, tmp_path, caplog):
    write_text(tmp_path / "utt2lang", dict.fromkeys(LANGS, "es"))
    with caplog.at_level(logging.WARNING):
        saved = run(query_lang="utt2lang", content="content")
    assert saved == {"scores": [], "without_match": [], "failed": []}
    assert "no retrieval among speech of one language only: es" in caplog.text


def test_sizes_differ(run, tmp_path):
    write_vectors(tmp_path / "text", [(utt, np.ones(3)) for utt in LANGS])
    with pytest.raises(ValueError, match="of one size D: 4 and 3; .*--teacher"):
        run(target="text/embed.scp")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"need --target .* or --content"),
        ({"content": "content"}, "--content needs --query_lang"),
        ({"target": "x", "query_text": "x"}, "--query_text needs --target_text"),
        ({"content": "x", "target_lang": "x"}, "--target_lang needs --target"),
    ],
)
def test_options_that_need_others(run, options, message):
    with pytest.raises(ValueError, match=message):
        run(**options)


def test_parser():
    help_text = get_parser().format_help()
    assert "examples:" in help_text and "(default: ratio)" in help_text
    with pytest.raises(SystemExit):
        get_parser().parse_args(["--margin", "none"])
