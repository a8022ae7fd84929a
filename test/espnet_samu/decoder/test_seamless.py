"""The text decoder of SeamlessM4T as a family of decoder: mbart."""

import shutil

import pytest
import torch
import yaml
from transformers import (
    AutoConfig,
    SeamlessM4TForSpeechToText,
    SeamlessM4TModel,
    SeamlessM4Tv2ForSpeechToText,
    SeamlessM4Tv2Model,
)

from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.layers.trainable import set_trainable
from espnet_samu.utils.seamless import decoder_name

CLASSES = {
    "seamless_m4t": (SeamlessM4TForSpeechToText, SeamlessM4TModel),
    "seamless_m4t_v2": (SeamlessM4Tv2ForSpeechToText, SeamlessM4Tv2Model),
}
VOCAB, EOS = 30, 3
LANGUAGES = torch.tensor([28, 5, 17])


@pytest.fixture(params=CLASSES)
def seamless(request, speech_models, tmp_path):
    """transformers' own S2TT model (seed 0), and folders of it and of the whole."""
    to_text, whole = CLASSES[request.param]
    torch.manual_seed(0)
    config = AutoConfig.for_model(**speech_models[request.param])
    whole(config).save_pretrained(tmp_path / "whole")
    model = to_text.from_pretrained(tmp_path / "whole").eval()
    model.save_pretrained(tmp_path / "to_text")
    return model, str(tmp_path / "whole"), str(tmp_path / "to_text")


@pytest.fixture
def batch(frames, tokens):
    """Frames and tokens; 0 is SeamlessM4T's padding, 3 its start."""
    ids, lengths = tokens
    ids = ids.clone()
    ids[:, 0] = EOS
    return (*frames, ids, lengths)


def their_logits(model, frames, lengths, ids):
    """Of frames that are given, without transformers' arithmetic of the adaptor."""
    hidden = model.text_decoder(
        input_ids=ids,
        encoder_hidden_states=frames,
        encoder_attention_mask=(torch.arange(frames.size(1)) < lengths[:, None]).long(),
        use_cache=False,
    ).last_hidden_state
    return model.lm_head(hidden)


def test_logits_and_gradients(seamless, batch):
    model, *folders = seamless
    frames, frame_lengths, ids, lengths = batch
    valid = torch.arange(ids.size(1)) < lengths[:, None]
    read = torch.cat([ids[:, :1], LANGUAGES[:, None], ids[:, 1:]], dim=1)
    theirs = frames.clone().requires_grad_()
    expected = their_logits(model, theirs, frame_lengths, read)[:, 1:][valid]
    expected.square().sum().backward()
    assert expected.std() > 0.1
    named = {decoder_name(name): p.grad for name, p in model.named_parameters()}
    for folder in folders:
        decoder = MBartDecoder(VOCAB, 16, model=folder).eval()
        assert decoder.model.config.model_type == "m2m_100"
        ours = frames.clone().requires_grad_()
        with decoder.target_languages(LANGUAGES):
            found = decoder(ours, frame_lengths, ids, lengths)[0][valid]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        found.square().sum().backward()
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4)
        for name, parameter in decoder.model.named_parameters():
            torch.testing.assert_close(
                parameter.grad, named[name], rtol=1e-4, atol=1e-4, msg=name
            )


def test_both_searches_read_the_same(seamless, batch):
    """Step by step through the prefix tree, and by generate, equal reading at once."""
    model, folder, _ = seamless
    frames, frame_lengths, ids, _ = batch
    decoder = MBartDecoder(VOCAB, 16, model=folder, lang_token_id=28).eval()
    read = torch.cat([ids[:, :1], torch.full((3, 1), 28), ids[:, 1:]], dim=1)
    with torch.no_grad():
        # Padding is not counted by transformers' positions: no 0 among the tokens.
        read[read == 0] = 7
        expected = their_logits(model, frames, frame_lengths, read).log_softmax(-1)
        state = decoder.batch_init_state(frames, frame_lengths)
        states, prefix = [state] * 3, torch.cat([read[:, :1], read[:, 2:]], dim=1)
        for n in range(1, prefix.size(1) + 1):
            scores, states = decoder.batch_score(prefix[:, :n], states, frames)
            torch.testing.assert_close(scores, expected[:, n], rtol=0, atol=1e-5)
        best = decoder.generate(
            frames, frame_lengths, EOS, EOS, max_new_tokens=6, num_beams=1
        ).sequences
        found = read[:, :2]
        for _ in range(best.size(1) - 2):
            logits = their_logits(model, frames, frame_lengths, found)[:, -1]
            ended = (found[:, 2:] == EOS).any(1)
            following = logits.argmax(-1).masked_fill(ended, 0)
            found = torch.cat([found, following[:, None]], dim=1)
    assert torch.equal(best, found)


def test_portable(seamless, batch):
    _, folder, _ = seamless
    first = MBartDecoder(VOCAB, 24, model=folder, model_conf={"dropout": 0.3}).eval()
    conf = yaml.safe_load(yaml.safe_dump(first.portable_conf()))
    shutil.rmtree(folder)
    second = MBartDecoder(VOCAB, 24, **conf).eval()
    assert second.portable_conf() == conf
    assert second.model.config.dropout == 0.3
    second.load_state_dict(first.state_dict())
    wide = torch.nn.functional.pad(batch[0], (0, 8))
    assert torch.equal(second(wide, *batch[1:])[0], first(wide, *batch[1:])[0])


def test_sparing(seamless):
    model, folder, _ = seamless
    holder = torch.nn.Module()
    holder.decoder = MBartDecoder(VOCAB, 16, model=folder)
    set_trainable(holder, {"decoder": "lna_d"})
    trained = {n for n, p in holder.decoder.model.named_parameters() if p.requires_grad}
    expected = {
        decoder_name(name)
        for name, _ in model.named_parameters()
        if name.startswith("text_decoder.")
        and ("_attn" in name or "cross_attention" in name or "layer_norm" in name)
    }
    assert trained == expected and len(trained) == 2 * (8 + 8 + 6) + 2


def test_refused(seamless):
    _, folder, _ = seamless
    for size, conf, message in (
        (31, {}, "the model has 30 tokens, but the token list has 31"),
        (VOCAB, {"model_type": "mbart"}, "model_conf says 'mbart'"),
        (VOCAB, {"model_type": "seamless_m4t_v2"}, "not one of .*of SeamlessM4T"),
        (VOCAB, {"add_adapter": False}, "add_adapter is not a field of M2M100Config"),
    ):
        with pytest.raises(ValueError, match=message):
            MBartDecoder(size, 16, model=folder, model_conf=conf)
