"""Tests of espnet_samu.train.attention_plots."""

from unittest.mock import Mock

import pytest
import torch
from espnet2.main_funcs.calculate_all_attentions import calculate_all_attentions
from espnet2.train.reporter import Reporter
from espnet2.train.trainer import TrainerOptions
from transformers.modeling_outputs import BaseModelOutput

from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.tasks.st import STTask
from espnet_samu.train.attention_plots import plotted_cross_attention
from espnet_samu.train.safe_trainer import SafeTrainer

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


def test_pictures(st_exp, batch, tmp_path):
    """What ESPnet's trainer does after an epoch with num_att_plot."""
    model, _ = STTask.build_model_from_file(None, st_exp / "1epoch.pth")
    names = [*model.state_dict()]
    text = torch.tensor([[3, 4, 5]] * 2)
    data = {"speech": batch[0][:2], "speech_lengths": batch[1][:2]}
    data.update(text=text, text_lengths=torch.tensor([3, 2]))
    options = Mock(spec=TrainerOptions, ngpu=0, no_forward_run=False, use_wandb=False)
    reporter = Reporter(7)
    reporter.set_epoch(7)
    with reporter.observe("att_plot") as sub_reporter:
        SafeTrainer.plot_attention(
            model=model,
            output_dir=tmp_path,
            summary_writer=None,
            iterator=[(["u1", "u2"], data)],
            reporter=sub_reporter,
            options=options,
        )
    pictures = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")}
    layers = range(model.decoder.model.config.decoder_layers)
    assert pictures == {
        f"{utt}/cross_attention.{n}.7ep.png" for utt in ("u1", "u2") for n in layers
    }
    assert [*model.state_dict()] == names
