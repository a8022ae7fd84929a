"""Tests of espnet_samu.text.checkpoint."""

import json

import pytest
import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from espnet_samu.text.checkpoint import (
    count_parameters,
    decoder_tensors,
    find_files,
    find_layout,
    open_tensors,
)

PIECES = ["<unk>", "<s>", "</s>", "▁", "ab"]
FIRST = ["<s>", "<pad>", "</s>", "<unk>"]


def test_mbart25():
    layout = find_layout({"model_type": "mbart", "vocab_size": 32}, PIECES)
    assert layout.tokens[:8] == [*FIRST, "▁", "ab", "ar_AR", "cs_CZ"]
    assert layout.tokens[30:] == ["zh_CN", "<mask>"]
    assert layout.languages == layout.tokens[6:31]
    assert layout.tokenizer_class == "MBartTokenizer"


def test_nllb():
    # 202 codes, <mask>, 2 rows that nothing uses.
    config = {"model_type": "m2m_100", "vocab_size": 6 + 202 + 1 + 2}
    layout = find_layout(config, PIECES)
    assert layout.tokens[:8] == [*FIRST, "▁", "ab", "ace_Arab", "ace_Latn"]
    assert layout.tokens[207:] == [
        "zul_Latn",
        "<mask>",
        "madeupword0000",
        "madeupword0001",
    ]
    assert layout.languages == layout.tokens[6:208]


def test_m2m100():
    vocab = {"ab": 5, "<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "zz": 4}
    config = {"model_type": "m2m_100", "vocab_size": 6 + 100 + 8}
    layout = find_layout(config, PIECES, json.dumps(vocab).encode())
    assert layout.tokens[:8] == [*FIRST, "zz", "ab", "__af__", "__am__"]
    assert layout.tokens[105:107] == ["__zu__", "madeupword0000"]
    assert len(layout.tokens) == 114
    assert layout.languages == layout.tokens[6:106]


@pytest.mark.parametrize("family", ["mbart", "m2m100"])
def test_rows_are_those_of_transformers(family, request):
    folder = request.getfixturevalue(f"{family}_folder")
    processor = sentencepiece.SentencePieceProcessor(
        model_file=str(folder / "sentencepiece.bpe.model")
    )
    pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
    vocab = (folder / "vocab.json").read_bytes() if family == "m2m100" else None
    config = json.loads((folder / "config.json").read_text())
    tokens = find_layout(config, pieces, vocab).tokens
    assert len(tokens) == config["vocab_size"]
    known = [token for token in tokens if not token.startswith("madeupword")]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.convert_tokens_to_ids(known) == list(range(len(known)))


VOCAB = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}


@pytest.mark.parametrize(
    "kind, size, pieces, vocab, expected",
    [
        ("mbart", 33, PIECES, None, "is 33, .* 5 pieces .* would be 32 or 59"),
        ("m2m_100", 300, PIECES, None, "is 300, .* would be 209"),
        ("m2m_100", 113, PIECES, VOCAB, "is 113, .* would be 104"),
        ("mbart", 32, PIECES[1:3] + PIECES, None, "begins with <s> </s> <unk>, but"),
        ("mbart", 33, [*PIECES, "en_XX"], None, "a piece is there twice"),
        ("m2m_100", 104, PIECES, {**VOCAB, "a": 5}, "have no gap"),
        ("m2m_100", 104, PIECES, {"a": 0}, "begin with <s> <pad> </s> <unk>"),
        ("bart", 104, PIECES, None, "model_type 'bart' is none of .* mbart .*NLLB"),
    ],
)
def test_not_as_published(kind, size, pieces, vocab, expected):
    config = {"model_type": kind, "vocab_size": size}
    content = None if vocab is None else json.dumps(vocab).encode()
    with pytest.raises(ValueError, match=expected):
        find_layout(config, pieces, content)


TENSORS = {
    "final_logits_bias": torch.arange(5.0)[None],
    "model.shared.weight": torch.arange(10.0).view(5, 2),
    "model.encoder.layers.0.fc1.weight": torch.ones(4, 2),
    "model.encoder.layer_norm.weight": torch.full((2,), 3.0),
    "model.decoder.layers.0.fc1.weight": torch.full((4, 2), 4.0),
    "model.decoder.embed_tokens.weight": torch.arange(10.0).view(5, 2),
}


def save(folder, kind):
    """Save TENSORS as a checkpoint of one kind."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "sentencepiece.bpe.model").write_bytes(b"")
    if kind == "safetensors":
        save_file(TENSORS, folder / "model.safetensors")
    elif kind == "parts":
        names = sorted(TENSORS)
        places = {name: f"part{i % 2}.safetensors" for i, name in enumerate(names)}
        for part in set(places.values()):
            state = {n: TENSORS[n] for n in names if places[n] == part}
            save_file(state, folder / part)
        (folder / "model.safetensors.index.json").write_text(
            json.dumps({"weight_map": places})
        )
    else:
        torch.save(
            TENSORS,
            folder / "pytorch_model.bin",
            _use_new_zipfile_serialization=kind == "bin",
        )
    return find_files(str(folder))


@pytest.mark.parametrize("kind", ["safetensors", "parts", "bin", "old bin"])
def test_decoder_tensors(tmp_path, kind):
    files = save(tmp_path / "model", kind)
    taken = decoder_tensors(open_tensors(files.weights), [0, 4, 2], 5)
    expected = {
        "model.shared.weight": torch.tensor([[0.0, 1], [8, 9], [4, 5]]),
        "final_logits_bias": torch.tensor([[0.0, 4, 2]]),
        "model.encoder.layer_norm.weight": torch.full((2,), 3.0),
        "model.decoder.layers.0.fc1.weight": torch.full((4, 2), 4.0),
    }
    assert taken.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(taken[name], tensor, rtol=0, atol=0)
    save_file(taken, tmp_path / "saved.safetensors")
    assert load_file(tmp_path / "saved.safetensors").keys() == expected.keys()
    assert count_parameters(taken, 5) == {
        "embedding": {"before": 10, "after": 6},
        "all": {"before": 18, "after": 14},
    }


def test_new_rows():
    taken = decoder_tensors(TENSORS, [4], 5, [[1, 3], [2], [2]])
    assert taken["final_logits_bias"].tolist() == [[4, 2, 2, 2]]
    rows = taken["model.shared.weight"]
    assert rows[0].tolist() == [8, 9]
    # Near (4, 5), the mean in all three cases, and apart from each other.
    distances = (rows[1:] - torch.tensor([4.0, 5])).norm(dim=1)
    torch.testing.assert_close(distances, torch.full((3,), 0.5 * 41**0.5))
    assert len({tuple(row) for row in rows.tolist()}) == 4
    again = decoder_tensors(TENSORS, [4], 5, [[1, 3], [2], [2]])
    assert torch.equal(rows, again["model.shared.weight"])


@pytest.mark.parametrize(
    "name", ["lm_head.weight", "model.encoder.embed_tokens.weight"]
)
def test_embedding_under_another_name(name):
    taken = decoder_tensors({name: TENSORS["model.shared.weight"]}, [1, 3], 5)
    assert list(taken) == ["model.shared.weight"]
    assert taken["model.shared.weight"].tolist() == [[2, 3], [6, 7]]


def test_wrong_checkpoint():
    with pytest.raises(ValueError, match="has 5 rows, but vocab_size .* is 6"):
        decoder_tensors(TENSORS, [0], 6)
    with pytest.raises(ValueError, match="the checkpoint has no embedding"):
        decoder_tensors({"bert.weight": torch.ones(2, 2)}, [0], 2)


@pytest.mark.parametrize(
    "name", ["config.json", "sentencepiece.bpe.model", "model.safetensors"]
)
def test_missing_file(tmp_path, name):
    save(tmp_path / "model", "safetensors")
    (tmp_path / "model" / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"model has no {name}"):
        find_files(str(tmp_path / "model"))
