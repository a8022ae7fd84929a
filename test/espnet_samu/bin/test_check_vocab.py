import io
import json

import pytest
import sentencepiece

from espnet_samu.bin.check_vocab import main
from espnet_samu.utils.kaldi_io import write_text


@pytest.fixture
def texts(tmp_path):
    """Options that name a training and a test set, in Chinese and English."""
    for folder, line in (("train", "你好，世界？"), ("test", "世界，你好！")):
        (tmp_path / folder).mkdir()
        write_text(tmp_path / folder / "text", {"utt1": line, "utt2": "a b"})
        langs = {"utt1": "zh", "utt2": "en"}
        write_text(tmp_path / folder / "utt2tgt_lang", langs)
    return [
        *["--text", str(tmp_path / "train" / "text")],
        *["--check_text", str(tmp_path / "test" / "text")],
    ]


def run(folder, texts, token_type, tokens, bpemodel="none"):
    """Run the command; return its check.json."""
    (folder / "tokens.txt").write_text("".join(f"{token}\n" for token in tokens))
    main(
        [
            *["--token_type", token_type, "--bpemodel", bpemodel],
            *["--token_list", str(folder / "tokens.txt"), *texts],
        ]
    )
    return json.loads((folder / "check.json").read_text())


def test_bpe(tmp_path, texts, capsys):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["你好,世界?", "世界!", "a b"]),
        model_writer=model,
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (tmp_path / "bpe.model").write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    tokens = [processor.id_to_piece(i) for i in range(len(processor))]
    train, test = run(tmp_path, texts, "bpe", tokens, str(tmp_path / "bpe.model"))
    assert train == {
        "file": str(tmp_path / "train" / "text"),
        "sentences": 2,
        "changed_sentences": 1,
        "changed_characters": {"，": 1, "？": 1},
    }
    assert test["changed_characters"] == {"，": 1, "！": 1}
    assert test["ceiling"]["zh"]["exact_match"] == 0
    assert 10 < test["ceiling"]["zh"]["bleu"] < 60
    assert "tok:zh" in test["ceiling"]["zh"]["signature"]
    assert test["ceiling"]["en"]["exact_match"] == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith("text: not written in 1 of 2 sentences: ， 1, ？ 1")
    assert printed[-1] == "To write them: --tgt_bpe_nlsyms '，,？' and stage 5 again"
    assert "text: ceiling en BLEU " in printed[2]
    assert "; zh BLEU " in printed[2]


def test_char(tmp_path, texts, capsys):
    tokens = ["<blank>", "<unk>", "<space>", *"你好，世界？ab", "<sos/eos>"]
    train, test = run(tmp_path, texts, "char", tokens)
    assert (train["changed_sentences"], train["changed_characters"]) == (0, {})
    assert test["changed_characters"] == {"！": 1}
    assert "To write them" not in capsys.readouterr().out


def test_other_token_type(tmp_path, texts):
    with pytest.raises(SystemExit):
        run(tmp_path, texts, "phn", [])


def test_vocabulary_that_is_not_one(tmp_path, texts):
    with pytest.raises(ValueError, match="none.model is not a sentencepiece model"):
        run(tmp_path, texts, "bpe", [], str(tmp_path / "none.model"))
