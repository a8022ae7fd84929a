"""The full-size YAML files, each built with a small model where its own is named."""

from pathlib import Path

import pytest
import yaml

from ..tiny_models import make_encoder

TEMPLATE = Path(__file__).parents[3] / "egs2" / "TEMPLATE" / "samu_st1"
XLS_R = "facebook/wav2vec2-xls-r-300m"
MBART = "facebook/mbart-large-50-many-to-many-mmt"
TRAIN = sorted(
    str(path.relative_to(TEMPLATE / "conf"))
    for path in (TEMPLATE / "conf").rglob("train_*.yaml")
)


def read(name):
    """Read a YAML file of the template."""
    return yaml.safe_load((TEMPLATE / "conf" / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders that hold what the two hub ids do, small; torch seed 0."""
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("models")
    make_encoder(folder / "xls_r")
    torch.manual_seed(0)
    # SentencePiece's order, as in mBART-50's sentencepiece.bpe.model.
    pieces = ["<unk>", "<s>", "</s>", "▁", "▁good", "▁morning", "g", "o", "d"]
    tokenizer = transformers.MBart50Tokenizer(vocab=[(p, -2.0) for p in pieces])
    tokenizer.save_pretrained(folder / "mbart")
    mbart = transformers.MBartConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=64,
        scale_embedding=True,
    )
    model = transformers.MBartForConditionalGeneration(mbart)
    model.save_pretrained(folder / "mbart")
    return {XLS_R: str(folder / "xls_r"), MBART: str(folder / "mbart")}


@pytest.fixture(scope="module")
def token_list(models, tmp_path_factory):
    """What stage 5 makes."""
    from espnet2.bin.hugging_face_export_vocabulary import main

    output = tmp_path_factory.mktemp("tokens") / "tokens.txt"
    main(["--model_name_or_path", models[MBART], "--output", str(output)])
    return output


@pytest.fixture(scope="module")
def build(models, token_list, tmp_path_factory):
    """Return a function that dry-runs a YAML file and rebuilds its model."""
    from espnet_samu.tasks.samu import SAMUTask
    from espnet_samu.tasks.st import STTask

    def build(name, samu_model):
        folder = tmp_path_factory.mktemp("build")
        conf = read(name)
        for part in ("frontend_conf", "decoder_conf"):
            if part in conf:
                conf[part]["model"] = models[conf[part]["model"]]
        (folder / "train.yaml").write_text(yaml.safe_dump(conf), "utf-8")
        cmd = ["--config", str(folder / "train.yaml"), "--output_dir", str(folder)]
        cmd += ["--dry_run", "true", "--ngpu", "0"]
        task = SAMUTask
        if "decoder" in conf:
            task = STTask
            cmd += ["--token_list", str(token_list), "--token_type", "hugging_face"]
            cmd += ["--bpemodel", models[MBART], "--samu_model", str(samu_model)]
        task.main(cmd=cmd)
        # Not from the folders of the models: config.yaml is all it takes.
        return task.build_model_from_file(folder / "config.yaml")[0]

    return build


@pytest.fixture(scope="module")
def built(build, tmp_path_factory):
    """Models of all training files."""
    import torch

    student = tmp_path_factory.mktemp("student") / "student.pth"
    built = {"train_samu.yaml": build("train_samu.yaml", None)}
    torch.save(built["train_samu.yaml"].state_dict(), student)
    for name in TRAIN:
        if name not in built:
            built[name] = build(name, student)
    return built, student


def batch():
    """Two waveforms of 1 and 0.75 s."""
    import torch

    torch.manual_seed(0)
    lengths = torch.tensor([16000, 12000])
    return {"speech": torch.randn(2, 16000), "speech_lengths": lengths}


def trained(model):
    """Names of the first-level parts that have a gradient."""
    return {
        name.split(".")[0]
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().sum() > 0
    }


def test_no_file_is_forgotten():
    names = ("adapters", "lna_ed", "lora", "samu_weight")
    tuning = [f"tuning/train_st_{n}.yaml" for n in names]
    baseline = "tuning/train_st_xlsr.yaml"
    assert TRAIN == ["train_samu.yaml", "train_st.yaml", *tuning, baseline]


def test_distillation(built):
    import torch

    model = built[0]["train_samu.yaml"].train()
    assert model.frontend.dtype == torch.bfloat16
    assert model.frontend.family.normalize
    embed = torch.nn.functional.normalize(torch.ones(2, 768), dim=-1)
    loss, stats, weight = model(**batch(), embed=embed)
    loss.backward()
    assert 0 < loss < 2  # 1 - cos
    assert trained(model) == {"frontend", "pooling", "projector"}
    convolutions = model.frontend.model.feature_extractor.parameters()
    assert not any(p.requires_grad for p in convolutions)


@pytest.mark.parametrize(
    "name, parts",
    [
        ("train_st.yaml", {"decoder"}),
        ("tuning/train_st_adapters.yaml", {"frontend", "decoder"}),
        ("tuning/train_st_lna_ed.yaml", {"frontend", "decoder"}),
        ("tuning/train_st_lora.yaml", {"frontend", "decoder"}),
        ("tuning/train_st_samu_weight.yaml", {"frontend", "decoder"}),
        ("tuning/train_st_xlsr.yaml", {"frontend", "decoder"}),
    ],
)
def test_translation(built, token_list, name, parts):
    import torch

    tokens = token_list.read_text("utf-8").splitlines()
    model = built[0][name].train()
    assert (model.sos, model.eos) == (2, 2)  # </s>
    assert tokens[model.decoder.lang_token_id] == "en_XX"
    text = torch.tensor([[4, 5], [5, -1]])
    loss, _, _ = model(**batch(), text=text, text_lengths=torch.tensor([2, 1]))
    loss.backward()
    assert torch.isfinite(loss)
    assert trained(model) == parts


@pytest.mark.parametrize("name", [n for n in TRAIN if "st" in n and "xlsr" not in n])
def test_student_fills_the_frontend(built, name):
    from espnet_samu.utils.init_param import check_init_param

    models, student = built
    assert read(name)["init_from_samu"]
    check_init_param([f"{student}:frontend:frontend"], models[name])


@pytest.mark.parametrize("name", TRAIN)
def test_schedule_ends_with_the_training(name):
    conf = read(name)
    updates = conf["max_epoch"] * conf["num_iters_per_epoch"] // conf["accum_grad"]
    assert conf["scheduler_conf"]["max_steps"] == updates


def test_one_encoder_and_one_vocabulary():
    names = {read(name)["frontend_conf"]["model"] for name in TRAIN}
    assert names == {XLS_R}
    run = (TEMPLATE / "run.sh").read_text("utf-8")
    assert f"\nmbart={MBART}\n" in run
    decoders = {read(name)["decoder_conf"]["model"] for name in TRAIN if "st" in name}
    assert decoders == {MBART}


def test_decoding(built, tmp_path):
    from espnet_samu.bin.st_inference import get_parser

    config = TEMPLATE / "conf" / "decode_st.yaml"
    args = get_parser().parse_args(
        ["--config", str(config), "--output_dir", str(tmp_path)]
        + ["--data_path_and_name_and_type", "wav.scp,speech,sound"]
    )
    assert (args.beam_size, args.maxlenratio) == (5, -200)
    assert args.normalize_length is True
