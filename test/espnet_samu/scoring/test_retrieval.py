import numpy as np
import pytest

from espnet_samu.scoring.neighbours import normalize, search
from espnet_samu.scoring.retrieval import (
    MARGINS,
    average,
    score_language,
    score_retrieval,
)


def brute_force(queries, pool, query_texts, pool_texts, margin, k):
    """Score one direction by loops over float64 cosines."""
    cosine = np.array([[float(q @ p) for p in pool] for q in queries])
    ranks, wrong = [], 0
    for i, row in enumerate(cosine):
        right = [j for j in range(len(pool)) if pool_texts[j] == query_texts[i]]
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
        "r1": np.mean(ranks <= 1),
        "r5": np.mean(ranks <= 5),
        "r10": np.mean(ranks <= 10),
        "mrr": np.mean(1 / ranks),
        "xsim": 100 * wrong / len(queries),
    }


def random_case(seed, n=60, d=8, distinct=40):
    generator = np.random.default_rng(seed)
    sentences = generator.normal(size=(distinct, d)) + 1.0
    number = generator.integers(distinct, size=n)
    text = sentences[number].astype(np.float32)
    speech = text + 0.7 * generator.normal(size=(n, d)).astype(np.float32)
    return speech, text, [f"text {i}" for i in number]


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_brute_force(margin, seed):
    speech, text, texts = random_case(seed)
    to_text, to_speech = score_language(
        speech, text, texts, margin=margin, k=4, block_elements=130
    )
    unit = [
        v.astype(np.float64) / np.linalg.norm(v, axis=1, keepdims=True)
        for v in (speech, text)
    ]
    kept = [texts.index(t) for t in dict.fromkeys(texts)]
    candidates, names = unit[1][kept], [texts[i] for i in kept]
    for score, arguments in (
        (to_text, (unit[0], candidates, texts, names)),
        (to_speech, (candidates, unit[0], names, texts)),
    ):
        for name, value in brute_force(*arguments, margin, 4).items():
            assert getattr(score, name) == pytest.approx(value, abs=1e-6), name
        assert (score.queries, score.pool) == (len(arguments[0]), len(arguments[1]))
        cosine = np.mean(np.sum(unit[0] * unit[1], axis=1))
        assert score.cosine == pytest.approx(cosine, abs=1e-6)
    assert 0.1 < to_text.r1 < 0.95  # neither trivial nor hopeless


def test_absolute_xsim_is_the_complement_of_r1():
    speech, text, texts = random_case(2, n=50, distinct=5000)
    assert len(set(texts)) == 50
    for score in score_language(speech, text, texts, margin="absolute"):
        assert score.xsim == pytest.approx(100 - 100 * score.r1, abs=1e-9)
        assert 0 < score.r1 < 1


def test_three_by_three_by_hand():
    # cosines: rows are utterances, columns texts
    #   a: 0.6 0.8 0.0  -> rank 2
    #   b: 0.0 1.0 0.0  -> rank 1
    #   c: 0.8 0.0 0.6  -> rank 2
    # by column: text 1 ranks c (0.8) before a (0.6): 2; text 2: 1; text 3: 1
    text = np.eye(3)
    speech = np.array([[3.0, 4.0, 0.0], [0.0, 2.0, 0.0], [0.8, 0.0, 0.6]])
    to_text, to_speech = score_language(speech, text, "abc", "es", "ratio", k=2)
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


def test_collapsed_space_is_not_perfect():
    ones = np.ones((6, 4))
    for score in score_language(ones, ones, "abcdef", k=4):
        assert (score.r1, score.r5, score.xsim) == (0.0, 0.0, 100.0)


def test_equal_texts_are_all_right():
    text = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    speech = np.array([[1.0, 0.1], [0.1, 1.0], [0.0, 1.0]])
    to_text, to_speech = score_language(speech, text, ["x", "x", "y"])
    assert (to_text.queries, to_text.pool) == (3, 2)
    assert (to_speech.queries, to_speech.pool) == (2, 3)
    assert to_text.r1 == pytest.approx(2 / 3)
    assert to_speech.r1 == 1.0


def test_languages_are_pools_of_their_own_and_are_averaged():
    speech, text, texts = random_case(3)
    utts = [f"u{i}" for i in range(len(texts))]
    speeches, sentences = dict(zip(utts, speech)), dict(zip(utts, text))
    langs = {utt: "es" if i < 20 else "it" for i, utt in enumerate(utts)}
    scores = score_retrieval(speeches, sentences, langs, dict(zip(utts, texts)))
    assert [(s.lang, s.direction[:6]) for s in scores] == [
        ("es", "speech"),
        ("es", "text-s"),
        ("it", "speech"),
        ("it", "text-s"),
        ("average", "speech"),
        ("average", "text-s"),
    ]
    assert scores[:2] == score_language(speech[:20], text[:20], texts[:20], "es")
    assert scores[4] == average([scores[0], scores[2]])
    assert scores[4].r1 == pytest.approx((scores[0].r1 + scores[2].r1) / 2)
    # equal embeddings stand for equal texts
    assert score_retrieval(speeches, sentences, langs) == scores


def test_refused():
    vectors = {"u1": np.ones(2), "u2": np.ones(2)}
    with pytest.raises(ValueError, match=r"target misses 1 of 2 .*: u2"):
        score_retrieval(vectors, {"u1": np.ones(2)})
    with pytest.raises(ValueError, match=r"query_lang misses 1 of 2 .*: u1"):
        score_retrieval(vectors, vectors, {"u2": "es"})
    with pytest.raises(ValueError, match="margin must be one of"):
        score_language(np.eye(2), np.eye(2), "ab", margin="cosine")
    with pytest.raises(ValueError, match="k must be at least 1: 0"):
        score_language(np.eye(2), np.eye(2), "ab", k=0)
    with pytest.raises(ValueError, match=r"one size D"):
        score_language(np.eye(2), np.ones((2, 3)), "ab")
    with pytest.raises(ValueError, match="row 1 has length 0.0"):
        normalize(np.array([[1.0], [0.0]]))
    with pytest.raises(ValueError, match="row 0 has length nan"):
        normalize(np.array([[np.nan], [1.0]]))


def test_neighbours_do_not_depend_on_the_block():
    generator = np.random.default_rng(0)
    queries = normalize(generator.normal(size=(30, 5)))
    pool = normalize(generator.normal(size=(40, 5)))
    numbers = np.arange(40)
    whole = search(queries, pool, numbers[:30], numbers, k=3)
    parts = search(queries, pool, numbers[:30], numbers, k=3, block_elements=1)
    np.testing.assert_array_equal(whole.rank, parts.rank)
    np.testing.assert_array_equal(whole.index, parts.index)
    np.testing.assert_allclose(whole.cosine, parts.cosine, atol=1e-6)
    assert (np.diff(whole.cosine, axis=1) <= 0).all()
