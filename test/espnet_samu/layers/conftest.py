import pytest
import torch

from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.frontend.samu import SamuFrontend

ENCODERS = (
    "wav2vec2-layer",
    "wav2vec2-group",
    "hubert",
    "wavlm",
    "wav2vec2-bert",
    "whisper",
    "seamless_m4t_v2",
)
DECODERS = ("mbart", "m2m_100", "bart")


class Model(torch.nn.Module):
    """What of an ESPnet model presets and adapters look at, and a loss."""

    def __init__(self, frontend, decoder):
        super().__init__()
        self.frontend = frontend
        self.decoder = decoder
        self.ctc = torch.nn.Linear(16, 3)

    def forward(self, speech, lengths):
        frames, lengths = self.frontend(speech, lengths)
        tokens = torch.tensor([[2, 5, 6], [2, 7, 8]])
        logits, _ = self.decoder(frames, lengths, tokens, torch.tensor([3, 3]))
        # Padded frames are not the model's.
        ctc = self.ctc(frames)[:, : int(lengths.min())]
        return logits.log_softmax(-1)[..., 9].sum() + ctc.square().sum()


@pytest.fixture
def make_model(speech_models, mbart_conf):
    """Makes a model of two families; linear_in is 16 -> 24. Seed 0."""

    def make(encoder="wav2vec2-layer", decoder="mbart", d_model=24, **frontend_conf):
        torch.manual_seed(0)
        frontend = SamuFrontend(model_conf=speech_models[encoder], **frontend_conf)
        conf = {**mbart_conf, "d_model": d_model, "model_type": decoder}
        return Model(frontend, MBartDecoder(30, 16, model_conf=conf))

    return make
