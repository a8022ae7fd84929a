"""Tests of espnet_samu.utils.token_rows, and of --init_param with them."""

import logging

import pytest
import torch
import yaml

from espnet_samu.utils import init_param
from espnet_samu.utils.init_param import check_init_param, load_pretrained_model
from espnet_samu.utils.token_rows import match_rows, token_axis


def test_rows_by_name():
    old = torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    new = torch.tensor([[-1.0, -1.0], [-2.0, -2.0], [-3.0, -3.0], [-4.0, -4.0]])
    matched = match_rows(old, ["<s>", "a", "b"], new, ["b", "<s>", "c", "d"])
    assert matched.tolist() == [[3, 3], [1, 1], [-3, -3], [-4, -4]]
    assert new[0].tolist() == [-1, -1]
    bias = match_rows(old[:, 0], ["<s>", "a", "b"], torch.zeros(2), ["a", "x"])
    assert bias.tolist() == [2, 0]
    bias = match_rows(old.T[:1], ["<s>", "a", "b"], torch.zeros(1, 2), ["x", "b"], 1)
    assert bias.tolist() == [[0, 3]]
    assert match_rows(old, ["<s>", "a", "b"], new, list("wxyz")).tolist() == [
        *new.tolist()
    ]


@pytest.mark.parametrize(
    "name, axis",
    [
        ("decoder.model.model.shared.weight", 0),
        ("decoder.model.model.decoder.embed_tokens.weight", 0),
        ("decoder.model.lm_head.weight", 0),
        ("decoder.model.final_logits_bias", 1),
        ("decoder.embed.0.weight", 0),
        ("decoder.output_layer.bias", 0),
        ("st_ctc.ctc_lo.bias", 0),
        ("decoder.model.model.decoder.embed_positions.weight", None),
        ("decoder.model.model.decoder.layers.0.fc1.weight", None),
        ("decoder.decoders.0.feed_forward.w_1.weight", None),
        ("decoder.linear_in.weight", None),
    ],
)
def test_names_of_rows(name, axis):
    assert token_axis(name) == axis


class Model(torch.nn.Module):
    """Stands for a translation model: V is that of D and of a layer, too."""

    matches_tokens = True

    def __init__(self, tokens, value, src_tokens=("<blank>",)):
        super().__init__()
        self.token_list, self.src_token_list = list(tokens), list(src_tokens)
        n = len(self.token_list)
        self.frontend = torch.nn.Linear(3, 3)
        self.decoder = torch.nn.ModuleDict(
            {
                "embed": torch.nn.Sequential(torch.nn.Embedding(n, 3)),
                "layer": torch.nn.Linear(3, 3),
                "output_layer": torch.nn.Linear(3, n),
            }
        )
        self.ctc = torch.nn.ModuleDict({"ctc_lo": torch.nn.Linear(3, len(src_tokens))})
        with torch.no_grad():
            for parameter in self.parameters():
                rows = value + torch.arange(len(parameter), dtype=torch.float)
                parameter.copy_(rows.view(-1, *[1] * (parameter.dim() - 1)))


OLD = ["<s>", "a", "b"]


@pytest.fixture
def file(tmp_path):
    """Checkpoint whose parameters have rows 0, 1, 2, with config.yaml beside it."""
    model = Model(OLD, 0.0, ["x", "y"])
    torch.save(model.state_dict(), tmp_path / "st.pth")
    config = {"token_list": OLD, "src_token_list": ["x", "y"]}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path / "st.pth"


def rows(tensor):
    return tensor.view(len(tensor), -1)[:, 0].tolist()


@pytest.mark.parametrize("mismatch", [False, True])
@pytest.mark.parametrize("keys", ["", ":decoder:decoder"])
def test_init_param(file, keys, mismatch, caplog):
    caplog.set_level(logging.INFO)
    for tokens, expected in (
        (["<s>", "b", "a"], [0, 2, 1]),
        (["b", "<s>", "c", "d"], [2, 0, 12, 13]),
        (["b"], [2]),
        (OLD, [0, 1, 2]),
    ):
        caplog.clear()
        model = Model(tokens, 10.0, ["x", "y"])
        spec = f"{file}{keys}"
        check_init_param([spec], model)
        load_pretrained_model(spec, model, ignore_init_mismatch=mismatch)
        decoder = model.decoder
        for parameter in (decoder["embed"][0].weight, decoder["output_layer"].bias):
            assert rows(parameter) == expected
        assert rows(decoder["output_layer"].weight) == expected
        # what has no rows is as in the file, or left alone
        assert rows(decoder["layer"].weight) == [0, 1, 2]
        assert rows(model.frontend.weight) == ([10, 11, 12] if keys else [0, 1, 2])
        assert rows(model.ctc["ctc_lo"].weight) == ([10, 11] if keys else [0, 1])
        said = "by token" in caplog.text
        assert said == (tokens is not OLD)
        if len(tokens) == 4:
            text = "2 of 4 tokens are in its token list, 2 are new (c d) and start as"
            assert f"--init_param {spec}: rows are matched by token: {text}" in (
                caplog.text
            )
            assert "1 of its tokens are not used" in caplog.text


def test_a_file_of_the_same_tokens_is_read_once(file, monkeypatch):
    monkeypatch.setattr(init_param, "read_state_dict", None)
    model = Model(OLD, 10.0, ["x", "y"])
    load_pretrained_model(str(file), model, ignore_init_mismatch=False)
    assert rows(model.decoder["embed"][0].weight) == [0, 1, 2]
    with pytest.raises(TypeError):  # of another list, its rows are needed
        load_pretrained_model(str(file), Model(["b"], 10.0, ["x", "y"]), False)


def test_tokens_of_transcripts(file):
    model = Model(OLD, 10.0, ["y", "z"])
    load_pretrained_model(str(file), model, ignore_init_mismatch=False)
    assert rows(model.ctc["ctc_lo"].weight) == [1, 11]
    assert rows(model.decoder["embed"][0].weight) == [0, 1, 2]


def test_unknown_tokens(file, caplog):
    """Never silent: a warning at equal size, another size is refused."""
    (file.parent / "config.yaml").unlink()
    model = Model(["<s>", "b", "a"], 10.0, ["x", "y"])
    load_pretrained_model(f"{file}:frontend:frontend", model, False)
    assert not caplog.text
    check_init_param([str(file)], model)
    assert "st.pth: no config.yaml beside the file says what its tokens" in caplog.text
    load_pretrained_model(str(file), model, ignore_init_mismatch=False)
    assert rows(model.decoder["embed"][0].weight) == [0, 1, 2]
    with pytest.raises(ValueError, match="another shape, e.g. decoder.embed.0.weight"):
        check_init_param([str(file)], Model(["<s>"], 10.0, ["x", "y"]))


def test_what_is_left_out(file):
    model = Model(["<s>", "b", "a"], 10.0, ["x", "y"])
    keys = "decoder.embed,decoder.output_layer"
    load_pretrained_model(f"{file}:::{keys}", model, ignore_init_mismatch=False)
    assert rows(model.decoder["embed"][0].weight) == [10, 11, 12]
    assert rows(model.decoder["layer"].weight) == [0, 1, 2]


def test_rows_that_are_not_known(file):
    model = Model(["<s>", "b", "a"], 10.0, ["x", "y"])
    state = torch.load(file)
    for key, other in (("embed.0", "table"), ("output_layer", "last")):
        model.decoder[other] = model.decoder.pop(key.partition(".")[0])
        for name in [n for n in state if n.startswith(f"decoder.{key}.")]:
            new = name.replace(key, f"{other}.0" if other == "table" else other)
            state[new] = state.pop(name)
    torch.save(state, file)
    message = "st.pth: it has another token list, and which rows of 'decoder' belong"
    with pytest.raises(ValueError, match=message):
        load_pretrained_model(str(file), model, ignore_init_mismatch=False)


def test_another_size_of_the_decoder(file):
    model = Model(["<s>", "b"], 10.0, ["x", "y"])
    model.decoder["embed"] = torch.nn.Sequential(torch.nn.Embedding(2, 5))
    with pytest.raises(ValueError, match=r"decoder.embed.0.weight \[3, 3\] for \[2, 5"):
        check_init_param([str(file)], model)


def test_other_models_are_left_alone(file):
    """ESPnet's own tasks load as ESPnet does."""
    model = Model(["<s>", "b", "a"], 10.0, ["x", "y"])
    model.matches_tokens = False
    load_pretrained_model(str(file), model, ignore_init_mismatch=False)
    assert rows(model.decoder["embed"][0].weight) == [0, 1, 2]
