"""Tests of espnet_samu.tasks.st_builder."""

import copy
from argparse import Namespace

import pytest
import torch
import yaml
from espnet2.tasks.st import STTask as HostTask
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed

from espnet_samu.tasks import st_builder
from espnet_samu.tasks.st import STTask
from espnet_samu.tasks.st_builder import (
    check_student_encoder,
    check_student_settings,
    student_specs,
)
from espnet_samu.utils.base_weights import checksum, save_base


@pytest.fixture
def save(tmp_path):
    """Saves a student with an encoder of so many layers."""

    def make(n, wrap=lambda state: state):
        layers = [torch.nn.Linear(2, 2) for _ in range(n)]
        parts = {
            "frontend": torch.nn.Linear(2, 2),
            "encoder": torch.nn.Sequential(*layers),
            "encoder_like": torch.nn.Linear(2, 2),
        }
        state = torch.nn.ModuleDict(parts).state_dict()
        torch.save(wrap(state), tmp_path / f"{n}.pth")
        return str(tmp_path / f"{n}.pth")

    return make


def test_specs(save):
    file = save(0)
    assert student_specs(Namespace(samu_model=file)) == [f"{file}:frontend:frontend"]
    # DeepSpeed's checkpoints have the state one level below
    for wrap in (lambda state: state, lambda state: {"module": state}):
        file = save(1, wrap)
        specs = [f"{file}:frontend:frontend", f"{file}:encoder:encoder"]
        assert student_specs(Namespace(samu_model=file)) == specs
    for none in (None, "none.pth"):
        with pytest.raises(FileNotFoundError, match=f"there is no student at '{none}'"):
            student_specs(Namespace(samu_model=none))


def test_nothing_is_lost(save):
    encoder = torch.nn.Sequential(torch.nn.Linear(2, 2))
    model = torch.nn.ModuleDict({"encoder": encoder})
    check_student_encoder(save(0), model)
    check_student_encoder(save(1), model)
    with pytest.raises(ValueError, match="2 parameters .* place in encoder: Sequent"):
        check_student_encoder(save(2), model)


def test_encoder_that_was_frozen(save, tmp_path):
    """With save_trained_only its parameters are in a file beside the student."""
    file = save(1)
    state = torch.load(file)
    frozen = {k: state.pop(k) for k in list(state) if k.startswith("encoder.")}
    torch.save(state, file)
    save_base(frozen, tmp_path / "base.pth")
    config = {"base_weights": {"file": "base.pth", "sha256": checksum(frozen)}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    specs = [f"{file}:frontend:frontend", f"{file}:encoder:encoder"]
    assert student_specs(Namespace(samu_model=file)) == specs
    model = torch.nn.ModuleDict({"encoder": torch.nn.Identity()})
    with pytest.raises(ValueError, match="2 parameters of the student's encoder"):
        check_student_encoder(file, model)


PART = {
    "input_layer": "linear",
    "output_size": 16,
    "attention_heads": 2,
    "linear_units": 8,
    "num_blocks": 1,
    "dropout_rate": 0.0,
    "positional_dropout_rate": 0.0,
}
DECODER = {"num_blocks": 1, "linear_units": 8, "attention_heads": 2}
CONFS = {
    "plain": {},
    "all losses": {
        "model_conf": {
            "asr_weight": 0.3,
            "mtlalpha": 0.5,
            "st_mtlalpha": 0.3,
            "report_cer": False,
            "report_wer": False,
        },
        "preencoder": "linear",
        "preencoder_conf": {"input_size": 16, "output_size": 12},
        "encoder": "transformer",
        "encoder_conf": PART,
        "hier_encoder": "transformer",
        "hier_encoder_conf": PART,
        "postencoder": "length_adaptor",
        "postencoder_conf": {"length_adaptor_n_layers": 1},
        "extra_asr_decoder": "transformer",
        "extra_asr_decoder_conf": DECODER,
    },
    "multi-decoder": {
        "model_conf": {
            "asr_weight": 0.3,
            "mtlalpha": 0.3,
            "report_cer": False,
            "report_wer": False,
        },
        "decoder": "transformer_md",
        "decoder_conf": {**DECODER, "use_speech_attn": True},
        "encoder": "transformer",
        "encoder_conf": PART,
        "extra_asr_decoder": "transformer_md",
        "extra_asr_decoder_conf": {**DECODER, "use_speech_attn": False},
        "md_encoder": "transformer",
        "md_encoder_conf": PART,
    },
}


@pytest.fixture
def parse(st_cmd, tmp_path):
    """Makes args of the task."""

    def make(src=True, **conf):
        conf["model_conf"] = {"report_bleu": False, **conf.get("model_conf", {})}
        cmd = st_cmd(tmp_path, src=src, **conf)
        return STTask.get_parser().parse_args(cmd)

    return make


@pytest.fixture(scope="module")
def texts():
    """Token ids of translations and transcripts of 1 to 3 tokens."""
    ids = torch.tensor([[3, 4, 5], [6, -1, -1], [7, 8, -1], [9, 3, 4]])
    lengths = torch.tensor([3, 1, 2, 3])
    return ids, lengths, ids.clone(), lengths.clone()


@pytest.mark.parametrize("name", CONFS)
def test_is_as_espnet_builds_it(parse, batch, texts, name):
    args = parse(**copy.deepcopy(CONFS[name]))
    set_all_random_seed(1)
    host = HostTask.build_model(copy.deepcopy(args)).eval()
    model = STTask.build_model(args).eval()
    shapes = {k: v.shape for k, v in host.state_dict().items()}
    assert {k: v.shape for k, v in model.state_dict().items()} == shapes
    model.load_state_dict(host.state_dict())
    set_all_random_seed(1)
    expected = host(*batch, *(t.clone() for t in texts))
    set_all_random_seed(1)
    found = model(*batch, *(t.clone() for t in texts))
    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=0)
    assert found[1].keys() == expected[1].keys()


@pytest.mark.parametrize(
    "model_conf, sizes",
    [
        ({}, []),
        ({"asr_weight": 0.3, "mtlalpha": 0.0}, []),
        # 29 tokens of the transcripts, 30 of the translations
        ({"asr_weight": 0.3, "mtlalpha": 0.5}, [29]),
        ({"asr_weight": 0.0, "mtlalpha": 0.5, "st_mtlalpha": 0.2}, [30]),
    ],
)
def test_ctc_only_where_it_is_used(parse, monkeypatch, model_conf, sizes):
    built = []
    ctc = st_builder.CTC
    monkeypatch.setattr(
        st_builder, "CTC", lambda odim, *a, **k: (built.append(odim), ctc(odim, *a))[1]
    )
    STTask.build_model(
        parse(
            model_conf=model_conf,
            extra_asr_decoder="transformer",
            extra_asr_decoder_conf=DECODER,
        )
    )
    assert built == sizes


def test_ctc_over_transcripts(parse, batch, texts):
    """The auxiliary loss by hand."""
    model_conf = {"asr_weight": 0.3, "mtlalpha": 1.0, "report_cer": False}
    model = STTask.build_model(parse(model_conf=model_conf)).eval()
    loss, stats, _ = model(*batch, *(t.clone() for t in texts))
    frames, lengths = model.encode(*batch)
    log_probs = model.ctc.ctc_lo(frames).log_softmax(-1).transpose(0, 1)
    expected = torch.nn.functional.ctc_loss(
        log_probs, texts[2].clamp(min=0), lengths, texts[3], reduction="sum"
    )
    torch.testing.assert_close(stats["loss_asr"][0], expected / 4)
    torch.testing.assert_close(
        loss[0], 0.7 * stats["loss_st_att"][0] + 0.3 * expected / 4
    )
    loss.backward()
    assert model.ctc.ctc_lo.weight.grad.abs().sum() > 0


ADAPTOR = {
    "postencoder": "length_adaptor",
    "postencoder_conf": {
        "length_adaptor_n_layers": 2,
        "input_layer": "linear",
        "output_size": 12,
        "return_int_enc": True,
    },
}


def test_ctc_reads_what_the_length_adaptor_reads(parse, batch, texts):
    model_conf = {
        "asr_weight": 0.3,
        "mtlalpha": 1.0,
        "st_mtlalpha": 0.3,
        "report_cer": False,
    }
    args = parse(model_conf=model_conf, **copy.deepcopy(ADAPTOR))
    model = STTask.build_model(args).eval()
    frames, lengths, inner, inner_lengths = model.encode(*batch, return_int_enc=True)
    assert frames.shape[2] == 12 and inner.shape[2] == 16
    assert lengths.tolist() == [n // 4 for n in inner_lengths.tolist()]
    # 16: the encoder's
    assert model.ctc.ctc_lo.weight.shape == (29, 16)
    assert model.st_ctc.ctc_lo.weight.shape == (30, 16)
    assert torch.isfinite(model(*batch, *(t.clone() for t in texts))[0])
    args = parse(model_conf=model_conf, **copy.deepcopy(ADAPTOR))
    args.postencoder_conf["return_int_enc"] = False
    with pytest.raises(ValueError, match="makes 12 .* 16, .* {return_int_enc: true}"):
        STTask.build_model(args)


@pytest.mark.parametrize("asr_weight", [0.0, 0.3])
def test_transformer_as_postencoder(parse, batch, texts, tmp_path, asr_weight):
    import transformers

    config = transformers.MBartConfig(
        vocab_size=8,
        d_model=8,
        encoder_layers=1,
        encoder_attention_heads=2,
        encoder_ffn_dim=8,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=8,
        max_position_embeddings=256,
    )
    transformers.MBartModel(config).save_pretrained(tmp_path / "mbart")
    model_conf = {"asr_weight": asr_weight, "mtlalpha": 1.0, "report_cer": False}
    model = STTask.build_model(
        parse(
            model_conf=model_conf,
            postencoder="hugging_face_transformers",
            postencoder_conf={"model_name_or_path": f"{tmp_path}/mbart"},
        )
    ).eval()
    loss, _, _ = model(*batch, *(t.clone() for t in texts))
    loss.backward()
    assert torch.isfinite(loss) and model.postencoder.linear_in.weight.grad is not None
    frames, lengths = model.encode(*batch)
    assert frames.shape == (4, lengths.max(), 8)
    for i, n in enumerate(batch[1]):
        alone, _ = model.encode(batch[0][i : i + 1, :n], batch[1][i : i + 1])
        torch.testing.assert_close(frames[i, : lengths[i]], alone[0], rtol=0, atol=1e-5)


STUDENT = {
    "frontend_conf": {
        "layer": 2,
        "average_frames": 4,
        "dtype": "bfloat16",
        "model_conf": {
            "conv_stride": [5, 2],
            "do_stable_layer_norm": True,
            "max_source_positions": 400,
            "adaptor_stride": 8,
            "speech_encoder_chunk_size": 20000,
        },
    },
    "adapters": {"encoder": {"type": "lora", "alpha": 16}},
}


@pytest.mark.parametrize(
    "part, name, value, shown",
    [
        ("frontend_conf", "layer", None, "frontend_conf.layer 2 -> None"),
        ("model_conf", "conv_stride", [2, 5], r"conv_stride \[5, 2\] -> \[2, 5\]"),
        ("model_conf", "do_stable_layer_norm", False, "True -> False"),
        ("model_conf", "max_source_positions", 1500, r"400 -> 1500; .*window_seconds"),
        ("model_conf", "adaptor_stride", 4, "adaptor_stride 8 -> 4"),
        ("model_conf", "speech_encoder_chunk_size", 50, "chunk_size 20000 -> 50"),
        ("adapters", "alpha", 8, "adapters.encoder.alpha 16 -> 8"),
        ("frontend_conf", "average_frames", 1, "average_frames 4 -> 1"),
        ("frontend_conf", "dtype", "float32", None),
        ("frontend_conf", "layer_mix", False, None),
    ],
)
def test_a_student_makes_the_same_frames(tmp_path, part, name, value, shown):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(STUDENT))
    args = Namespace(**copy.deepcopy(STUDENT))
    check_student_settings(str(tmp_path / "x.pth"), args)
    {
        "frontend_conf": args.frontend_conf,
        "model_conf": args.frontend_conf["model_conf"],
        "adapters": args.adapters["encoder"],
    }[part][name] = value
    if shown is None:
        check_student_settings(str(tmp_path / "x.pth"), args)
    else:
        with pytest.raises(ValueError, match=shown):
            check_student_settings(str(tmp_path / "x.pth"), args)
    check_student_settings("none/x.pth", args)
