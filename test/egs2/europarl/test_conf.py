"""The full-size YAML files, each built and stepped from a copy with smaller models.

The copy names folders of the same kinds of models with other sizes; nothing else of the
files is changed.
"""

from pathlib import Path

import pytest
import yaml

from ..tiny_models import make_encoder

RECIPE = Path(__file__).parents[3] / "egs2" / "europarl" / "samu_st1"
XLS_R = "facebook/wav2vec2-xls-r-300m"
MBART = "facebook/mbart-large-50-many-to-many-mmt"
NLLB = "facebook/nllb-200-distilled-600M"
TRAIN = sorted(
    str(path.relative_to(RECIPE / "conf"))
    for path in (RECIPE / "conf").rglob("train_*.yaml")
)
ST = [name for name in TRAIN if "train_st" in name]
NINE = "de en es fr it nl pl pt ro".split()
# Rows of small vocabularies; the order of the first four is that of the models.
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "a", "b", "c"]
CODES = {
    MBART: "de_DE en_XX es_XX fr_XX it_IT nl_XX pl_PL pt_XX ro_RO".split(),
    NLLB: (
        "deu_Latn eng_Latn spa_Latn fra_Latn ita_Latn nld_Latn pol_Latn por_Latn "
        "ron_Latn"
    ).split(),
}
SIZES = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 64,
    "scale_embedding": True,
}


def read(name):
    """Read a YAML file of the recipe."""
    return yaml.safe_load((RECIPE / "conf" / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders that hold what the hub ids do, small; torch seed 0."""
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("models")
    make_encoder(folder / "xls_r")
    torch.manual_seed(0)
    size = len(PIECES) + len(CODES[MBART])
    mbart = transformers.MBartConfig(vocab_size=size, **SIZES)
    model = transformers.MBartForConditionalGeneration(mbart)
    model.save_pretrained(folder / "mbart")
    nllb = transformers.M2M100Config(vocab_size=size, **SIZES)
    model = transformers.M2M100ForConditionalGeneration(nllb)
    model.save_pretrained(folder / "nllb")
    return {
        XLS_R: str(folder / "xls_r"),
        MBART: str(folder / "mbart"),
        NLLB: str(folder / "nllb"),
    }


@pytest.fixture(scope="module")
def build(models, tmp_path_factory):
    """Return a function that dry-runs a YAML file and rebuilds its model."""
    from espnet_samu.tasks.samu import SAMUTask
    from espnet_samu.tasks.st import STTask

    def build(name, samu_model):
        folder = tmp_path_factory.mktemp("build")
        conf = read(name)
        cmd = ["--config", str(folder / "train.yaml"), "--output_dir", str(folder)]
        cmd += ["--dry_run", "true", "--ngpu", "0"]
        task = SAMUTask
        if "decoder" in conf:
            task = STTask
            tokens = [*PIECES, *CODES[conf["decoder_conf"]["model"]]]
            (folder / "tokens.txt").write_text("\n".join(tokens) + "\n")
            cmd += ["--token_list", str(folder / "tokens.txt"), "--token_type", "char"]
            cmd += ["--samu_model", str(samu_model)]
        for part in ("frontend_conf", "postencoder_conf", "decoder_conf"):
            if part in conf:
                conf[part]["model"] = models[conf[part]["model"]]
        (folder / "train.yaml").write_text(yaml.safe_dump(conf), "utf-8")
        task.main(cmd=cmd)
        # Not from the folders of the models: config.yaml is all it takes.
        return task.build_model_from_file(folder / "config.yaml")[0]

    return build


@pytest.fixture(scope="module")
def built(build, tmp_path_factory):
    """Models of all training files, and the student they start from."""
    import torch

    student = tmp_path_factory.mktemp("student") / "student.pth"
    built = {"train_samu.yaml": build("train_samu.yaml", None)}
    torch.save(built["train_samu.yaml"].state_dict(), student)
    for name in ST:
        built[name] = build(name, student)
    return built, student


def batch():
    """Two waveforms of 1 and 0.75 s."""
    import torch

    torch.manual_seed(0)
    lengths = torch.tensor([16000, 12000])
    return {"speech": torch.randn(2, 16000), "speech_lengths": lengths}


def step(model, conf, **data):
    """Take one step of the file's optimiser.

    Returns:
        Loss; names of the first-level parts that changed.
    """
    import torch

    assert conf["optim"] == "adam"
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, **conf["optim_conf"])
    loss, _, _ = model(**batch(), **data)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, conf["grad_clip"], error_if_nonfinite=True)
    optimizer.step()
    return loss.item(), {
        name.split(".")[0]
        for name, p in model.named_parameters()
        if not torch.equal(p, before[name])
    }


def test_no_file_is_forgotten():
    tuning = ["adapters", "lia", "lna_ed", "many", "nllb", "xlsr"]
    conf = ["train_samu.yaml", "train_st.yaml"]
    assert TRAIN == [*conf, *(f"tuning/train_st_{name}.yaml" for name in tuning)]


def test_distillation(built):
    import torch

    model = built[0]["train_samu.yaml"].train()
    embed = torch.nn.functional.normalize(torch.ones(2, 768), dim=-1)
    loss, parts = step(model, read("train_samu.yaml"), embed=embed)
    assert 0 < loss < 2  # 1 - cos
    assert parts == {"frontend", "pooling", "projector"}


@pytest.mark.parametrize("name", ST)
def test_translation(built, name):
    import math

    import torch

    is_frozen = name in ("train_st.yaml", "tuning/train_st_many.yaml")
    is_frozen |= name == "tuning/train_st_nllb.yaml"
    model = built[0][name].train()
    assert (model.sos, model.eos) == (2, 2)  # </s>
    data = {
        "text": torch.tensor([[4, 5], [6, -1]]),
        "text_lengths": torch.tensor([2, 1]),
        # A batch of two target languages: de and pl
        "tgt_lang": torch.tensor([[7], [13]]),
    }
    loss, parts = step(model, read(name), **data)
    # A mean over the tokens of a nearly uniform model of 16 tokens
    assert loss == pytest.approx(math.log(16), rel=0.5)
    wanted = {"decoder"} if is_frozen else {"frontend", "decoder"}
    if "lia" in name:
        wanted.add("postencoder")
    assert parts == wanted


@pytest.mark.parametrize("name", ST)
def test_default_target_language(built, name):
    from espnet_samu.text.languages import TargetLanguages

    conf = read(name)
    codes = CODES[conf["decoder_conf"]["model"]]
    tokens = [*PIECES, *codes]
    token = built[0][name].decoder.lang_token_id
    if name == "tuning/train_st_many.yaml":
        assert token is None
    else:
        assert token == tokens.index(codes[1])  # English
    # What utt2tgt_lang calls the nine languages, the model has.
    assert TargetLanguages(tokens).ids(NINE) == list(range(7, 16))


@pytest.mark.parametrize("name", [n for n in ST if "xlsr" not in n])
def test_student_fills_the_frontend(built, name):
    from espnet_samu.utils.init_param import check_init_param

    models, student = built
    assert read(name)["init_from_samu"]
    check_init_param([f"{student}:frontend:frontend"], models[name])


def test_baseline_is_not_distilled():
    assert not read("tuning/train_st_xlsr.yaml").get("init_from_samu", False)


@pytest.mark.parametrize("name", TRAIN)
def test_schedule_ends_with_the_training(name):
    conf = read(name)
    updates = conf["max_epoch"] * conf["num_iters_per_epoch"] // conf["accum_grad"]
    assert conf["scheduler_conf"]["max_steps"] == updates


def test_one_encoder_and_one_vocabulary():
    assert {read(name)["frontend_conf"]["model"] for name in TRAIN} == {XLS_R}
    decoders = {name: read(name)["decoder_conf"]["model"] for name in ST}
    assert decoders.pop("tuning/train_st_nllb.yaml") == NLLB
    assert set(decoders.values()) == {MBART}


def test_decoding(tmp_path):
    from espnet_samu.bin.st_inference import get_parser

    config = RECIPE / "conf" / "decode_st.yaml"
    args = get_parser().parse_args(
        ["--config", str(config), "--output_dir", str(tmp_path)]
        + ["--data_path_and_name_and_type", "wav.scp,speech,sound"]
    )
    assert (args.beam_size, args.maxlenratio) == (5, -200)
    assert args.normalize_length is True
