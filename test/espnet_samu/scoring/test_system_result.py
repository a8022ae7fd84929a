"""Tests of espnet_samu.scoring.system_result."""

import pytest

from espnet_samu.scoring.comet import CometScores
from espnet_samu.scoring.system_result import (
    Direction,
    SystemResult,
    score_system,
    split_directions,
)
from espnet_samu.scoring.table import make_translation_table
from espnet_samu.scoring.translation import MetricSettings, score_translation


def test_one_target():
    langs = {"b": "fr", "a": "es", "c": "es", "d": "de"}
    directions = split_directions("bac", langs, dict.fromkeys(langs, "en"))
    assert directions == {
        "es": Direction("es", "es", "en", ("a", "c")),
        "fr": Direction("fr", "fr", "en", ("b",)),
    }


def test_several_targets():
    langs = dict.fromkeys("abc", "en")
    targets = {"a": "zh-CN", "b": "de", "c": "zh-CN"}
    directions = split_directions("cba", langs, targets)
    assert [*directions] == ["en-de", "en-zh-CN"]
    assert directions["en-zh-CN"].utterances == ("c", "a")


LANGS = ["es", "fr", "it", "ru"]
REFS = {
    f"{lang}{i}": f"the message number {word} is a new one in may"
    for lang in LANGS
    for i, word in enumerate(["one", "two", "three"])
}
HYPS = {
    utt: ref.replace("two", "ten") if utt[:2] in ("it", "ru") else ref
    for utt, ref in REFS.items()
}
UTT2LANG = {utt: utt[:2] for utt in REFS}
TARGET = dict.fromkeys(REFS, "en")
DIRECTIONS = split_directions(REFS, UTT2LANG, TARGET)


def test_means_by_hand():
    retrieval = {"es": (0.5, "pool:3"), "fr": (1.0, "pool:3"), "it": (0.2, "pool:3")}
    result = score_system(
        "samu",
        HYPS,
        REFS,
        DIRECTIONS,
        train_langs=["es", "fr", "de"],
        groups={"es": "high", "fr": "high", "ru": "low"},
        settings=MetricSettings(slot_words=["one", "two", "three"]),
        retrieval=retrieval,
    )
    means = {row.name: row for row in result.means}
    assert list(means) == ["supervised", "zero-shot", "high", "low", "average"]
    assert [row.name for row in result.directions] == LANGS
    utts = [utt for utt in REFS if utt.startswith("it")]
    italian = score_translation([HYPS[u] for u in utts], [REFS[u] for u in utts])
    italian = italian["bleu"].value
    assert 0 < italian < 100
    assert result.directions[2].values["bleu"] == italian
    assert means["supervised"].values["bleu"] == pytest.approx(100)
    assert means["zero-shot"].values["bleu"] == pytest.approx(italian)
    assert means["average"].values["bleu"] == pytest.approx((100 + italian) / 2)
    assert result.trf_gap == pytest.approx(100 - italian)
    assert means["zero-shot"].values["exact_match"] == pytest.approx(2 / 3)
    # every sentence has "one" besides its number
    assert means["zero-shot"].values["slot_accuracy"] == pytest.approx(5 / 6)
    assert means["supervised"].values["r1"] == 0.75
    assert means["zero-shot"].values["r1"] is None  # ru is not known
    assert means["zero-shot"].utterances == 6
    assert means["zero-shot"].members == ("it", "ru")

    table = make_translation_table([result], {"seed": "1"})
    lines = table.splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == (
        "system,languages,BLEU,chrF2,exact match,slot accuracy,R@1,length ratio,N"
    ).split(",")
    assert "| samu   | supervised (es fr)" in table
    assert "- TRFGap of samu: " in table
    assert "- BLEU (es fr it ru): `nrefs:1|case:mixed|eff:no|tok:13a" in table
    assert "- R@1 (es fr it): `pool:3`" in table
    assert lines[-1] == "- seed: 1"


def test_directions_with_several_targets():
    target = {utt: "zh" if utt.endswith("0") else "en" for utt in REFS}
    directions = split_directions(REFS, UTT2LANG, target)
    result = score_system("a", HYPS, REFS, directions)
    assert [row.name for row in result.directions][:2] == ["es-en", "es-zh"]
    assert "tok:zh" in result.directions[1].signatures["bleu"]
    assert [row.name for row in result.means] == ["average"]
    table = make_translation_table([result], {})
    assert "average (8)" in table
    assert "R@1" not in table and "slot" not in table


def test_optional_scores():
    hyps = {**HYPS, "it1": " ", "ru0": "", "ru2": ""}
    comet = CometScores({utt: int(utt[2:]) / 2 for utt in REFS}, "model:made-up")
    settings = MetricSettings(("bleu", "ter"))
    result = score_system("a", hyps, REFS, DIRECTIONS, settings=settings, comet=comet)
    assert [row.empty for row in result.directions] == [0, 0, 1, 2]
    assert result.means[0].empty == 3
    # two of three references are lost, of equal length
    assert result.directions[3].values["ter"] > 200 / 3
    assert result.means[0].values["comet"] == 0.5
    assert result.means[0].values["chrf"] is None
    table = make_translation_table([result], {})
    assert "BLEU |  TER | COMET | exact match | length ratio" in table
    assert "- empty hypotheses of a: it 1, ru 2\n" in table
    assert "- COMET (es fr it ru): `model:made-up`" in table
    assert SystemResult.from_dict("a", result.to_dict()) == result
