"""Every arm of the study makes a model that trains what the arm is about."""

import re
from pathlib import Path

import pytest
import torch
import transformers
import yaml

from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.tasks.st import STTask
from study.arms import EncoderSwap, read_encoder
from study.plan import Plan, read_plan

from ..tiny_models import make_encoder

RECIPE = Path(__file__).parents[3] / "egs2" / "mini_asterisk" / "samu_st1"
PLAN: Plan = read_plan(RECIPE / "study" / "arms.yaml")


def build(task, conf: dict, folder: Path) -> torch.nn.Module:
    """Build the model that a training of these settings begins with."""
    (folder / "train.yaml").write_text(yaml.safe_dump(conf), encoding="utf-8")
    tokens = ["<blank>", "<unk>", *(f"t{i}" for i in range(137)), "<sos/eos>"]
    (folder / "tokens.txt").write_text("\n".join(tokens), encoding="utf-8")
    options = ["--config", folder / "train.yaml", "--output_dir", folder / "exp"]
    if task is STTask:
        options += ["--token_list", folder / "tokens.txt", "--token_type", "char"]
        options += ["--src_token_list", "none", "--src_token_type", "none"]
    args = task.get_parser().parse_args([str(option) for option in options])
    return task.build_model(args)


FIXED = re.compile(r"(^|\.)(feature_extractor|conv1|conv2|embed_positions)\.")
"""Convolutions over waveforms or log-mel frames, and positions that are no weights."""


def trained_share(part: torch.nn.Module) -> float:
    """Return the share of the parameters that are trained, but for the fixed ones."""
    params = [p for name, p in part.named_parameters() if not FIXED.search(name)]
    counts = [(p.numel(), p.numel() * p.requires_grad) for p in params]
    total, trained = map(sum, zip(*counts))
    return trained / total


def check_arm(plan: Plan, name: str, folder: Path) -> torch.nn.Module:
    """Build the model of an arm; check that it trains what the arm is about."""
    arm = plan.arms[name]
    model = build(STTask, arm.translation.load(RECIPE), folder)
    assert trained_share(model.decoder) == 1
    share = trained_share(model.frontend)
    if arm.frozen:
        assert share == 0
    elif name == "c_lna":
        assert 0.05 < share < 0.6
    elif name == "c_adapters":
        assert 0 < share < 0.1
    else:
        assert share == 1
    controls = ("a", "b", "b_masks", "l")
    assert (getattr(model, "st_ctc", None) is not None) == (name in controls)
    assert (model.specaug is not None) == (name not in ("a", "b", "l"))
    return model


@pytest.mark.parametrize("name", PLAN.arms)
def test_arm(name: str, tmp_path: Path):
    check_arm(PLAN, name, tmp_path)


@pytest.mark.parametrize(
    "name", {a.student.name: 0 for a in PLAN.arms.values() if a.student}
)
def test_student(name: str, tmp_path: Path):
    students = (arm.student for arm in PLAN.arms.values() if arm.student)
    student = next(s for s in students if s.name == name)
    conf = student.step.load(RECIPE)
    if student.kind == "distillation":
        model = build(SAMUTask, conf, tmp_path)
        pooling = type(model.pooling).__name__.lower()
        assert pooling.startswith(name if name in ("mean", "max") else "attention")
    if name == "augment":
        assert conf["frontend_conf"]["log_mel_conf"].pop("fmax") == 3700
    # CTC's is ESPnet's own task, with the same frontend.
    assert (
        conf["frontend_conf"]
        == yaml.safe_load(
            (RECIPE / "conf" / "train_samu.yaml").read_text(encoding="utf-8")
        )["frontend_conf"]
    )


def make_hubert(folder: Path) -> None:
    """Write a small model in the layout of mHuBERT."""
    config = transformers.HubertConfig(
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )
    transformers.HubertModel(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)


def make_whisper(folder: Path) -> None:
    """Write a small model in the layout of Whisper."""
    config = transformers.WhisperConfig(
        vocab_size=60,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=3,
        d_model=128,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=512,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=32,
        max_source_positions=500,
    )
    transformers.WhisperForConditionalGeneration(config).save_pretrained(folder)
    transformers.WhisperFeatureExtractor(chunk_length=10).save_pretrained(folder)


@pytest.fixture(scope="module", params=["xlsr", "mhubert", "whisper"])
def swap(request, tmp_path_factory) -> EncoderSwap:
    """An encoder of conf/tuning, but small and with random weights."""
    folder = tmp_path_factory.mktemp(request.param)
    make = {"xlsr": make_encoder, "mhubert": make_hubert, "whisper": make_whisper}
    make[request.param](folder)
    swap = read_encoder(RECIPE / "conf" / "tuning" / f"train_samu_{request.param}.yaml")
    swap.conf["frontend_conf"]["model"] = str(folder)
    return swap


@pytest.mark.parametrize("name", ["b", "c_frozen", "k", "c_lna", "c_adapters"])
def test_arm_with_another_encoder(name: str, swap: EncoderSwap, tmp_path: Path):
    plan = read_plan(RECIPE / "study" / "arms.yaml", swap)
    model = check_arm(plan, name, tmp_path).train()
    source = swap.conf["frontend_conf"]["model"]
    config = transformers.AutoConfig.from_pretrained(source)
    assert type(model.frontend.model.config) is type(config)
    speech, lengths = torch.randn(2, 24_000), torch.tensor([24_000, 16_000])
    text, text_lengths = torch.tensor([[5, 6, 7], [8, 9, -1]]), torch.tensor([3, 2])
    loss = model(speech, lengths, text, text_lengths)[0]
    loss.backward()
    assert torch.isfinite(loss)


@pytest.mark.parametrize("name", ["all", "ctc"])
def test_student_with_another_encoder(name: str, swap: EncoderSwap, tmp_path: Path):
    plan = read_plan(RECIPE / "study" / "arms.yaml", swap)
    arm = plan.arms["c_frozen" if name == "all" else "j"]
    conf = arm.student.step.load(RECIPE)
    assert conf["frontend_conf"] == swap.conf["frontend_conf"]
    assert conf["optim_conf"]["lr"] == 1.0e-4
    if name == "all":
        assert conf == swap.conf
        model = build(SAMUTask, conf, tmp_path)
        assert model.encoder.output_size() == 128 == model.frontend.output_size()
