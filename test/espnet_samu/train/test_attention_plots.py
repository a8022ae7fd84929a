"""Tests of espnet_samu.train.attention_plots."""

import pytest
import torch
from espnet2.main_funcs.calculate_all_attentions import calculate_all_attentions
from transformers.modeling_outputs import BaseModelOutput

from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.tasks.st import STTask
from espnet_samu.train.attention_plots import plotted_cross_attention

SIZES = {
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2),
    **{"d_model": 16, "decoder_ffn_dim": 32, "max_position_embeddings": 32},
}


class Model(torch.nn.Module):
    """A model of ESPnet's with nothing but a decoder."""

    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, speech, speech_lengths, text, text_lengths):
        return self.decoder(speech, speech_lengths, text, text_lengths)


@pytest.mark.parametrize("family", ["mbart", "m2m_100", "bart"])
def test_weights_are_those_of_transformers(family):
    torch.manual_seed(0)
    conf = {**SIZES, "model_type": family, "pad_token_id": 1, "eos_token_id": 2}
    decoder = MBartDecoder(20, 16, model_conf=conf, lang_token_id=9).eval()
    batch = {
        "speech": torch.randn(2, 7, 16),
        "speech_lengths": torch.tensor([7, 5]),
        "text": torch.tensor([[2, 5, 6, 7], [2, 9, 4, -1]]),
        "text_lengths": torch.tensor([4, 3]),
    }
    model = Model(decoder)
    before = model(**batch)[0]
    with plotted_cross_attention(model):
        found = calculate_all_attentions(model, batch)
    assert sorted(found) == ["cross_attention.0", "cross_attention.1"]
    for layer in range(2):
        # start, language and words by frames, one mean over the heads
        shapes = [tuple(w.shape) for w in found[f"cross_attention.{layer}"]]
        assert shapes == [(1, 5, 7), (1, 4, 5)]

    # as it was
    assert decoder.model.config._attn_implementation == "sdpa"
    assert not any("cross_attention" in name for name, _ in model.named_modules())
    torch.testing.assert_close(model(**batch)[0], before, rtol=0, atol=0)
    assert calculate_all_attentions(model, batch) == {}

    decoder.model.set_attn_implementation("eager")
    attentions = decoder.model.model(
        encoder_outputs=BaseModelOutput(batch["speech"][1:, :5]),
        attention_mask=torch.ones(1, 5, dtype=torch.long),
        decoder_input_ids=torch.tensor([[2, 9, 9, 4]]),
        output_attentions=True,
    ).cross_attentions
    for layer, weights in enumerate(attentions):
        mine = found[f"cross_attention.{layer}"][1]
        torch.testing.assert_close(mine[0], weights[0].mean(0))


def test_pictures_of_a_training(st_cmd, st_exp, tmp_path):
    options = ("--num_att_plot", "2", "--use_matplotlib", "true")
    cmd = st_cmd(tmp_path, *options, tgt_lang_token="en_XX")
    STTask.main(cmd=cmd)
    pictures = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*ep.png"))
    name = "cross_attention.0.1ep.png"
    assert {f"att_ws/utt{n}/{name}" for n in (1, 2)} <= {*map(str, pictures)}
    assert all(path.name.startswith("cross_attention.") for path in pictures)
    # the same weights as without
    plain, plotted = (torch.load(d / "1epoch.pth") for d in (st_exp, tmp_path))
    assert plain.keys() == plotted.keys()
    assert all(torch.equal(plain[name], plotted[name]) for name in plain)
