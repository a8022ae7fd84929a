import shutil

import pytest
import torch
import yaml
from espnet2.torch_utils.initialize import initialize

from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.layers.trainable import count_parameters

VOCAB = 30
EOS = 2  # also the start token, as in mBART-50
LANG = 28
MIXED = torch.tensor([28, 5, 17])

families = pytest.mark.parametrize("family", ["mbart", "m2m_100", "bart"])


def close(actual, expected, tolerance=1e-5):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def valid(lengths, size):
    return torch.arange(size) < lengths[:, None]


@families
@pytest.mark.parametrize("lang", [None, LANG, MIXED])
def test_logits_and_gradients(
    plain, plain_logits, folder, frames, tokens, family, lang
):
    default = lang if isinstance(lang, int) else None
    decoder = MBartDecoder(VOCAB, 16, model=folder, lang_token_id=default).eval()
    assert decoder.model.config.model_type == family
    ids, ids_lengths = tokens
    before = ids.clone()
    ours = frames[0].clone().requires_grad_()
    if isinstance(lang, torch.Tensor):
        with decoder.target_languages(lang):
            logits, out_lengths = decoder(ours, frames[1], ids, ids_lengths)
    else:
        logits, out_lengths = decoder(ours, frames[1], ids, ids_lengths)
    assert torch.equal(ids, before)
    # the language token is read, not predicted: as many outputs as inputs
    assert logits.shape == (3, 5, VOCAB) and out_lengths is ids_lengths
    assert logits.is_contiguous()  # ESPnet's accuracy takes a view

    read = ids
    if lang is not None:
        column = torch.full((3, 1), lang) if default is not None else lang[:, None]
        read = torch.cat([ids[:, :1], column, ids[:, 1:]], dim=1)
    theirs = frames[0].clone().requires_grad_()
    expected = plain_logits(theirs, frames[1], read)[:, -5:]
    mask = valid(ids_lengths, 5)
    torch.testing.assert_close(logits[mask], expected[mask], rtol=0, atol=1e-5)

    weights = torch.randn_like(logits) * mask[..., None]
    (logits * weights).sum().backward()
    (expected * weights).sum().backward()
    close(ours.grad, theirs.grad, 1e-4)
    named = dict(plain.named_parameters())
    for name, parameter in decoder.model.named_parameters():
        close(parameter.grad, named[name].grad, 1e-4)
    assert ours.grad[0, 4:].abs().max() == 0


@families
def test_parameters(plain, folder, family):
    decoder = MBartDecoder(VOCAB, 16, model=folder)
    shared = decoder.model.model.shared.weight
    decoder.load_state_dict(decoder.state_dict())
    head, embedding = decoder.model.lm_head, decoder.model.model.decoder.embed_tokens
    assert head.weight is embedding.weight
    assert head.weight.data_ptr() == embedding.weight.data_ptr() == shared.data_ptr()
    names = [name for name, _ in decoder.named_parameters()]
    assert not [name for name in names if "encoder." in name]
    expected = sum(p.numel() for p in plain.model.decoder.parameters())
    assert count_parameters(decoder)["all"] == (expected, expected)
    theirs = {k for k in plain.state_dict() if ".encoder." not in k}
    assert set(decoder.state_dict()) == {f"model.{k}" for k in theirs}


@families
def test_batch_equals_alone(folder, frames, tokens, family):
    decoder = MBartDecoder(VOCAB, 16, model=folder).eval()
    ids, ids_lengths = tokens
    both = {}
    for rows in ([[0, 1, 2]], [[0], [1], [2]]):
        decoder.zero_grad()
        logits = []
        for row in rows:
            n, m = frames[1][row], ids_lengths[row]
            with decoder.target_languages(MIXED[row]):
                batch = (frames[0][row, : max(n)], n, ids[row, : max(m)], m)
                out, _ = decoder(*batch)
            out = out[valid(m, max(m))]
            out.square().sum().backward()
            logits.append(out)
        gradients = [p.grad.clone() for p in decoder.parameters()]
        both[len(rows)] = [torch.cat(logits), *gradients]
    close(both[1][0], both[3][0])
    for batch, alone in zip(both[1][1:], both[3][1:]):
        close(batch, alone, 1e-4)


@families
@pytest.mark.parametrize("padding", [-1, -100, 0, 1, EOS, 29])
def test_padding(folder, frames, tokens, family, padding):
    decoder = MBartDecoder(VOCAB, 16, model=folder, lang_token_id=LANG).eval()
    ids, ids_lengths = tokens
    mask = valid(ids_lengths, 5)
    padded = ids.masked_fill(~mask, padding)
    before = padded.clone()
    logits = decoder(*frames, padded, ids_lengths)[0][mask]
    assert torch.equal(padded, before)
    close(logits, decoder(*frames, ids, ids_lengths)[0][mask])


@families
@pytest.mark.parametrize("token", [0, 1])
def test_special_tokens_are_tokens(folder, frames, family, token):
    """<s> is id 0 and <pad> is id 1; neither is dropped where it is not padding."""
    decoder = MBartDecoder(VOCAB, 16, model=folder).eval()
    lengths = torch.tensor([4])
    logits = {}
    for ids in ([2, token, 5, 6], [2, 9, 5, 6], [2, 5, 6, 6]):
        batch = (frames[0][1:2], frames[1][1:2], torch.tensor([ids]), lengths)
        logits[tuple(ids)] = decoder(*batch)[0][0, -2:]
    first, *others = logits.values()
    assert all((first - other).abs().max() > 0.1 for other in others)


def test_targets_of_other_numbers_of_languages(folder, frames, tokens):
    decoder = MBartDecoder(VOCAB, 16, model=folder, lang_token_id=LANG).eval()
    plain = decoder(*frames, *tokens)[0]
    with decoder.target_languages(None):
        without = decoder(*frames, *tokens)[0]
    assert (plain - without).abs().max() > 0.1
    close(decoder(*frames, *tokens)[0], plain)
    decoder.lang_token_id = None
    close(decoder(*frames, *tokens)[0], without)
    with decoder.target_languages(MIXED[:2]):
        with pytest.raises(ValueError, match="2 target languages for 3 utterances"):
            decoder(*frames, *tokens)


@families
@pytest.mark.parametrize("lang", [None, LANG])
def test_longest_targets(folder, frames, family, lang):
    decoder = MBartDecoder(VOCAB, 16, model=folder, lang_token_id=lang).eval()
    longest = 32 - (lang is not None)
    ids = torch.full((1, longest), 7)
    frames = frames[0][1:2], frames[1][1:2]
    assert decoder(*frames, ids, torch.tensor([longest]))[0].size(1) == longest
    ids = torch.full((1, longest + 1), 7)
    match = "would read 33 tokens.* has 32 positions"
    with pytest.raises(ValueError, match=match):
        decoder(*frames, ids, torch.tensor([longest + 1]))
    with pytest.raises(ValueError, match=match):
        decoder.score(ids[0], None, frames[0][0])
    options = {"sos": EOS, "eos": EOS, "num_beams": 1, "do_sample": False}
    # the last token is not read
    new = {"max_new_tokens": longest, "min_new_tokens": longest}
    decoder.generate(*frames, **new, **options)
    with pytest.raises(ValueError, match=match):
        decoder.generate(*frames, max_new_tokens=longest + 1, **options)


@families
def test_bfloat16(folder, frames, tokens, family):
    options = {"model": folder, "lang_token_id": LANG}
    exact = MBartDecoder(VOCAB, 16, **options).eval()
    decoder = MBartDecoder(VOCAB, 16, dtype="bfloat16", **options).eval()
    expected, (logits, _) = exact(*frames, *tokens)[0], decoder(*frames, *tokens)
    assert logits.dtype == torch.float32
    difference = (logits - expected).abs().max()
    assert 0 < difference < 0.05 * expected.abs().max()
    logits.square().mean().backward()
    assert all(p.grad.dtype == torch.float32 for p in decoder.parameters())
    seen = []
    layer = decoder.model.model.decoder.layers[0].self_attn.q_proj
    hook = layer.register_forward_hook(lambda m, a, out: seen.append(out.dtype))
    scores, _ = decoder.score(tokens[0][0], None, frames[0][0, :4])
    assert scores.dtype == torch.float32
    assert (scores - expected[0, -1].log_softmax(-1)).abs().max() < 0.5
    limits = {"longest": frames[1], "num_beams": 2, "do_sample": False}
    found = decoder.generate_with_scores(*frames, EOS, EOS, **limits)
    assert found.scores.dtype == torch.float32 and found.scores.isfinite().all()
    hook.remove()
    assert set(seen) == {torch.bfloat16}


def test_attention_implementation(folder, frames, tokens):
    options = {"model": folder, "lang_token_id": LANG}
    found = {}
    for name in (None, "sdpa", "eager"):
        decoder = MBartDecoder(VOCAB, 16, attn_implementation=name, **options).eval()
        assert decoder.model.config._attn_implementation == (name or "sdpa")
        assert decoder.portable_conf()["attn_implementation"] == name
        scores = decoder.batch_score(tokens[0], [None] * 3, frames[0])[0]
        found[name] = torch.cat([decoder(*frames, *tokens)[0], scores[:, None]], dim=1)
    close(found["sdpa"], found["eager"])
    close(found["sdpa"], found[None])


@families
@pytest.mark.parametrize("is_fresh", [False, True])
def test_portable(folder, mbart_conf, frames, tokens, family, is_fresh):
    if is_fresh:
        kwargs = {"model_conf": {**mbart_conf, "model_type": family}}
    else:
        # another size of frames: a linear layer comes with it
        kwargs = {"model": folder, "model_conf": {"dropout": 0.3}}
    first = MBartDecoder(VOCAB, 8, lang_token_id=LANG, **kwargs).eval()
    conf = yaml.safe_load(yaml.safe_dump(first.portable_conf()))
    shutil.rmtree(folder)
    assert first.model.config.dropout == (0.0 if is_fresh else 0.3)
    second = MBartDecoder(VOCAB, 8, **conf).eval()
    assert second.model.lm_head.weight is second.model.model.shared.weight
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
    # random, but a decoder of the same kind, until the checkpoint comes
    spread = first.model.model.decoder.layers[0].fc1.weight.std()
    assert 0.5 < second.model.model.decoder.layers[0].fc1.weight.std() / spread < 2
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


def test_frozen_is_deterministic(folder, frames, tokens):
    decoder = MBartDecoder(VOCAB, 16, model=folder, model_conf={"dropout": 0.5}).train()
    first, second = decoder(*frames, *tokens)[0], decoder(*frames, *tokens)[0]
    assert (first - second).abs().max() > 0.1
    decoder.requires_grad_(False)
    decoder.train()
    first, second = decoder(*frames, *tokens)[0], decoder(*frames, *tokens)[0]
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_refused(folder, mbart_conf):
    for lang in (-1, VOCAB):
        with pytest.raises(ValueError, match=f"lang_token_id {lang} is not in"):
            MBartDecoder(VOCAB, 16, model=folder, lang_token_id=lang)
    with pytest.raises(ValueError, match="dtype 'int8' is not one of float32"):
        MBartDecoder(VOCAB, 16, model=folder, dtype="int8")
    with pytest.raises(ValueError, match="attn_implementation 'fast' is not one"):
        MBartDecoder(VOCAB, 16, model=folder, attn_implementation="fast")
    decoder = MBartDecoder(VOCAB, 16, model_conf=mbart_conf)
    with pytest.raises(ValueError, match="lang_token_id 30 is not in"):
        decoder.lang_token_id = VOCAB
    with pytest.raises(RuntimeError, match="text encoder is not part"):
        decoder.model(input_ids=torch.tensor([[2]]))


@families
def test_init_spares_what_is_pretrained(plain, folder, family):
    holder = torch.nn.Module()
    holder.decoder = MBartDecoder(VOCAB, 8, model=folder, attn_implementation="eager")
    linear_in = holder.decoder.linear_in.weight.clone()
    before = {k: v.clone() for k, v in holder.decoder.model.state_dict().items()}
    initialize(holder, "xavier_uniform")
    for key, value in holder.decoder.model.state_dict().items():
        assert torch.equal(value, before[key]), key
    model = holder.decoder.model
    assert model.lm_head.weight is model.model.shared.weight
    assert model.config._attn_implementation == "eager"
    assert not torch.equal(holder.decoder.linear_in.weight, linear_in)


@families
@pytest.mark.parametrize("trainable", ["all", "lna_d"])
def test_gradient_checkpointing(folder, frames, tokens, family, trainable):
    """The same gradients, the layers computed twice."""
    gradients, runs = [], []
    for checkpointing in (False, True):
        conf = {"model": folder, "model_conf": {"dropout": 0.3}}
        decoder = MBartDecoder(VOCAB, 16, **conf, gradient_checkpointing=checkpointing)
        if trainable == "lna_d":
            decoder.requires_grad_(False)
            for name, parameter in decoder.named_parameters():
                parameter.requires_grad = "norm" in name or "encoder_attn" in name
        decoder.train()
        calls = []
        decoder.model.model.decoder.layers[0].fc1.register_forward_hook(
            lambda *_: calls.append(1)
        )
        torch.manual_seed(0)
        hs_pad = frames[0].clone().requires_grad_()
        logits, _ = decoder(hs_pad, frames[1], *tokens)
        logits.square().mean().backward()
        gradients.append([hs_pad.grad, *(p.grad for p in decoder.parameters())])
        runs.append(len(calls))
    assert runs == [1, 2]
    for one, two in zip(*gradients, strict=True):
        assert (one is None) == (two is None)
        if one is not None:
            close(two, one)
