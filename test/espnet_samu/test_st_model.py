import string

import pytest
import torch
from espnet2.layers.utterance_mvn import UtteranceMVN
from espnet2.legacy.nets.pytorch_backend.transformer.label_smoothing_loss import (
    LabelSmoothingLoss,
)
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed

from espnet_samu.loss.contrastive import ContrastiveLoss
from espnet_samu.loss.cosine import CosineLoss
from espnet_samu.loss.distillation import DistillationLoss
from espnet_samu.pooling.attention import AttentionPooling
from espnet_samu.pooling.mean import MeanPooling
from espnet_samu.projector.tanh import TanhProjector
from espnet_samu.samu_model import ESPnetSAMUModel
from espnet_samu.st_model import DistillationHead, SamuSTModel, SmoothedCrossEntropy
from espnet_samu.tasks.st import STTask
from espnet_samu.utils.waveform import UnusableWaveforms

TEXTS = ("ab", "bcd", "e", "dcba")  # of the data folder
# Rows after 2 special tokens and 26 letters.
EN, DE, ZH = 28, 29, 30


@pytest.fixture
def build(st_cmd, tmp_path):
    """Makes a model with three target languages; seed 3."""

    def make(**conf):
        tokens = ["<blank>", "<unk>", *string.ascii_lowercase]
        tokens += ["en_XX", "de_DE", "zh_CN", "<sos/eos>"]
        (tmp_path / "tokens.txt").write_text("\n".join(tokens) + "\n")
        conf["token_list"] = f"{tmp_path}/tokens.txt"
        conf["model_conf"] = {"report_bleu": False, **conf.get("model_conf", {})}
        args = STTask.get_parser().parse_args(st_cmd(tmp_path / "exp", **conf))
        set_all_random_seed(3)
        return STTask.build_model(args)

    return make


@pytest.fixture(scope="module")
def text():
    """Token ids of the translations, and their number."""
    rows = [torch.tensor([2 + ord(c) - ord("a") for c in t]) for t in TEXTS]
    padded = torch.nn.utils.rnn.pad_sequence(rows, True, padding_value=-1)
    return padded, torch.tensor([len(row) for row in rows])


def one(batch, text, i):
    """The i-th utterance alone."""
    n, m = batch[1][i], text[1][i]
    return (
        batch[0][i : i + 1, :n],
        batch[1][i : i + 1],
        text[0][i : i + 1, :m].clone(),
        text[1][i : i + 1],
    )


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_that_of_espnet(smoothing, normalized):
    torch.manual_seed(0)
    logits = torch.randn(3, 5, 11, requires_grad=True)
    target = torch.randint(11, (3, 5))
    target[0, 3:] = target[2, 1:] = -1
    found = []
    for loss in (SmoothedCrossEntropy, LabelSmoothingLoss):
        value = loss(11, -1, smoothing, normalized)(logits, target)
        found.append((value, *torch.autograd.grad(value, logits)))
    torch.testing.assert_close(*found)
    assert found[0][0] > 0


def test_no_frame_is_left(build, batch, text):
    """Of two frames a post-encoder makes one, of one none."""
    model = build(
        tgt_lang_token="en_XX",
        postencoder="length_adaptor",
        postencoder_conf={"length_adaptor_n_layers": 1},
    )
    n_frames = model.frontend.output_lengths(torch.arange(2000)).tolist()
    names = ["utt1", "utt2", "utt3", "utt4"]
    lengths = batch[1].clone()
    lengths[1] = n_frames.index(2)
    assert model(batch[0], lengths, *text, utt_id=names)[0].isfinite()
    lengths[1] = n_frames.index(1)
    message = f"^utterance utt2: {n_frames.index(1)} samples are too short for a frame "
    with pytest.raises(UnusableWaveforms, match=message):
        model(batch[0], lengths, *text, utt_id=names)


@pytest.mark.parametrize("normalized", [False, True])
def test_languages_of_a_batch(build, batch, text, normalized):
    """A mixed batch is the mean of its utterances, each in its own language."""
    model_conf = {"lsm_weight": 0.2, "length_normalized_loss": normalized}
    model = build(model_conf=model_conf).train()
    rows = [DE, EN, ZH, DE]
    # ESPnet counts the end token
    lengths = text[1] + 1
    share = lengths / lengths.sum() if normalized else torch.full((4,), 0.25)
    expected = 0.0
    for i, row in enumerate(rows):
        model.decoder.lang_token_id = row
        expected = expected + share[i] * model(*one(batch, text, i))[0][0]
    expected.backward()
    grads = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()

    # the default is another language, and is not used
    model.decoder.lang_token_id = EN
    for ids in (torch.tensor(rows)[:, None], torch.tensor(rows)):
        model.zero_grad()
        loss, stats, weight = model(*batch, text[0].clone(), text[1], tgt_lang=ids)
        torch.testing.assert_close(loss[0], expected, rtol=1e-5, atol=1e-6)
        assert weight == 4
        loss.backward()
        found = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
        torch.testing.assert_close(found, grads, rtol=1e-4, atol=1e-5)
    assert len(grads) > 20
    # without them the default is
    default, _, _ = model(*batch, text[0].clone(), text[1])
    assert abs(default.item() - loss.item()) > 1e-3
    all_en = torch.full((4, 1), EN)
    same, _, _ = model(*batch, text[0].clone(), text[1], tgt_lang=all_en)
    assert same == default


def test_refused(build, batch, text):
    model = build()
    utt_id = ["u1", "u2", "u3", "u4"]
    languages = torch.tensor([[EN], [DE], [99], [DE]])
    with pytest.raises(ValueError, match=r"target languages \[99\] are not in the"):
        model(*batch, *text, tgt_lang=languages)
    # 64 positions: start token, language token and 62 of text are the most
    long = torch.full((2, 63), 5)
    args = batch[0][:2], batch[1][:2], long
    languages = languages[:2]
    model(*args, torch.tensor([2, 62]), tgt_lang=languages, utt_id=utt_id)
    with pytest.raises(ValueError, match="utterance u2: .* 65 tokens.* has 64 posi"):
        model(*args, torch.tensor([2, 63]), tgt_lang=languages, utt_id=utt_id)
    # one more without a language token
    model(*args, torch.tensor([2, 63]), utt_id=utt_id)
    model.decoder.lang_token_id = EN
    with pytest.raises(ValueError, match="utterance 1: .* 65 tokens"):
        model(*args, torch.tensor([2, 63]))


def test_utterances_that_cannot_be_used(build, batch, text, caplog):
    model = build()
    ids = ["u1", "u2", "u3", "u4"]
    for sample, reason in (
        (float("nan"), "NaN or inf.*"),
        (1e25, r".* up to 1e\+25.*"),
    ):
        speech = batch[0].clone()
        speech[2, 5] = sample
        message = (
            f"^utterance u3: .*{reason} Repair these recordings, or leave them out"
        )
        with pytest.raises(ValueError, match=message):
            model(speech, batch[1], *text, utt_id=ids)
    lengths = batch[1].clone()
    lengths[3] = 100
    message = (
        "^utterance u4: 100 samples are too short .* --min_wav_duration and --max_w"
    )
    with pytest.raises(ValueError, match=message):
        model(batch[0], lengths, *text, utt_id=ids)
    # a silent one is named, too, but does no harm
    speech = batch[0].clone()
    speech[1] = 0.0
    assert model(speech, batch[1], *text, utt_id=ids)[0].isfinite()
    assert "utterance u2: silent, all samples are equal" in caplog.text


def test_decoder_without_languages(build, batch, text):
    conf = {"num_blocks": 1, "linear_units": 8, "attention_heads": 2}
    model = build(decoder="transformer", decoder_conf=conf)
    assert not model.has_target_languages
    assert torch.isfinite(model(*batch, text[0].clone(), text[1])[0])
    with pytest.raises(ValueError, match="decoder TransformerDecoder has none"):
        model(*batch, *text, tgt_lang=torch.tensor([[EN]] * 4))
    # CTC alone has no decoder
    model = build(model_conf={"st_mtlalpha": 1.0})
    assert torch.isfinite(model(*batch, text[0].clone(), text[1])[0])
    with pytest.raises(ValueError, match="they are for decoder: mbart"):
        model(*batch, *text, tgt_lang=torch.tensor([[EN]] * 4))


ENCODER = {
    "encoder": "transformer",
    "encoder_conf": {
        "input_layer": "linear",
        "output_size": 16,
        "attention_heads": 2,
        "linear_units": 8,
        "num_blocks": 1,
        "dropout_rate": 0.5,
    },
    "postencoder": "length_adaptor",
    "postencoder_conf": {"length_adaptor_n_layers": 1},
}


def test_decoder_first(build, batch, text):
    model = build(**ENCODER, model_conf={"freeze_encoder_updates": 2})
    still = model.eval().encoder(*model.frontend(*batch))[0]
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], weight_decay=0.5
    )
    optimizer.register_step_post_hook(model.count_update)
    seen = []
    model.encoder.register_forward_hook(lambda m, i, o: seen.append(o[0].detach()))
    moved = []
    for _ in range(3):
        # as ESPnet's trainer does in every epoch
        model.train()
        before = {name: p.clone() for name, p in model.named_parameters()}
        model(*batch, text[0].clone(), text[1])[0].backward()
        # An update of several batches (accum_grad) counts once.
        model(*batch, text[0].clone(), text[1])[0].backward()
        optimizer.step()
        optimizer.zero_grad()
        moved.append(
            {
                name.split(".")[0]
                for name, p in model.named_parameters()
                if not torch.equal(p, before[name])
            }
        )
    assert moved == [{"postencoder", "decoder"}] * 2 + [
        {"frontend", "encoder", "postencoder", "decoder"}
    ]
    # without dropout, and as pre-trained, until then
    for frames in seen[:4]:
        torch.testing.assert_close(frames, still)
    assert (seen[4] - still).abs().max() > 0.1
    assert model.state_dict()["updates"] == 3


WEIGHT = 3.0


def keep_distilling(model, normalize=None):
    """Give a model a head, as the task does; return the student of the same parts."""
    losses = {"cosine": CosineLoss(), "contrastive": ContrastiveLoss()}
    weights = {"cosine": 2.0, "contrastive": 0.5}
    pooling, projector = AttentionPooling(16), TanhProjector(16, 3)
    loss = DistillationLoss(losses, weights)
    model.distillation = DistillationHead(
        pooling, projector, loss, WEIGHT, normalize=normalize
    )
    encoder = (model.frontend, model.encoder, pooling, projector)
    return ESPnetSAMUModel(*encoder, losses, weights, normalize=normalize)


@pytest.fixture
def samu_batch(noise):
    """Three utterances for the distillation, and their sentence embeddings."""
    speech, lengths = noise(3000, 2600, 1700)
    batch = {"samu_speech": speech, "samu_speech_lengths": lengths}
    return {**batch, "samu_embed": torch.eye(3), "samu_utt_id": ["a", "b", "c"]}


@pytest.mark.parametrize("checkpointing", [False, True])
def test_auxiliary_distillation(
    build, batch, text, samu_batch, frontend_conf, checkpointing
):
    """The sum of two losses, and of their gradients, each by its own model."""
    # what masks the frames of translations leaves those of the distillation alone
    conf = {"specaug": "specaug", "specaug_conf": {"apply_time_mask": False}}
    conf["frontend_conf"] = {**frontend_conf, "gradient_checkpointing": checkpointing}
    model = build(**conf).train()
    samu = keep_distilling(model, UtteranceMVN()).train()
    embed = samu_batch["samu_embed"]
    torch.manual_seed(0)
    loss_st, stats_st, _ = model(*batch, text[0].clone(), text[1])
    assert "loss_samu" not in stats_st
    loss_samu, stats_samu, _ = samu(*list(samu_batch.values())[:2], embed)
    expected = loss_st + WEIGHT * loss_samu
    expected.backward()
    grads = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()

    torch.manual_seed(0)
    loss, stats, weight = model(*batch, text[0].clone(), text[1], **samu_batch)
    torch.testing.assert_close(loss, expected)
    # averages are over translations
    assert weight == 4
    torch.testing.assert_close(stats["loss"], expected.detach())
    torch.testing.assert_close(stats["loss_st"], loss_st.detach())
    torch.testing.assert_close(stats["loss_samu"], loss_samu.detach())
    for name in ("cos_right", "cos_wrong", "batch_r1"):
        torch.testing.assert_close(stats[f"samu_{name}"], stats_samu[name])
    loss.backward()
    found = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    torch.testing.assert_close(found, grads, rtol=1e-4, atol=1e-5)
    parts = {name.split(".")[0] for name in found}
    assert parts == {"frontend", "decoder", "distillation"}
    # the checkpoint of a model with a head is one for a model without
    other = build(**conf)
    state = model.state_dict()
    other.load_state_dict(state)
    assert {k for k in state if k not in other.state_dict()} == {
        f"distillation.{k}" for k in model.distillation.state_dict()
    }
    with pytest.raises(RuntimeError, match='Missing key.* "distillation.pooling'):
        model.load_state_dict(other.state_dict())


def test_auxiliary_distillation_while_the_encoder_is_frozen(
    build, batch, text, samu_batch
):
    model = build(**ENCODER, model_conf={"freeze_encoder_updates": 1})
    keep_distilling(model)
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.1
    )
    optimizer.register_step_post_hook(model.count_update)
    moved = []
    for _ in range(2):
        model.train()
        before = {name: p.clone() for name, p in model.named_parameters()}
        model(*batch, text[0].clone(), text[1], **samu_batch)[0].backward()
        optimizer.step()
        optimizer.zero_grad()
        moved.append(
            {
                name.split(".")[0]
                for name, p in model.named_parameters()
                if not torch.equal(p, before[name])
            }
        )
    rest = {"postencoder", "decoder", "distillation"}
    assert moved == [rest, rest | {"frontend", "encoder"}]


def test_utterance_that_cannot_be_distilled(build, batch, text, samu_batch):
    model = build()
    keep_distilling(model)
    samu_batch["samu_speech"][1] = 0.0
    with pytest.raises(ValueError, match="^utterance b: silent, all samples are equal"):
        model(*batch, *text, **samu_batch)


def test_nothing_more_is_in_the_checkpoint(build):
    model = build()
    assert isinstance(model, SamuSTModel) and "updates" not in model.state_dict()
    with pytest.raises(ValueError, match="freeze_encoder_updates must not be .* -1"):
        build(model_conf={"freeze_encoder_updates": -1})


def test_by_hand():
    loss = DistillationLoss({"cosine": CosineLoss()}, {"cosine": 2.0})
    head = DistillationHead(MeanPooling(2), TanhProjector(2, 2), loss, 0.5)
    with torch.no_grad():
        head.projector.linear.weight.copy_(torch.eye(2))
        head.projector.linear.bias.zero_()
    # the padding would change the mean
    frames = torch.tensor([[[0.5, 0.5], [0.5, 0.5]], [[1.0, 0.0], [9.0, 9.0]]])
    teacher = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    # directions (1, 1) and (1, 0): cosines 0.7071 and 1
    total, stats = head(frames, torch.tensor([2, 1]), teacher)
    assert total.item() == pytest.approx(2 * (1 - 0.70710678) / 2, abs=1e-6)
    assert stats["cos_right"].item() == pytest.approx((0.70710678 + 1) / 2)
    # the student's names, and nothing of the loss
    assert sorted(head.state_dict()) == ["projector.linear.bias"] + [
        "projector.linear.weight"
    ]
