import hashlib
import json

import pytest

from espnet_samu.bin.teacher_train import get_parser, main
from espnet_samu.teacher.sentence_encoder import SentenceEncoder

ONES = {
    "en": "one two three four five six seven eight nine".split(),
    "es": "uno dos tres cuatro cinco seis siete ocho nueve".split(),
    "fr": "un deux trois quatre cinq six sept huit neuf".split(),
}
TEMPLATES = {
    "en": "you have {} new and {} old messages",
    "es": "tiene {} mensajes nuevos y {} viejos",
    "fr": "vous avez {} nouveaux et {} anciens messages",
}


def sentence(lang, i, j):
    return TEMPLATES[lang].format(ONES[lang][i], ONES[lang][j])


@pytest.fixture
def bitext(tmp_path):
    """All sentences but those where the second number is the first plus 3."""
    path = tmp_path / "bitext.tsv"
    rows = [
        f"{lang}\t{sentence(lang, i, j)}\t{sentence('en', i, j)}\n"
        for lang in ("es", "fr")
        for i in range(9)
        for j in range(9)
        if j != (i + 3) % 9
    ]
    path.write_text("lang\ttext\tenglish\n" + "".join(rows), encoding="utf-8")
    return path


def digest(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.timeout(30)  # two trainings
def test_learns_and_is_deterministic(bitext, tmp_path, capsys):
    cmd = ["--bitext", str(bitext), "--updates", "60", "--batch_size", "24"]
    cmd += ["--dim", "32", "--lr", "0.005", "--output_dir"]
    teacher = tmp_path / "teacher"
    main([*cmd, str(teacher)])
    info = json.loads((teacher / "teacher.json").read_text())
    assert (info["pairs"], info["langs"], info["updates"]) == (144, ["es", "fr"], 60)

    # held-out sentences: each finds its translation among the 9
    encoder = SentenceEncoder(str(teacher), device="cpu")
    assert encoder.dimension == 32
    english = encoder.encode([sentence("en", i, (i + 3) % 9) for i in range(9)])
    for lang in ("es", "fr"):
        vectors = encoder.encode([sentence(lang, i, (i + 3) % 9) for i in range(9)])
        right = (vectors @ english.T).argmax(axis=1) == range(9)
        assert right.mean() >= 0.8

    capsys.readouterr()
    main([*cmd, str(teacher)])
    assert capsys.readouterr().out == f"{teacher}: up to date\n"
    main([*cmd, str(tmp_path / "again")])
    assert digest(tmp_path / "again") == digest(teacher)
    main([*cmd, str(tmp_path / "again"), "--seed", "1"])
    assert digest(tmp_path / "again") != digest(teacher)


def test_refused(bitext, tmp_path):
    cmd = ["--bitext", str(bitext), "--output_dir"]
    with pytest.raises(ValueError, match="batch_size must be at least 2: 1"):
        main([*cmd, str(tmp_path / "x"), "--batch_size", "1"])
    with pytest.raises(ValueError, match="holds an input, .*bitext.tsv"):
        main([*cmd, str(tmp_path)])
    student = tmp_path / "student"  # teacher.json is in an experiment, too
    student.mkdir()
    (student / "teacher.json").write_text("{}")
    with pytest.raises(ValueError, match="student is not empty and was not made by te"):
        main([*cmd, str(student)])
    assert bitext.exists()
    assert get_parser().description
