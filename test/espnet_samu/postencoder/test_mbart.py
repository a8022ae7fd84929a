import pytest
import torch
import transformers
from espnet2.legacy.nets.pytorch_backend.transformer.subsampling import TooShortUttError

from espnet_samu.postencoder.mbart import MBartPostEncoder

CONF = {
    "vocab_size": 20,
    "d_model": 8,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 12,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 12,
    "max_position_embeddings": 16,
    "dropout": 0.0,
    "attention_dropout": 0.0,
}


@pytest.fixture(scope="module")
def whole():
    torch.manual_seed(0)
    config = transformers.MBartConfig(**CONF)
    return transformers.MBartForConditionalGeneration(config).eval()


@pytest.fixture(scope="module")
def folder(whole, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mbart")
    whole.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def frames():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 41, 6, generator=generator), torch.tensor([41, 20, 33])


@torch.no_grad()
def test_reads_as_the_whole_model(whole, folder, frames):
    """Of the same vectors; alone as in a batch."""
    module = MBartPostEncoder(6, folder, adapter_size=10).eval()
    assert module.output_size() == 8
    assert not any(p.shape[0] == 20 for p in module.parameters())
    found, lengths = module(*frames)
    assert lengths.tolist() == [5, 2, 4] and found.shape == (3, 5, 8)
    for row, length in enumerate(frames[1].tolist()):
        vectors = torch.nn.functional.gelu(module.linear_in(frames[0][row, :length]))
        vectors = (vectors + module.adapter(vectors))[None]
        vectors, _ = module.length_adaptor(vectors, torch.tensor([length]))
        expected = whole.model.encoder(inputs_embeds=vectors).last_hidden_state
        mine = found[row, : lengths[row]]
        torch.testing.assert_close(mine, expected[0], rtol=0, atol=1e-5)
        alone, _ = module(frames[0][row : row + 1, :length], frames[1][row : row + 1])
        torch.testing.assert_close(mine, alone[0], rtol=0, atol=1e-5)


def test_rebuilt_without_the_folder(folder, frames):
    module = MBartPostEncoder(6, folder, adapter_size=0, length_adaptor_n_layers=1)
    conf = module.portable_conf()
    assert conf["pretrained"] is False
    again = MBartPostEncoder(6, **{**conf, "model": "not/there"})
    again.load_state_dict(module.state_dict())
    inputs = frames[0][:, :32], frames[1].clamp(max=32)
    with torch.no_grad():
        expected, _ = module.eval()(*inputs)
        found, _ = again.eval()(*inputs)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_reload(folder):
    module = MBartPostEncoder(6, folder)
    before = {name: value.clone() for name, value in module.model.state_dict().items()}
    for parameter in module.parameters():
        torch.nn.init.zeros_(parameter)
    module.reload_pretrained_parameters()
    assert all(torch.equal(v, before[k]) for k, v in module.model.state_dict().items())


def test_fresh():
    module = MBartPostEncoder(6, model_conf={**CONF, "d_model": 16})
    assert module.output_size() == 16 and module.reload_pretrained_parameters() is None


def test_errors(folder, frames, tmp_path):
    with pytest.raises(ValueError, match="'bart', but postencoder: mbart reads mbart"):
        MBartPostEncoder(6, model_conf={"model_type": "bart"})
    with pytest.raises(ValueError, match="encoder_layer is not a field"):
        MBartPostEncoder(6, folder, model_conf={"encoder_layer": 1})
    module = MBartPostEncoder(6, folder, length_adaptor_n_layers=1)
    with pytest.raises(ValueError, match="would read 20 frames, but has 16 positions"):
        module(*frames)
    with pytest.raises(TooShortUttError):
        MBartPostEncoder(6, folder)(frames[0][:, :7], torch.tensor([7, 7, 7]))
