"""The YAML files, each built and trained a step with small models where its own are."""

import re

import pytest
import yaml

from ..tiny_models import make_decoder, make_encoder, make_seamless
from .conftest import RECIPE, ROOT

CONF = RECIPE / "conf"
TEMPLATE = ROOT / "egs2" / "TEMPLATE" / "samu_st1" / "conf"
MBART = "facebook/mbart-large-50-many-to-many-mmt"
NLLB = "facebook/nllb-200-distilled-600M"
XLS_R = [f"facebook/wav2vec2-xls-r-{size}" for size in ("300m", "1b", "2b")]
W2V_BERT = "facebook/w2v-bert-2.0"
SEAMLESS = "facebook/seamless-m4t-v2-large"
NAMES = sorted(str(path.relative_to(CONF)) for path in CONF.rglob("train_*.yaml"))
SAMU = [name for name in NAMES if "samu" in name]
ST = [name for name in NAMES if "samu" not in name]
# Parts that are trained.
TRAINED = {
    "train_st.yaml": {"decoder"},
    "tuning/train_st_adapters.yaml": {"frontend", "decoder"},
    "tuning/train_st_lia.yaml": {"frontend", "postencoder", "decoder"},
    "tuning/train_st_lna_ed.yaml": {"frontend", "decoder"},
    "tuning/train_st_many.yaml": {"decoder"},
    "tuning/train_st_nllb.yaml": {"decoder"},
    "tuning/train_st_s3prl.yaml": {"frontend", "decoder"},
    "tuning/train_st_seamless.yaml": {"frontend", "decoder"},
    "tuning/train_st_w2v_bert.yaml": {"decoder"},
    "tuning/train_st_xlsr.yaml": {"frontend", "decoder"},
    "tuning/train_st_xlsr_1b.yaml": {"frontend", "decoder"},
    "tuning/train_st_xlsr_2b.yaml": {"frontend", "decoder"},
}


def read(name):
    """Read a YAML file of the recipe."""
    return yaml.safe_load((CONF / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders that hold what the hub ids do, small; torch seed 0."""
    import sentencepiece
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("models")
    make_encoder(folder / "xls_r")
    make_decoder(folder / "mbart")
    torch.manual_seed(0)
    w2v_bert = transformers.Wav2Vec2BertConfig(
        hidden_size=128,  # masks of 64 channels leave some
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        conv_depthwise_kernel_size=7,
    )
    transformers.Wav2Vec2BertModel(w2v_bert).save_pretrained(folder / "w2v_bert")

    pieces = (folder / "mbart" / "sentencepiece.bpe.model").read_bytes()
    size = sentencepiece.SentencePieceProcessor(model_proto=pieces).get_piece_size()
    nllb = transformers.M2M100Config(
        vocab_size=size + 1 + 202 + 1,  # <pad>, codes, <mask>
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
    model = transformers.M2M100ForConditionalGeneration(nllb)
    model.save_pretrained(folder / "nllb")
    (folder / "nllb" / "sentencepiece.bpe.model").write_bytes(pieces)
    make_seamless(folder / "seamless")
    return {
        **dict.fromkeys(XLS_R, str(folder / "xls_r")),
        W2V_BERT: str(folder / "w2v_bert"),
        MBART: str(folder / "mbart"),
        NLLB: str(folder / "nllb"),
        SEAMLESS: str(folder / "seamless"),
    }


@pytest.fixture(scope="module")
def vocabularies(models, tmp_path_factory):
    """What stage 5 makes of the decoders."""
    from espnet_samu.bin.trim_vocab import main

    folder = tmp_path_factory.mktemp("vocabularies")
    (folder / "text").write_text("a good morning\nb guten morgen\n")
    for name in (MBART, NLLB, SEAMLESS):
        added = "ca_ES=es_XX,cy_GB=en_XX" if name == MBART else ""
        command = ["--model", models[name], "--text", str(folder / "text")]
        command += ["--output_dir", str(folder / name), "--add_languages", added]
        main(command)
    return {name: folder / name for name in (MBART, NLLB, SEAMLESS)}


@pytest.fixture(scope="module")
def built(models, vocabularies, tmp_path_factory):
    """Models and options of all files, built anew from their config.yaml."""
    import torch

    from espnet_samu.tasks.samu import SAMUTask
    from espnet_samu.tasks.st import STTask

    built = {}
    for name in [*SAMU, *ST]:
        folder = tmp_path_factory.mktemp("build")
        conf = read(name)
        frontend = conf["frontend_conf"]
        if conf["frontend"] == "s3prl":
            frontend["frontend_conf"] = {
                "upstream": "hf_wav2vec2_custom",
                "path_or_url": models[XLS_R[0]],
            }
            frontend["download_dir"] = str(folder)
        else:
            frontend["model"] = models[frontend["model"]]
        cmd = ["--config", str(folder / "train.yaml"), "--output_dir", str(folder)]
        cmd += ["--dry_run", "true", "--ngpu", "0"]
        task = SAMUTask
        if "decoder" in conf:
            task = STTask
            vocabulary = vocabularies[conf["decoder_conf"]["model"]]
            conf["decoder_conf"]["model"] = str(vocabulary)
            if "postencoder" in conf:
                postencoder = conf["postencoder_conf"]
                postencoder["model"] = models[postencoder["model"]]
            cmd += ["--token_list", str(vocabulary / "tokens.txt")]
            cmd += ["--token_type", "bpe", "--bpemodel", str(vocabulary / "bpe.model")]
            if conf.get("init_from_samu"):
                student = "_w2v_bert" if "w2v_bert" in name else ""
                cmd += ["--samu_model", built[f"train_samu{student}.yaml"][2]]
        (folder / "train.yaml").write_text(yaml.safe_dump(conf), "utf-8")
        task.main(cmd=cmd)
        model, args = task.build_model_from_file(folder / "config.yaml")
        torch.save(model.state_dict(), folder / "model.pth")
        built[name.rpartition("/")[2]] = (model, args, str(folder / "model.pth"))
    return built


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


def step(model, **texts):
    """A step of the optimiser; the loss."""
    import torch

    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=1e-4)
    loss, _, _ = model(**batch(), **texts)
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    return float(loss.detach())


def test_no_file_is_forgotten():
    assert SAMU == ["train_samu.yaml", "tuning/train_samu_w2v_bert.yaml"]
    assert ST == [*TRAINED]


@pytest.mark.parametrize("name", SAMU)
def test_distillation(built, name):
    import torch

    model = built[name.rpartition("/")[2]][0]
    assert model.frontend.dtype == torch.bfloat16
    embed = torch.nn.functional.normalize(torch.ones(2, 768), dim=-1)
    assert 0 < step(model, embed=embed) < 2  # 1 - cos
    assert trained(model) == {"frontend", "pooling", "projector"}


@pytest.mark.parametrize("name", ST)
def test_translation(built, vocabularies, name):
    import torch

    from espnet_samu.text.languages import TargetLanguages

    model, args, _ = built[name.rpartition("/")[2]]
    decoder = read(name)["decoder_conf"]["model"]
    tokens = (vocabularies[decoder] / "tokens.txt").read_text("utf-8").splitlines()
    assert tokens[model.sos] == tokens[model.eos] == "</s>"
    english = {MBART: "en_XX", NLLB: "eng_Latn", SEAMLESS: "__eng__"}[decoder]
    assert tokens[model.decoder.lang_token_id] == english
    texts = {"text": torch.tensor([[4, 5], [5, -1]])}
    texts["text_lengths"] = torch.tensor([2, 1])
    if "many" in name:
        rows = TargetLanguages(tokens).ids(["zh-CN", "cy"])
        texts["tgt_lang"] = torch.tensor(rows)[:, None]
    step(model, **texts)
    assert trained(model) == TRAINED[name]


def test_the_upstream_of_s3prl_is_frozen_by_its_name(built):
    (prefix,) = read("tuning/train_st_s3prl.yaml")["freeze_param"]
    model = built["train_st_s3prl.yaml"][0]
    names = [n for n, _ in model.named_parameters() if n.startswith("frontend.")]
    rest = [name for name in names if not name.startswith(f"{prefix}.")]
    assert rest == ["frontend.featurizer.weights"] and len(names) > 10


def test_gradient_checkpointing(built):
    for size in ("1b", "2b"):
        assert (
            built[f"train_st_xlsr_{size}.yaml"][0]
            .frontend.model.encoder.layers[0]
            .gradient_checkpointing
        )


@pytest.mark.parametrize("decoder", [MBART, NLLB, SEAMLESS])
def test_target_languages_of_the_corpus(vocabularies, decoder):
    from espnet_samu.corpora.covost2_directions import FROM_ENGLISH
    from espnet_samu.text.languages import TargetLanguages

    tokens = (vocabularies[decoder] / "tokens.txt").read_text("utf-8").splitlines()
    rows = TargetLanguages(tokens).ids([*FROM_ENGLISH, "en"])
    assert len(set(rows)) == 16


@pytest.mark.parametrize("name", [n for n in ST if read(n).get("init_from_samu")])
def test_student_fills_the_frontend(built, name):
    from espnet_samu.utils.init_param import check_init_param

    model, args, _ = built[name.rpartition("/")[2]]
    check_init_param([f"{args.samu_model}:frontend:frontend"], model)


@pytest.mark.parametrize("name", NAMES)
def test_schedule_ends_with_the_training(name):
    conf = read(name)
    updates = conf["max_epoch"] * conf["num_iters_per_epoch"] // conf["accum_grad"]
    assert conf["scheduler_conf"]["max_steps"] == updates


def test_baselines_of_all_sizes_see_the_same():
    sizes = [read(f"tuning/train_st_xlsr{size}.yaml") for size in ("", "_1b", "_2b")]
    for conf, model in zip(sizes, XLS_R):
        assert conf["frontend_conf"]["model"] == model
        assert conf["batch_bins"] * conf["accum_grad"] == 32000000
    changed = {"frontend_conf", "batch_bins", "accum_grad", "num_iters_per_epoch"}
    for key in set(sizes[0]) - changed:
        assert sizes[0][key] == sizes[1][key] == sizes[2][key], key


@pytest.mark.parametrize(
    "name",
    ["train_samu", "train_st"]
    + [f"tuning/train_st_{n}" for n in ("adapters", "lna_ed", "xlsr")],
)
def test_only_batches_differ_from_the_template(name):
    ours = read(f"{name}.yaml")
    theirs = yaml.safe_load((TEMPLATE / f"{name}.yaml").read_text("utf-8"))
    if "samu" not in name:
        assert ours.pop("batch_bins") != theirs.pop("batch_bins")
    assert ours == theirs


def test_shares_of_english_that_the_comment_says():
    from espnet_samu.corpora.covost2_directions import read_published

    published = read_published(CONF / "covost2_counts.tsv")
    alpha = read("tuning/train_st_many.yaml")["upsampling_factor"]
    sizes = {lang: n["train"] for lang, n in published.items()}
    sizes["en"] *= 15
    weights = {lang: n**alpha for lang, n in sizes.items()}
    share = weights["en"] / sum(weights.values())
    text = (CONF / "tuning/train_st_many.yaml").read_text("utf-8")
    said = re.search(r"\((\d+) % of the draws", text)
    assert round(100 * share) == int(said[1])


def test_decoding(tmp_path):
    from espnet_samu.bin.st_inference import get_parser

    args = get_parser().parse_args(
        ["--config", str(CONF / "decode_st.yaml"), "--output_dir", str(tmp_path)]
        + ["--data_path_and_name_and_type", "wav.scp,speech,sound"]
    )
    assert (args.beam_size, args.maxlenratio) == (5, -200)
    assert args.normalize_length is True


def test_lists():
    from espnet_samu.corpora.covost2_directions import (
        HIGH,
        INTO_ENGLISH,
        read_languages,
    )
    from espnet_samu.scoring.transfer_gap import read_groups

    groups = read_groups(CONF / "language_groups.tsv")
    assert set(groups) == {*INTO_ENGLISH, "en"}
    assert groups["en"] not in ("high", "mid", "low")
    assert {lang for lang, group in groups.items() if group == "high"} == set(HIGH)
    assert [[*groups.values()].count(group) for group in ("mid", "low")] == [5, 12]
    langs = read_languages(CONF / "samu_langs.tsv")
    assert len(langs) == len(set(langs)) == 53
    assert {*INTO_ENGLISH, "en"} < set(langs)


def test_published_figures():
    """Means as published are those of the languages as published, where both are."""
    from espnet_samu.report.results import read_published
    from espnet_samu.scoring.directions import Direction
    from espnet_samu.scoring.transfer_gap import group_languages, read_groups

    groups = read_groups(CONF / "language_groups.tsv")
    systems = {one.name: one for one in read_published(CONF / "published.tsv")}
    assert len(systems) == 9
    for name in ("XLS-R 0.3B", "XLS-R 2B"):
        directions = {
            lang: Direction(lang, lang, "en") for lang in groups if lang != "en"
        }
        members = {**group_languages(directions, groups), "average": [*directions]}
        assert len(directions) == 21
        means = {
            mean: systems[name].mean(mean, [directions[lang] for lang in langs], False)
            for mean, langs in members.items()
        }
        published = {mean: systems[name].scores[mean] for mean in means}
        assert means == pytest.approx(published, abs=0.06)
    assert systems["AudioPaLM-2-8B"].scores == {"average": 37.8}
    text = (RECIPE / "README.md").read_text("utf-8")
    for one in systems.values():
        figures = [one.scores.get(m) for m in ("high", "mid", "low", "average")]
        cells = ["-" if figure is None else str(figure) for figure in figures]
        assert f"| {one.name} | {' | '.join(cells)} |" in text
