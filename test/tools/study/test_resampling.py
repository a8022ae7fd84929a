"""Tests of study.resampling."""

import dataclasses
import random

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from study.resampling import (
    BLEU_COLUMNS,
    GAP,
    METRICS,
    SUPERVISED,
    ZERO_SHOT,
    Resampling,
    StudySet,
    bleu_of_sums,
    chrf_of_sums,
    score_sums,
    segment_statistics,
)
from study.run_file import RunUtterance


def make(hyp, ref, exact=0, right=0, slots=1):
    return RunUtterance("u", "it", ref, hyp, exact, right, slots)


def sacrebleu_score(utterances):
    hyps = [utt.hyp for utt in utterances]
    return BLEU().corpus_score(hyps, [[utt.ref for utt in utterances]]).score


def test_bleu_equals_sacrebleu():
    rng = random.Random(0)
    words = "a b c d e f . , don't ten".split()
    seen = set()
    for _ in range(300):
        utterances = [
            make(
                " ".join(rng.choices(words, k=rng.randint(0, 9))),
                " ".join(rng.choices(words, k=rng.randint(1, 9))),
            )
            for _ in range(rng.randint(1, 4))
        ]
        sums = segment_statistics(utterances).sum(axis=0)
        wanted = sacrebleu_score(utterances)
        assert bleu_of_sums(sums[:BLEU_COLUMNS]) == pytest.approx(wanted, abs=1e-9)
        seen.add(round(wanted))
    assert len(seen) > 10 and 0 in seen  # smoothed, brief and empty ones are there


@pytest.mark.parametrize(
    "hyp, bleu",
    [("a b c d e", 100.0), ("", 0.0), ("x y z v w", 0.0), ("a b c", 0.0)],
)
def test_bleu_by_eye(hyp, bleu):
    sums = segment_statistics([make(hyp, "a b c d e")])[0]
    assert bleu_of_sums(sums[:BLEU_COLUMNS]) == pytest.approx(bleu)


def test_other_metrics_are_shares_of_the_sums():
    utterances = [
        make("one two", "one two", exact=1, right=2, slots=2),
        make("one two", "one ten", exact=0, right=1, slots=2),
        make("hello", "good day", exact=0, right=0, slots=0),
    ]
    scores = score_sums(segment_statistics(utterances).sum(axis=0))
    assert scores["exact_match"] == pytest.approx(1 / 3)
    assert scores["slot_accuracy"] == pytest.approx(3 / 4)
    none = score_sums(segment_statistics(utterances[2:]).sum(axis=0))
    assert np.isnan(none["slot_accuracy"])
    assert all(np.isnan(score) for score in score_sums(np.zeros(14)).values())


REFS = ["a b c d e", "b c d e f g", "c d a b", "f e d c b a"]
HYPS = {
    "es": ["a b c d e", "b c d e f", "c d a b", "f e d c b"],
    "it": ["a b c d", "b c x e f g", "c d x b", "f e d c a"],
    "ru": ["a b c d x", "b c d e f g g", "x d a b", "f e d b c a"],
}


def make_utterances(langs=("es", "it", "ru")):
    return [
        RunUtterance(f"{lang}{i}", lang, ref, hyp, int(hyp == ref), i, 4)
        for lang in langs
        for i, (ref, hyp) in enumerate(zip(REFS, HYPS[lang]))
    ]


def make_resampling(utterances, samples=50, **kwargs):
    study_set = StudySet.from_utterances("test", utterances)
    return Resampling(study_set, ["es"], ["it", "ru"], samples, 7, **kwargs)


def test_scores_are_those_of_the_drawn_sentences():
    utterances = make_utterances()
    resampling = make_resampling(utterances)
    assert resampling.scopes == ["es", "it", "ru", SUPERVISED, ZERO_SHOT, GAP]
    assert (resampling.counts[0] == 1).all()
    assert (resampling.counts.sum(axis=1) == 4).all()
    statistics = resampling.set.statistics(utterances, "run")
    scores = resampling.score(statistics)
    assert scores.shape == (3, 6, 51)
    for draw in (0, 1, 17, 50):
        counts = resampling.counts[draw].astype(int)
        by_lang = {}
        for lang, hyps in HYPS.items():
            # Contents are numbered by utterance id: as they are written here.
            drawn = np.repeat(np.arange(4), counts)
            wanted = BLEU().corpus_score(
                [hyps[i] for i in drawn], [[REFS[i] for i in drawn]]
            )
            by_lang[lang] = wanted.score
            exact = np.mean([hyps[i] == REFS[i] for i in drawn])
            place = resampling.scopes.index(lang)
            assert scores[0, place, draw] == pytest.approx(wanted.score)
            assert scores[1, place, draw] == pytest.approx(exact)
            assert scores[2, place, draw] == pytest.approx(np.mean(drawn) / 4)
        zero_shot = (by_lang["it"] + by_lang["ru"]) / 2
        assert scores[0, 4, draw] == pytest.approx(zero_shot)
        assert scores[0, 5, draw] == pytest.approx(by_lang["es"] - zero_shot)
    assert METRICS == ("bleu", "exact_match", "slot_accuracy")


def test_chrf_is_sacrebleus():
    utterances = [*make_utterances(), RunUtterance("ru9", "ru", "a b", "", 0, 0, 0)]
    metrics = ("bleu", "chrf", "exact_match")
    resampling = make_resampling(utterances, metrics=metrics)
    scores = resampling.score(resampling.set.statistics(utterances, "run", metrics))
    assert scores.shape[0] == 3
    for lang, hyps in {**HYPS, "ru": [*HYPS["ru"], ""]}.items():
        place = resampling.scopes.index(lang)
        refs = [*REFS, "a b"][: len(hyps)]
        expected = CHRF().corpus_score(hyps, [refs]).score
        assert scores[1, place, 0] == pytest.approx(expected)
        bleu = BLEU().corpus_score(hyps, [refs]).score
        assert scores[0, place, 0] == pytest.approx(bleu)
    assert chrf_of_sums(np.zeros(18)) == 0
    with pytest.raises(ValueError, match=r"metrics must be of .*: \['ter'\]"):
        make_resampling(utterances, metrics=("bleu", "ter"))


def test_languages_share_their_contents():
    utterances = make_utterances()
    study_set = StudySet.from_utterances("test", utterances)
    assert study_set.size == 4
    assert study_set.rows["es"]["es2"] == study_set.rows["ru"]["ru2"]
    # The same sentence twice in a language is two contents.
    twice = [*utterances, dataclasses.replace(utterances[0], id="es9")]
    assert StudySet.from_utterances("test", twice).size == 5


def test_a_set_with_one_group_has_no_gap():
    utterances = make_utterances(("it",))
    resampling = make_resampling(utterances, samples=3)
    assert resampling.scopes == ["it", ZERO_SHOT]
    scores = resampling.score(resampling.set.statistics(utterances, "run"))
    assert (scores[:, 0] == scores[:, 1]).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda utts: utts[1:],
        lambda utts: [dataclasses.replace(utts[0], lang="fr"), *utts[1:]],
        lambda utts: [dataclasses.replace(utts[0], ref="other"), *utts[1:]],
        lambda utts: [*utts, dataclasses.replace(utts[0], id="more")],
    ],
)
def test_other_utterances_are_refused(change):
    utterances = make_utterances()
    study_set = StudySet.from_utterances("test", utterances)
    with pytest.raises(ValueError, match="b, seed 2: utterances, .* 1 are not, e.g."):
        study_set.statistics(change(utterances), "b, seed 2")


def test_samples_must_be_positive():
    with pytest.raises(ValueError, match="samples must be at least 1: 0"):
        make_resampling(make_utterances(), samples=0)


def test_few_slot_words_are_no_slot_accuracy():
    utterances = [dataclasses.replace(utt, slots=2) for utt in make_utterances()]
    resampling = make_resampling(utterances)
    scores = resampling.score(resampling.set.statistics(utterances, "run"))
    assert np.isnan(scores[2]).all() and np.isfinite(scores[:2]).all()
