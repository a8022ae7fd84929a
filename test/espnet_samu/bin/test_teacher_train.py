import hashlib
import itertools
import json

import pytest

from espnet_samu.bin.teacher_train import (
    Pair,
    distinct_batches,
    get_parser,
    main,
    read_bitext,
)
from espnet_samu.teacher.sentence_encoder import SentenceEncoder

HEADER = "lang\ttext\tenglish\n"

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


def test_read_bitext_keeps_quotes_and_drops_repeats(tmp_path):
    path = tmp_path / "bitext.tsv"
    lines = ['es\t"uno" dos\tone\n', "it\tl'uno\tone\n"]
    path.write_text(HEADER + "".join(lines) + lines[0], encoding="utf-8")
    assert read_bitext(path) == [
        Pair("es", '"uno" dos', "one"),
        Pair("it", "l'uno", "one"),
    ]


@pytest.mark.parametrize(
    "content, message",
    [
        ("lang\tenglish\n", r"bitext.tsv:1: header must be"),
        (HEADER + "es\tuno\n", r"bitext.tsv:2: need 3 non-empty columns"),
        (HEADER + "es\t\tone\n", r"bitext.tsv:2: need 3 non-empty columns"),
        (HEADER, r"no sentence pair"),
    ],
)
def test_read_bitext_refuses(tmp_path, content, message):
    path = tmp_path / "bitext.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_bitext(path)


def test_batches_have_no_repeated_sentence():
    pairs = [Pair(lang, f"{lang}{n}", f"en{n}") for lang in "abc" for n in range(20)]
    pairs += [Pair("d", "same", f"en{n}") for n in range(20)]
    batches = list(itertools.islice(distinct_batches(pairs, 8, seed=3), 50))
    for batch in batches:
        assert len(batch) == 8
        assert len({pair.text for pair in batch}) == 8
        assert len({pair.english for pair in batch}) == 8
    drawn = {pair.text for batch in batches for pair in batch}
    assert drawn == {pair.text for pair in pairs}
    again = list(itertools.islice(distinct_batches(pairs, 8, seed=3), 50))
    assert again == batches
    assert next(distinct_batches(pairs, 8, seed=4)) != batches[0]


def test_batches_shrink_where_there_are_few_sentences():
    pairs = [Pair("a", f"a{n}", f"en{n % 3}") for n in range(9)]
    assert len(next(distinct_batches(pairs, 96, seed=0))) == 3
    with pytest.raises(ValueError, match="at least two pairs"):
        next(distinct_batches(pairs[:1], 96, seed=0))
