"""Which sentences are the same to the rules of held-out sets."""

import hashlib
import unicodedata
from itertools import chain

import pytest

from espnet_samu.bin.prepare import main
from espnet_samu.corpora.held_out import _ACCENTS, _CONTENT, sentence_key

SAME = [
    ["Le test.", "LE  TEST", "«Le test» !", "Ｌｅ\u00a0test…"],  # case, punctuation
    ["l'eau", "l’eau", "lʼeau", "l´eau", "l`eau", "L eau"],  # apostrophes
    ["caf\u00e9", "cafe\u0301", "CAFÉ"],  # composed, decomposed
    ["\ufb01n ½", "fin 1⁄2"],  # compatibility forms
    ["كِتَابٌ", "كتاب", "كتـــاب"],  # vowel marks, tatweel
    ["كتابي", "کتابی", "كتابى"],  # Arabic and Persian kaf and yeh
    ["İstanbul ışık", "istanbul IŞIK", "ISTANBUL işik"],
    ["ещё всё", "Еще все", "еще\u0308 все"],  # yo and ye
    ["می\u200cخواهم", "میخواهم"],  # a joiner that only shapes
]
OTHERS = [
    ("Les tests", "Le test"),
    ("கி", "கு"),  # marks of Tamil vowels are letters' own
    ("мой", "мои"),  # so is the breve of short i
    ("año", "ano"),
    ("سأل", "سال"),  # hamza
    ("", "a"),
]


@pytest.mark.parametrize("texts", SAME)
def test_same(texts):
    assert len({sentence_key(text) for text in texts}) == 1


@pytest.mark.parametrize("one, other", OTHERS)
def test_different(one, other):
    assert sentence_key(one) != sentence_key(other)


def test_nothing_to_recognise_by():
    assert {sentence_key(text) for text in ("?!", " ", "ـ", "’")} == {sentence_key("")}


def test_letters_and_digits_are_no_punctuation():
    """What :func:`sentence_key` takes for granted where a sentence needs no table."""
    for code in filter(str.isalnum, map(chr, range(0x110000))):
        assert unicodedata.category(code)[0] not in "PSZC", ascii(code)


def test_the_fast_way_gives_the_keys_of_the_tables():
    texts = ["Été !", "ŉa ½", "\u1100 \u1161é", *chain(*SAME)]
    for text in texts:
        folded = unicodedata.normalize("NFKC", text.translate(_ACCENTS)).casefold()
        folded = unicodedata.normalize("NFKC", folded).replace("i\u0307", "i")
        content = folded.translate(_CONTENT).encode()
        key = hashlib.blake2b(content, digest_size=8).digest()
        assert sentence_key(text) == key, text


def write_set(folder, rows, segments=False):
    """Write utterances: id, recording, language, transcript."""
    folder.mkdir(parents=True)
    files = {"wav.scp": 1, "utt2lang": 2, "text.tc.multi": 3}
    for name, column in files.items():
        lines = "".join(f"{row[0]} {row[column]}\n" for row in rows)
        (folder / name).write_text(lines, "utf-8")
    if segments:
        (folder / "wav.scp").write_text("rec long.flac\n")
        pieces = "".join(f"{row[0]} rec {row[1]}\n" for row in rows)
        (folder / "segments").write_text(pieces)


def call_overlaps(tmp_path):
    sets = ["--training", "train", "samu_train", "--others", "dev", "test"]
    main(["overlaps", "--data_dir", str(tmp_path), *sets])


def test_overlaps_with_training_sets(tmp_path, capsys):
    rows = [("a", "1.flac", "cs", "Kde je ryba?"), ("b", "2.flac", "cs", "?")]
    write_set(tmp_path / "train", rows)
    write_set(tmp_path / "samu_train", [("c", "3.flac", "nl", "Waar is hij")])
    rows = [("d", "9.flac", "cs", "Kde je pes?"), ("e", "8.flac", "nl", "kde je ryba")]
    write_set(tmp_path / "dev", rows)
    rows = [
        ("f", "7.flac", "cs", "kde je ryba"),
        ("g", "2.flac", "cs", "!"),
        ("h", "6.flac", "nl", "Waar is hij?"),
        ("i", "5.flac", "nl", "?"),  # without words: no sentence of a training set
        ("j", "1.flac", "cs", "kde je ryba"),
    ]
    write_set(tmp_path / "test", rows)
    call_overlaps(tmp_path)
    file = tmp_path / "local" / "test" / "in_training.tsv"
    assert capsys.readouterr().out == (
        "Warning: of 5 utterances of test, 2 are recordings of a training set, 2 "
        f"others say a sentence of one: {file}\n"
    )
    assert file.read_text().splitlines()[1:] == [
        "g\trecording\ttrain",
        "j\trecording\ttrain",
        "f\tsentence\ttrain",
        "h\tsentence\tsamu_train",
    ]
    assert not (tmp_path / "local" / "dev").exists()
    (tmp_path / "test" / "text.tc.multi").unlink()  # --use_src_lang false
    call_overlaps(tmp_path)
    assert "2 are recordings of a training set, 0 others" in capsys.readouterr().out


def test_pieces_of_one_recording_are_no_overlap(tmp_path, capsys):
    write_set(
        tmp_path / "train", [("a", "0 1", "cs", "ano"), ("b", "1 2", "cs", "")], 1
    )
    write_set(tmp_path / "samu_train", [("c", "3 4", "cs", "")], True)
    write_set(
        tmp_path / "dev", [("d", "2 3", "cs", "ne"), ("e", "4 5", "cs", "")], True
    )
    write_set(tmp_path / "test", [("f", "1 2", "cs", "ne")], True)
    call_overlaps(tmp_path)
    assert capsys.readouterr().out.startswith("Warning: of 1 utterances of test, 1 are")
