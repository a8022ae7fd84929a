"""Tests of espnet_samu.retrieval.scores."""

import subprocess
import sys

import numpy as np
import pytest

from espnet_samu.retrieval.nearest import Neighbours, UnitVectors
from espnet_samu.retrieval.pools import EmbeddingPool, pair_speech_text
from espnet_samu.retrieval.scores import (
    MARGINS,
    recall_at_1,
    score_pair,
    score_retrieval,
    similarity_error,
)


def test_equals_the_scorer():
    generator = np.random.default_rng(0)
    sentences = generator.normal(size=(60, 8)).astype(np.float32)
    teacher = sentences[generator.integers(60, size=120)]
    student = teacher + 1.2 * generator.normal(size=(120, 8)).astype(np.float32)
    langs = generator.choice(["es", "it"], size=120).tolist()
    for by_lang in (langs, None):
        found = recall_at_1(student, teacher, by_lang)
        names = [f"u{i}" for i in range(120)]
        utt2lang = dict(zip(names, langs)) if by_lang else None
        pairs = pair_speech_text(
            dict(zip(names, student)), dict(zip(names, teacher)), utt2lang
        )
        expected = [score.r1 for score in score_retrieval(pairs).averages()]
        assert [found["r1_speech_text"], found["r1_text_speech"]] == expected
        assert found["r1"] == pytest.approx(np.mean(expected))
        assert 0.1 < found["r1"] < 0.9


def test_by_hand():
    # the first two say the same; the third is nearer to their text than to its own
    teacher = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    student = np.array([[1.0, 0.1], [1.0, 0.2], [1.0, 0.9]])
    assert recall_at_1(student, teacher) == {
        "r1_speech_text": pytest.approx(2 / 3),
        "r1_text_speech": 1.0,
        "r1": pytest.approx(5 / 6),
    }
    # alone in its language everyone is right
    assert recall_at_1(student, teacher, ["es", "es", "it"])["r1"] == 1.0
    # a student that says the same of everything finds nothing
    assert recall_at_1(np.ones((3, 2)), teacher)["r1"] == 0.0


def test_refused():
    with pytest.raises(ValueError, match="student 2, teacher 3, langs 2"):
        recall_at_1(np.eye(2), np.eye(3))
    with pytest.raises(ValueError, match="at least one"):
        recall_at_1(np.ones((0, 2)), np.ones((0, 2)))
    student = np.eye(3)
    student[1, 1] = np.nan
    with pytest.raises(ValueError, match="^student .* 'row 1' has length nan"):
        recall_at_1(student, np.eye(3), ["es", "it", "it"])


def test_light():
    code = "import sys, espnet_samu.retrieval.scores\n"
    code += "heavy = {'torch', 'matplotlib', 'espnet2', 'scipy'} & set(sys.modules)\n"
    code += "assert not heavy, heavy"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_xsim_by_hand():
    # Three queries, two candidates, k = 2. a(x) = .8, .7, 1; a(y) = .85, .5.
    forward = Neighbours(
        rank=np.array([2, 1, 0]),
        index=np.array([[0, 1], [0, 1], [0, 1]]),
        cosine=np.array([[0.9, 0.7], [0.8, 0.6], [1.0, 1.0]]),
    )
    backward = Neighbours(
        rank=np.array([1, 2]),
        index=np.array([[0, 1], [1, 0]]),
        cosine=np.array([[0.9, 0.8], [0.6, 0.4]]),
    )
    texts = np.array([7, 5, 9]), np.array([5, 7])
    # query 1: .9 / .825 = 1.091 (wrong), .7 / .65 = 1.077 (right): wrong
    # query 2: .8 / .775 = 1.032 (right), .6 / .6 = 1 (wrong): right
    # query 3 has no match and is left out
    assert similarity_error(forward, backward, *texts, "ratio") == 50.0
    # query 1: .9 - .825 = .075 (wrong), .7 - .65 = .05 (right): wrong
    # query 2: .8 - .775 = .025 (right), .6 - .6 = 0 (wrong): right
    assert similarity_error(forward, backward, *texts, "distance") == 50.0
    assert similarity_error(forward, backward, *texts, "absolute") == 50.0
    with pytest.raises(ValueError, match=r"margin must be one of .*: 'x'"):
        similarity_error(forward, backward, *texts, "x")


def test_margin_mends_a_hub():
    # Candidate 0 is near to everyone: a(y) = .9 against .5.
    forward = Neighbours(np.array([2]), np.array([[0, 1]]), np.array([[0.8, 0.7]]))
    backward = Neighbours(
        np.array([1, 1]), np.array([[0], [0]]), np.array([[0.9], [0.5]])
    )
    texts = np.array([1]), np.array([0, 1])
    # .8 / .825 < .7 / .625
    assert similarity_error(forward, backward, *texts, "ratio") == 0.0
    assert similarity_error(forward, backward, *texts, "absolute") == 100.0


def brute_force(queries, pool, query_texts, pool_texts, margin, k):
    """Score one direction by loops over float64 cosines."""
    unit = [[x / np.sqrt(float(x @ x)) for x in np.float64(v)] for v in (queries, pool)]
    cosine = np.array([[float(q @ p) for p in unit[1]] for q in unit[0]])
    ranks, wrong, matches = [], 0, []
    for i, row in enumerate(cosine):
        right = [j for j in range(len(pool)) if pool_texts[j] == query_texts[i]]
        if not right:
            continue
        matches += [row[j] for j in right]
        best = max(row[j] for j in right)
        ranks.append(
            1 + sum(row[j] >= best for j in range(len(pool)) if j not in right)
        )
        nearest = sorted(range(len(pool)), key=lambda j: -row[j])
        nearest = nearest[: 1 if margin == "absolute" else k]
        scores = []
        for j in nearest:
            a = np.mean(sorted(row)[-k:])
            b = np.mean(sorted(cosine[:, j])[-k:])
            base = (a + b) / 2
            scores.append(
                {"absolute": row[j], "ratio": row[j] / base, "distance": row[j] - base}[
                    margin
                ]
            )
        wrong += nearest[int(np.argmax(scores))] not in right
    ranks = np.array(ranks)
    return {
        "queries": len(ranks),
        "dropped": len(queries) - len(ranks),
        "pool": len(pool),
        "r1": np.mean(ranks <= 1),
        "r5": np.mean(ranks <= 5),
        "r10": np.mean(ranks <= 10),
        "mrr": np.mean(1 / ranks),
        "cosine": np.mean(matches),
        "xsim": 100 * wrong / len(ranks),
    }


def make_pool(kind, lang, vectors, contents):
    vectors = np.asarray(vectors, dtype=np.float32)
    return EmbeddingPool(kind, lang, UnitVectors(vectors), np.asarray(contents))


def random_pools(seed, kinds, d=8, distinct=70):
    """Two pools of 60 and 50; some contents are said twice, some by one side only."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(distinct, d)) + 1.0
    pools = []
    for kind, lang, size in zip(kinds, ("es", "it"), (60, 50)):
        contents = generator.integers(distinct, size=size)
        noise = 0.5 * generator.normal(size=(size, d))
        pools.append(make_pool(kind, lang, centres[contents] + noise, contents))
    return pools


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("kinds", [("speech", "text"), ("speech", "speech")])
@pytest.mark.parametrize("k", [1, 4, 1000])
def test_equals_brute_force(kinds, margin, k):
    a, b = random_pools(k, kinds)
    result = score_pair(a, b, margin, k, tile=17)
    assert not result.without_match
    for score, x, y in zip(result.scores, (a, b), (b, a), strict=True):
        assert score.direction == f"{x.kind}-{y.kind}"
        assert (score.lang, score.target_lang) == (x.lang, y.lang)
        assert score.k == min(k, 50)
        for name, value in brute_force(
            x.vectors.vectors,
            y.vectors.vectors,
            x.contents,
            y.contents,
            margin,
            score.k,
        ).items():
            assert getattr(score, name) == pytest.approx(value, abs=1e-6), name
        assert 0.1 < score.r1 < 0.95  # neither trivial nor hopeless
        assert score.dropped > 0
        if margin == "absolute":
            assert score.xsim == pytest.approx(100 - 100 * score.r1, abs=1e-9)


def test_three_by_three_by_hand():
    # cosines: rows are utterances, columns texts
    #   a: 0.6 0.8 0.0  -> rank 2
    #   b: 0.0 1.0 0.0  -> rank 1
    #   c: 0.8 0.0 0.6  -> rank 2
    # by column: text 1 ranks c (0.8) before a (0.6): 2; text 2: 1; text 3: 1
    text = make_pool("text", "es", np.eye(3), [0, 1, 2])
    speech = [[3.0, 4.0, 0.0], [0.0, 2.0, 0.0], [0.8, 0.0, 0.6]]
    speech = make_pool("speech", "es", speech, [0, 1, 2])
    to_text, to_speech = score_pair(speech, text, "ratio", k=2).scores
    assert (to_text.r1, to_text.r5) == (pytest.approx(1 / 3), 1.0)
    assert to_text.mrr == pytest.approx((0.5 + 1 + 0.5) / 3)
    assert to_speech.r1 == pytest.approx(2 / 3)
    assert to_text.cosine == pytest.approx((0.6 + 1.0 + 0.6) / 3)
    # k = 2: a(utterances) = .7 .5 .7, a(texts) = .7 .9 .3
    # a: .6 / .7 < .8 / .8 (wrong); b: 1 / .7 (right); c: .8 / .7 < .6 / .5 (right)
    assert to_text.xsim == pytest.approx(100 / 3)
    assert to_text.signature == (
        "direction:speech-text|lang:es|queries:3|pool:3|same_text:right|ties:wrong"
        "|sim:cosine|margin:ratio|k:2"
    )


@pytest.mark.parametrize("margin", MARGINS)
def test_collapsed_space_is_not_perfect(margin):
    generator = np.random.default_rng(0)
    # all the same direction, of lengths that make every float32 sum differ
    ones = np.outer(generator.uniform(0.1, 9, size=40), generator.normal(size=33))
    a, b = (make_pool(kind, "es", ones, range(40)) for kind in ("speech", "text"))
    for score in score_pair(a, b, margin, k=4, tile=16).scores:
        assert (score.r1, score.r10, score.xsim) == (0.0, 0.0, 100.0)
        assert score.mrr == pytest.approx(1 / 40)


@pytest.mark.parametrize("margin", MARGINS)
def test_unrelated_spaces_are_all_wrong(margin):
    """Cosines of exactly 0, and 0 / 0 under the ratio margin."""
    text = make_pool("text", "es", np.eye(8)[:4], range(4))
    speech = make_pool("speech", "es", np.eye(8)[4:], range(4))
    for score in score_pair(speech, text, margin, k=2).scores:
        assert (score.r1, score.xsim) == (0.0, 100.0)


def test_zero_over_zero_is_not_the_nearest():
    index = np.array([[0, 1]])
    backward = Neighbours(np.ones(2), np.zeros((2, 1), int), np.array([[0.0], [0.3]]))
    texts = np.array([0]), np.array([0, 1])
    for cosine, right, error in (
        # a(x) = .0; b = .0 and .15: 0 / 0 is less than .1 / .15, more than -.1 / .15
        *[([0.0, 0.0], 0, 100.0), ([0.0, -0.0], 1, 100.0)],
        *[([-0.1, 0.1], 0, 100.0), ([-0.1, 0.1], 1, 0.0)],
    ):
        forward = Neighbours(np.array([1]), index, np.array([cosine]))
        texts = np.array([right]), np.array([0, 1])
        assert similarity_error(forward, backward, *texts, "ratio") == error


def test_a_tie_is_wrong():
    # "y" has the embedding of "x": whoever looks for either meets both
    text = make_pool("text", "es", [[1, 2], [1, 2], [2, 1]], [0, 1, 2])
    speech = make_pool("speech", "es", [[1, 3], [1, 4], [3, 1]], [0, 1, 2])
    to_text, to_speech = score_pair(speech, text, "absolute", k=1).scores
    assert to_text.r1 == pytest.approx(1 / 3)
    assert to_text.xsim == pytest.approx(200 / 3)
    assert to_speech.r1 == pytest.approx(2 / 3)


def test_languages_without_a_match():
    a = make_pool("speech", "es", np.eye(2), [0, 1])
    b = make_pool("speech", "fr", np.eye(2), [0, 2])
    c = make_pool("speech", "it", np.eye(2), [3, 4])
    result = score_retrieval([(a, b), (a, c)], "absolute", 1)
    assert [(s.lang, s.target_lang) for s in result.scores] == [
        ("es", "fr"),
        ("fr", "es"),
    ]
    assert [(s.queries, s.dropped) for s in result.scores] == [(1, 1), (1, 1)]
    assert "|target_lang:fr|queries:1|dropped:1|pool:2|" in result.scores[0].signature
    common = {"direction": "speech-speech", "queries": 2}
    assert result.without_match == [
        {**common, "lang": "es", "target_lang": "it"},
        {**common, "lang": "it", "target_lang": "es"},
    ]


def test_retrieval_refused():
    pool = make_pool("text", "es", np.eye(2), [0, 1])
    with pytest.raises(ValueError, match="margin must be one of"):
        score_pair(pool, pool, "cosine", 4)
    with pytest.raises(ValueError, match="k must be at least 1: 0"):
        score_pair(pool, pool, "ratio", 0)
    larger = make_pool("text", "es", np.ones((2, 3)), [0, 1])
    with pytest.raises(ValueError, match="of one size D: 2 and 3"):
        score_pair(pool, larger, "ratio", 1)
