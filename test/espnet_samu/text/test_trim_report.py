"""Tests of espnet_samu.text.trim_report."""

import pytest
from transformers import AutoTokenizer

from espnet_samu.text.trim_report import check_text, describe_ceiling, espnet_round_trip
from espnet_samu.utils.kaldi_io import write_text


def test_full_vocabulary_of_transformers(mbart_folder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(mbart_folder)
    write = espnet_round_trip(
        "hugging_face", str(mbart_folder), tokenizer.get_vocab().keys()
    )
    write_text(tmp_path / "text", {"utt1": "the cat sleeps？", "utt2": "a dog."})
    report = check_text(write, str(tmp_path / "text"), "en")
    assert report["sentences"] == 2
    assert report["changed_sentences"] == 1
    assert report["changed_characters"] == {"？": 1}
    assert report["ceiling"]["en"]["exact_match"] == 0.5
    # 13a splits ? off, and not ？: seven tokens where the references have six.
    assert report["ceiling"]["en"]["length_ratio"] == pytest.approx(7 / 6)
    line = describe_ceiling(report["ceiling"])
    assert line.startswith("en BLEU ") and line.endswith(", exact match 0.500")


def test_spellings_are_one_language(tmp_path):
    write_text(tmp_path / "text", {"a": "the cat", "b": "the dog", "c": "the cat"})
    write_text(tmp_path / "utt2tgt_lang", {"a": "en", "b": "EN", "c": "en"})
    write = espnet_round_trip("word", None, ["the", "cat"])
    ceiling = check_text(write, str(tmp_path / "text"))["ceiling"]
    assert [*ceiling] == ["en"] and ceiling["en"]["exact_match"] == 2 / 3


def test_words(tmp_path):
    write = espnet_round_trip("word", None, ["the", "cat"])
    assert write(["the cat", "the dog"]) == ["the cat", "the <unk>"]
    with pytest.raises(ValueError, match="token_type must be bpe, .*: 'phn'"):
        espnet_round_trip("phn", None, [])
