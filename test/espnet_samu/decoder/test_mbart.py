import shutil

import pytest
import torch
import yaml
from transformers import BartConfig, MBartConfig, MBartForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.layers.budget import budget

VOCAB = 30
EOS = 2  # also the start token, as in mBART-50
LANG = 28


@pytest.fixture
def plain():
    """transformers' own tiny model, torch seed 0."""
    config = MBartConfig(
        vocab_size=VOCAB,
        d_model=16,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=32,
        scale_embedding=True,
        init_std=0.5,
    )
    torch.manual_seed(0)
    model = MBartForConditionalGeneration(config).eval()
    torch.nn.init.normal_(model.final_logits_bias)
    return model


@pytest.fixture
def folder(plain, tmp_path):
    """Where the plain model is saved."""
    plain.save_pretrained(tmp_path / "mbart")
    return str(tmp_path / "mbart")


@pytest.fixture
def frames():
    """Frames (3, 7, 16), 50 times too large where padded, and their number."""
    torch.manual_seed(1)
    frames, lengths = torch.randn(3, 7, 16), torch.tensor([4, 7, 5])
    for row, length in zip(frames, lengths):
        row[length:] *= 50
    return frames, lengths


@pytest.fixture
def tokens():
    """Start token and words (3, 5), and their number; what is padded varies."""
    ids = torch.tensor([[2, 5, 6, 7, 8], [2, 9, 4, 0, 1], [2, 3, 3, 29, 11]])
    return ids, torch.tensor([5, 3, 4])


def mask(lengths):
    return torch.arange(7) < lengths[:, None]


def plain_logits(plain, frames, lengths, ids):
    return plain(
        encoder_outputs=BaseModelOutput(frames),
        attention_mask=mask(lengths).long(),
        decoder_input_ids=ids,
        use_cache=False,
    ).logits


@pytest.mark.parametrize("lang", [None, LANG])
def test_logits_and_gradients(plain, folder, frames, tokens, lang):
    decoder = MBartDecoder(VOCAB, 16, model=folder, lang_token_id=lang).eval()
    ids, ids_lengths = tokens
    before = ids.clone()
    ours = frames[0].clone().requires_grad_()
    logits, out_lengths = decoder(ours, frames[1], ids, ids_lengths)
    assert torch.equal(ids, before)
    # the language token is read, not predicted: as many outputs as inputs
    assert logits.shape == (3, 5, VOCAB) and out_lengths is ids_lengths
    assert logits.is_contiguous()  # ESPnet's accuracy takes a view

    read = ids
    if lang is not None:
        read = torch.cat([ids[:, :1], torch.full((3, 1), lang), ids[:, 1:]], dim=1)
    theirs = frames[0].clone().requires_grad_()
    expected = plain_logits(plain, theirs, frames[1], read)[:, -5:]
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)

    weights = torch.randn_like(logits)
    (logits * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4)
    named = dict(plain.named_parameters())
    for name, parameter in decoder.model.named_parameters():
        torch.testing.assert_close(
            parameter.grad, named[name].grad, rtol=1e-4, atol=1e-4
        )
    assert ours.grad[0, 4:].abs().max() == 0


def test_parameters(plain, folder):
    decoder = MBartDecoder(VOCAB, 16, model=folder)
    shared = decoder.model.model.shared.weight
    assert decoder.model.lm_head.weight.data_ptr() == shared.data_ptr()
    assert (
        decoder.model.lm_head.weight is decoder.model.model.decoder.embed_tokens.weight
    )
    names = [name for name, _ in decoder.named_parameters()]
    assert not [name for name in names if "encoder." in name]
    expected = sum(p.numel() for p in plain.model.decoder.parameters())
    assert budget(decoder)["all"] == (expected, expected)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("lang", [None, LANG])
def test_generate(plain, folder, frames, beams, lang):
    decoder = MBartDecoder(VOCAB, 16, model=folder, lang_token_id=lang).eval()
    # length_penalty 0: where the prefix ends has no part in the score
    options = {"num_beams": beams, "num_return_sequences": beams, "do_sample": False}
    options.update(length_penalty=0.0, output_scores=True)
    output = decoder.generate(*frames, sos=EOS, eos=EOS, max_new_tokens=8, **options)
    expected = plain.generate(
        encoder_outputs=BaseModelOutput(frames[0]),
        attention_mask=mask(frames[1]).long(),
        decoder_start_token_id=EOS,
        forced_bos_token_id=lang,
        max_new_tokens=8 if lang is None else 9,
        return_dict_in_generate=True,
        **options,
    )
    assert output.sequences.tolist() == expected.sequences.tolist()
    prefix = [EOS] if lang is None else [EOS, LANG]
    assert output.sequences[:, : len(prefix)].tolist() == [prefix] * 3 * beams
    if beams > 1:
        torch.testing.assert_close(output.sequences_scores, expected.sequences_scores)


@pytest.mark.parametrize("beams", [1, 3])
def test_generate_batch_equals_alone(folder, frames, beams):
    decoder = MBartDecoder(VOCAB, 16, model=folder, lang_token_id=LANG).eval()
    options = {"sos": EOS, "eos": EOS, "max_new_tokens": 8, "num_beams": beams}
    batch = decoder.generate(*frames, do_sample=False, **options).sequences
    for i, n in enumerate(frames[1]):
        alone = decoder.generate(
            frames[0][i : i + 1, :n], frames[1][i : i + 1], do_sample=False, **options
        ).sequences[0]
        torch.testing.assert_close(batch[i, : len(alone)], alone, rtol=0, atol=0)


def test_batch_equals_alone(folder, frames, tokens):
    decoder = MBartDecoder(VOCAB, 16, model=folder, lang_token_id=LANG).eval()
    ids, ids_lengths = tokens
    logits, _ = decoder(*frames, *tokens)
    for i in range(3):
        n, m = frames[1][i], ids_lengths[i]
        alone, _ = decoder(
            frames[0][i : i + 1, :n],
            frames[1][i : i + 1],
            ids[i : i + 1, :m],
            ids_lengths[i : i + 1],
        )
        torch.testing.assert_close(logits[i, :m], alone[0], rtol=0, atol=1e-5)


def test_scores_are_the_last_position(folder, frames, tokens):
    decoder = MBartDecoder(VOCAB, 16, model=folder, lang_token_id=LANG).eval()
    ids = tokens[0]
    xs = frames[0][:1, :4].expand(3, -1, -1)
    scores, states = decoder.batch_score(ids, [None] * 3, xs)
    assert states == [None] * 3 and scores.shape == (3, VOCAB)
    torch.testing.assert_close(scores.exp().sum(1), torch.ones(3))
    logits, _ = decoder(xs, torch.tensor([4] * 3), ids, torch.tensor([5] * 3))
    torch.testing.assert_close(scores, logits[:, -1].log_softmax(-1))
    one, state = decoder.score(ids[1], None, xs[1])
    assert state is None
    torch.testing.assert_close(one, scores[1])


@pytest.mark.parametrize("from_folder", [True, False])
def test_portable(request, mbart_conf, frames, tokens, from_folder):
    if from_folder:
        folder = request.getfixturevalue("folder")
        # another size of frames: a linear layer comes with it
        kwargs = {"model": folder, "model_conf": {"dropout": 0.3}}
    else:
        kwargs = {"model_conf": mbart_conf}
    first = MBartDecoder(VOCAB, 8, lang_token_id=LANG, **kwargs).eval()
    conf = yaml.safe_load(yaml.safe_dump(first.portable_conf()))
    if from_folder:
        assert first.model.config.dropout == 0.3
        shutil.rmtree(folder)
    second = MBartDecoder(VOCAB, 8, **conf).eval()
    assert second.portable_conf() == conf
    one, other = first.model.config.to_dict(), second.model.config.to_dict()
    for config in (one, other):
        for key in ("_name_or_path", "transformers_version", "architectures", "dtype"):
            config.pop(key, None)
    assert one == other
    # what generate() falls back to
    ours, theirs = first.model.generation_config, second.model.generation_config
    for name in ("forced_eos_token_id", "pad_token_id", "num_beams", "max_length"):
        assert getattr(ours, name) == getattr(theirs, name)
    second.load_state_dict(first.state_dict())
    hs = (frames[0][..., :8], frames[1])
    torch.testing.assert_close(
        second(*hs, *tokens)[0], first(*hs, *tokens)[0], rtol=0, atol=0
    )
    options = {"sos": EOS, "eos": EOS, "max_new_tokens": 6, "num_beams": 2}
    assert torch.equal(
        second.generate(*hs, **options).sequences,
        first.generate(*hs, **options).sequences,
    )


def test_fresh_has_espnets_special_tokens(mbart_conf):
    config = MBartDecoder(VOCAB, 16, model_conf=mbart_conf).model.config
    assert (config.vocab_size, config.d_model) == (VOCAB, 16)
    assert (config.pad_token_id, config.eos_token_id) == (0, VOCAB - 1)


def test_frozen_is_deterministic(folder, frames, tokens):
    decoder = MBartDecoder(VOCAB, 16, model=folder, model_conf={"dropout": 0.5}).train()
    first, second = decoder(*frames, *tokens)[0], decoder(*frames, *tokens)[0]
    assert (first - second).abs().max() > 0.1
    decoder.requires_grad_(False)
    decoder.train()
    first, second = decoder(*frames, *tokens)[0], decoder(*frames, *tokens)[0]
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_refused(folder, mbart_conf):
    with pytest.raises(ValueError, match="model has 30 tokens, but .* list has 31"):
        MBartDecoder(31, 16, model=folder)
    for lang in (-1, VOCAB):
        with pytest.raises(ValueError, match=f"lang_token_id {lang} is not in"):
            MBartDecoder(VOCAB, 16, model=folder, lang_token_id=lang)
    with pytest.raises(ValueError, match="d_modell is not a field of MBartConfig"):
        MBartDecoder(VOCAB, 16, model_conf={**mbart_conf, "d_modell": 16})
    BartConfig(vocab_size=VOCAB).save_pretrained(folder)
    with pytest.raises(ValueError, match="model_type 'bart' is not mbart"):
        MBartDecoder(VOCAB, 16, model=folder)
    decoder = MBartDecoder(VOCAB, 16, model_conf=mbart_conf)
    with pytest.raises(RuntimeError, match="text encoder is not part"):
        decoder.model(input_ids=torch.tensor([[2]]))
