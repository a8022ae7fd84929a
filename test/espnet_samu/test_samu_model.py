import pytest
import torch

from espnet_samu.encoder.passthrough import PassthroughEncoder
from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.loss.contrastive import ContrastiveLoss
from espnet_samu.loss.cosine import CosineLoss
from espnet_samu.pooling.attention import AttentionPooling
from espnet_samu.projector.tanh import TanhProjector
from espnet_samu.samu_model import ESPnetSAMUModel

LOSSES = {"cosine": CosineLoss(), "contrastive": ContrastiveLoss(temperature=0.5)}
WEIGHTS = {"cosine": 2.0, "contrastive": 0.25}


def parts(model_conf):
    torch.manual_seed(0)
    frontend = SamuFrontend(model_conf=model_conf)
    return (
        frontend,
        PassthroughEncoder(input_size=16),
        AttentionPooling(input_size=16),
        TanhProjector(input_size=16, output_size=3),
    )


@pytest.mark.parametrize("family", ["wav2vec2-layer", "wavlm", "wav2vec2-bert"])
def test_batch_equals_alone(speech_models, noise, family):
    model = ESPnetSAMUModel(*parts(speech_models[family]), LOSSES, WEIGHTS).eval()
    speech, lengths = noise(3000, 5000, 1700)
    # padding that nobody needs is cut
    output = model.embed(torch.nn.functional.pad(speech, (0, 900), value=9.0), lengths)
    assert output.embedding.shape == (3, 3)
    assert output.frames.size(1) == output.lengths.max()
    torch.testing.assert_close(output.embedding.norm(dim=1), torch.ones(3))
    for i, n in enumerate(lengths):
        alone = model.embed(speech[i : i + 1, :n], lengths[i : i + 1])
        torch.testing.assert_close(
            output.embedding[i], alone.embedding[0], rtol=0, atol=1e-5
        )
        assert alone.lengths[0] == output.lengths[i]


def test_loss_by_hand(speech_models, noise, monkeypatch):
    model = ESPnetSAMUModel(*parts(speech_models["wavlm"]), LOSSES, WEIGHTS).eval()
    student = torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]])
    monkeypatch.setattr(model.projector, "forward", lambda pooled: student)
    teacher = torch.tensor([[0.6, 0.8, 0.0], [0.0, 1.0, 0.0]])
    # cosines [[0.6, 0], [1, 0.8]]: distances 0.4 and 0.2, their mean 0.3
    # over t = 0.5: [[1.2, 0], [2, 1.6]]: losses 0.263282 and 0.913015 by rows,
    # 1.171101 and 0.183901 by columns, mean 0.632825
    loss, stats, weight = model(*noise(3000, 2000), teacher, utt_id=["a", "b"])
    assert weight == 2
    stats = {name: value.item() for name, value in stats.items()}
    assert stats["loss_cosine"] == pytest.approx(0.3)
    assert stats["loss_contrastive"] == pytest.approx(0.632825, abs=1e-5)
    assert loss.item() == pytest.approx(2 * 0.3 + 0.25 * 0.632825, abs=1e-5)
    assert stats["loss"] == pytest.approx(loss.item())
    assert stats["cos_right"] == pytest.approx((0.6 + 0.8) / 2)
    assert stats["cos_wrong"] == pytest.approx((0 + 1) / 2)
    # 0.6 > 0, but 0.8 < 1
    assert stats["batch_r1"] == 0.5


def test_of_one_utterance(speech_models, noise):
    model = ESPnetSAMUModel(*parts(speech_models["wavlm"]), LOSSES, WEIGHTS).eval()
    speech, lengths = noise(3000)
    student = model.embed(speech, lengths).embedding
    loss, stats, _ = model(speech, lengths, student.detach())
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert stats["cos_right"].item() == pytest.approx(1)
    assert stats["cos_wrong"].item() == 0


def test_same_sentence_is_not_wrong(speech_models, noise, monkeypatch):
    model = ESPnetSAMUModel(*parts(speech_models["wavlm"]), LOSSES, WEIGHTS).eval()
    student = torch.tensor([[0.8, 0.6, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    monkeypatch.setattr(model.projector, "forward", lambda pooled: student)
    teacher = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.6, 0.8]])
    _, stats, _ = model(*noise(3000, 2000, 2500), teacher)
    assert stats["batch_r1"].item() == 1


def test_record(speech_models, noise):
    model = ESPnetSAMUModel(*parts(speech_models["wavlm"]), LOSSES, WEIGHTS).eval()
    speech, lengths = noise(3000, 2000)
    model.record = []
    model(speech, lengths, torch.eye(3)[:2], utt_id=["a", "b"])
    [(utts, student, teacher)] = model.record
    assert utts == ["a", "b"]
    torch.testing.assert_close(
        torch.tensor(student), model.embed(speech, lengths).embedding.detach()
    )
    assert teacher.tolist() == torch.eye(3)[:2].tolist()


def test_projector_first(speech_models, noise):
    conf = {**speech_models["wavlm"], "hidden_dropout": 0.5}
    model = ESPnetSAMUModel(
        *parts(conf), LOSSES, WEIGHTS, freeze_encoder_updates=2
    ).train()
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], weight_decay=0.5
    )
    optimizer.register_step_post_hook(model.count_update)
    speech, lengths = noise(3000, 2000)
    moved = []
    for _ in range(3):
        before = {name: p.clone() for name, p in model.named_parameters()}
        loss, _, _ = model(speech, lengths, torch.eye(3)[:2])
        assert model.frontend.training is (len(moved) == 2)
        optimizer.zero_grad()
        loss.backward()
        # An update of several batches (accum_grad) counts once.
        model(speech, lengths, torch.eye(3)[:2])[0].backward()
        optimizer.step()
        moved.append(
            {
                name.split(".")[0]
                for name, p in model.named_parameters()
                if not torch.equal(p, before[name])
            }
        )
    assert moved == [{"pooling", "projector"}] * 2 + [
        {"frontend", "pooling", "projector"}
    ]
    # Resumed, it goes on counting.
    assert model.state_dict()["updates"] == 3


def test_refused(speech_models, noise):
    model = ESPnetSAMUModel(*parts(speech_models["wavlm"]), LOSSES, WEIGHTS)
    with pytest.raises(
        ValueError, match="embeddings have 4 dimensions, the projec.* 3"
    ):
        model(*noise(3000, 2000), torch.ones(2, 4))
    for losses, weights in (({}, {}), (LOSSES, {"cosine": 1.0})):
        with pytest.raises(ValueError, match="must name the same distances"):
            ESPnetSAMUModel(*parts(speech_models["wavlm"]), losses, weights)
    with pytest.raises(ValueError, match="freeze_encoder_updates must not be .* -1"):
        ESPnetSAMUModel(
            *parts(speech_models["wavlm"]), LOSSES, WEIGHTS, freeze_encoder_updates=-1
        )
    speech, lengths = noise(3000, 2000)
    speech[1, 7] = float("inf")
    ids = ["a", "b"]
    with pytest.raises(
        ValueError, match="^utterance b: samples are NaN.*--check_audio"
    ):
        model(speech, lengths, torch.ones(2, 3), utt_id=ids)
    message = (
        "^utterance b: 100 samples are too short .* --min_wav_duration and --max_w"
    )
    with pytest.raises(ValueError, match=message):
        model(*noise(3000, 100), torch.ones(2, 3), utt_id=ids)


def test_collect_feats(speech_models, noise):
    model = ESPnetSAMUModel(*parts(speech_models["wavlm"]), LOSSES, WEIGHTS)
    speech, lengths = noise(3000, 2000)
    feats = model.collect_feats(speech, lengths, embed=torch.ones(2, 3))
    assert feats["feats"] is speech and feats["feats_lengths"] is lengths
