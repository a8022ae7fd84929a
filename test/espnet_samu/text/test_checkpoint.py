"""Tests of espnet_samu.text.checkpoint."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from espnet_samu.text.checkpoint import (
    count_parameters,
    decoder_tensors,
    find_files,
    open_tensors,
)

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


@pytest.mark.parametrize("kind", ["safetensors", "torch", "torch before 1.6"])
def test_cut_weights(tmp_path, kind):
    """What a download or a copy leaves that was stopped."""
    path = tmp_path / ("a.safetensors" if kind == "safetensors" else "a.bin")
    if kind == "safetensors":
        save_file(TENSORS, path)
    else:
        new = kind == "torch"
        torch.save(TENSORS, path, _use_new_zipfile_serialization=new)
    whole = path.read_bytes()
    for size in (0, 20, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=rf"{path} is damaged, .*\(.+\); get it"):
            open_tensors([path])


@pytest.mark.parametrize(
    "text", ['{"a": ', "version https://git-lfs.github.com/spec/v1\n"]
)
@pytest.mark.parametrize("kind", ["config.json", "model.safetensors.index.json"])
def test_cut_json(tmp_path, kind, text):
    folder = tmp_path / "model"
    save(folder, "parts")
    (folder / kind).write_text(text)
    message = f"{folder}/{kind} is (damaged, or is no JSON|only a pointer of git-lfs)"
    with pytest.raises(ValueError, match=message):
        find_files(str(folder))
