import io

import pytest
import sentencepiece

from espnet_samu.utils.token_list import check_bpemodel, read_token_list


def test_file_and_list(tmp_path):
    file = tmp_path / "tokens.txt"
    file.write_text("<blank>\n▁das \n\u3000\n中\n", encoding="utf-8")
    # a token that is a blank is empty, as in ESPnet's models
    assert read_token_list(file) == ["<blank>", "▁das", "", "中"]
    assert read_token_list(str(file)) == read_token_list(file)
    tokens = ("a", "b")
    assert read_token_list(tokens) == ["a", "b"]


@pytest.fixture
def bpemodel(tmp_path):
    """Sentencepiece model of characters, and its pieces without the special ones."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["ab ac"]),
        model_writer=model,
        model_type="char",
        vocab_size=7,
        minloglevel=2,
    )
    path = tmp_path / "bpe.model"
    path.write_bytes(model.getvalue())
    return path, ["a", "b", "c", "▁"]


def test_bpemodel_of_the_token_list(bpemodel):
    path, pieces = bpemodel
    check_bpemodel(path, ["<blank>", "<unk>", *pieces, "<sos/eos>"])


def test_foreign_bpemodel(bpemodel):
    path, pieces = bpemodel
    message = f"bpemodel {path} is of another .*: 2 of 4 pieces are not in it, e.g. b c"
    with pytest.raises(ValueError, match=message):
        check_bpemodel(path, ["<blank>", "<unk>", "a", "▁", "<sos/eos>"])


@pytest.mark.parametrize("content", [b"", b"text\n", None, "half"])
def test_no_bpemodel(bpemodel, content):
    path, pieces = bpemodel
    if content is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-9] if content == "half" else content)
    with pytest.raises(ValueError, match=f"bpemodel {path} is no sentencepiece model"):
        check_bpemodel(path, pieces)
