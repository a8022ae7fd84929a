import subprocess
import sys

import numpy as np
import pytest

from espnet_samu.scoring.recall import recall_at_1
from espnet_samu.scoring.retrieval import score_retrieval
from espnet_samu.scoring.retrieval_pairs import pair_speech_text


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
    code = "import sys, espnet_samu.scoring.recall\n"
    code += "heavy = {'torch', 'matplotlib', 'espnet2', 'scipy'} & set(sys.modules)\n"
    code += "assert not heavy, heavy"
    subprocess.run([sys.executable, "-c", code], check=True)
