import shutil

import numpy as np
import pytest
import torch
import yaml
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed
from sentencepiece import sentencepiece_model_pb2

from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.tasks.st import STTask, TranslationPreprocessor
from espnet_samu.text.languages import TargetLanguages
from espnet_samu.text.tokenizer_files import own_tokenizer
from espnet_samu.utils.kaldi_io import write_text

LANGUAGES = TargetLanguages(["a", "b", "de_DE", "en_XX"])

TEXTS = ("ab", "bcd", "e", "dcba")  # of the data folder


def build_before(exp):
    """The model as it was before its training."""
    set_all_random_seed(3)
    return STTask.build_model_from_file(exp / "config.yaml")[0]


def token_ids(model):
    rows = [[model.token_list.index(c) for c in text] for text in TEXTS]
    lengths = torch.tensor([len(row) for row in rows])
    padded = [torch.tensor(row) for row in rows]
    ids = torch.nn.utils.rnn.pad_sequence(padded, batch_first=True, padding_value=-1)
    return ids, lengths


def test_one_update(st_exp, batch):
    model = build_before(st_exp)
    model.train()
    text, text_lengths = token_ids(model)
    loss, stats, weight = model(*batch, text, text_lengths)

    # the loss by hand: ESPnet's is summed over tokens, divided by the batch
    total = 0.0
    for i in range(4):
        words = text[i, : text_lengths[i]].tolist()
        n = batch[1][i]
        frames, lengths = model.encode(batch[0][i : i + 1, :n], batch[1][i : i + 1])
        ids = torch.tensor([[model.sos, *words]])
        logits, _ = model.decoder(frames, lengths, ids, torch.tensor([len(words) + 1]))
        target = torch.tensor([*words, model.eos])
        total += torch.nn.functional.cross_entropy(logits[0], target, reduction="sum")
    torch.testing.assert_close(loss[0], total / 4, rtol=1e-5, atol=1e-5)
    assert 0 <= stats["acc"] <= 1 and weight == 4

    before = {k: v.clone() for k, v in model.state_dict().items()}
    loss.backward()
    trained = torch.load(st_exp / "1epoch.pth")
    moved = set()
    for name, p in model.named_parameters():
        value = p.detach() - 0.1 * p.grad if p.requires_grad else p.detach()
        torch.testing.assert_close(trained[name], value, rtol=1e-3, atol=1e-4)
        if not torch.equal(trained[name], before[name]):
            moved.add(name.split(".")[0])
    assert moved == {"frontend", "decoder"}


@pytest.mark.parametrize("src", [False, True])
def test_with_and_without_transcripts(st_cmd, tmp_path, src):
    stats = tmp_path / "stats"
    model_conf = {"report_bleu": False, "extract_feats_in_collect_stats": False}
    conf = {"src": src, "model_conf": model_conf}
    STTask.main(cmd=st_cmd(stats, "--collect_stats", "true", **conf))
    shapes = (stats / "train" / "text_shape").read_text().split("\n")[:4]
    assert shapes == ["utt1 2", "utt2 3", "utt3 1", "utt4 4"]
    assert (stats / "train" / "src_text_shape").exists() == src
    STTask.main(cmd=st_cmd(tmp_path / "exp", **conf))
    model, args = STTask.build_model_from_file(None, tmp_path / "exp" / "1epoch.pth")
    # <blank>, <unk>, 26 letters, <sos/eos>
    assert len(args.src_token_list) == len(model.src_token_list) == (29 if src else 0)
    # transcripts that no loss uses change nothing
    state = model.state_dict()
    assert not any(k.startswith(("ctc", "extra_asr_decoder")) for k in state)


def test_transcripts_are_needed_for_asr(st_cmd, tmp_path):
    model_conf = {"asr_weight": 0.3}
    with pytest.raises(ValueError, match="asr_weight > 0 needs transcripts"):
        STTask.main(cmd=st_cmd(tmp_path, "--dry_run", "true", model_conf=model_conf))


@pytest.mark.parametrize("freeze", [False, True])
def test_init_from_samu(st_cmd, samu_exp, frontend_conf, tmp_path, freeze, monkeypatch):
    student = torch.load(samu_exp / "1epoch.pth")
    read = []

    def load(file, *args, **kwargs):
        read.append((str(file), str(kwargs.get("map_location"))))
        return torch_load(file, *args, **kwargs)

    torch_load = torch.load
    monkeypatch.setattr(torch, "load", load)
    cmd = st_cmd(
        tmp_path,
        "--samu_model",
        f"{samu_exp}/1epoch.pth",
        init_from_samu=True,
        frontend_conf={**frontend_conf, "freeze": freeze},
        # nothing moves without a learning rate
        optim_conf={"lr": 0.1 if freeze else 0.0},
    )
    STTask.main(cmd=cmd)
    monkeypatch.undo()
    # A student may be of 1 B parameters: once, and names and shapes besides.
    places = [place for file, place in read if file == f"{samu_exp}/1epoch.pth"]
    assert sorted(places) == ["cpu"] + ["meta"] * (len(places) - 1)
    state = torch.load(tmp_path / "1epoch.pth")
    names = [name for name in state if name.startswith("frontend.")]
    assert names == [name for name in student if name.startswith("frontend.")]
    assert all(torch.equal(state[name], student[name]) for name in names)
    # and another start is another frontend
    fresh = build_before(tmp_path).state_dict()
    assert not all(torch.equal(state[name], fresh[name]) for name in names)


def test_init_from_samu_is_refused(st_cmd, samu_exp, tmp_path):
    cmd = st_cmd(tmp_path / "exp", init_from_samu=True)
    with pytest.raises(FileNotFoundError, match="there is no student at 'None'; run"):
        STTask.main(cmd=cmd)
    none = f"{tmp_path}/none.pth"
    with pytest.raises(FileNotFoundError, match=f"there is no student at '{none}'"):
        STTask.main(cmd=[*cmd, "--samu_model", none])
    # collecting shapes needs no student
    model_conf = {"extract_feats_in_collect_stats": False}
    stats = st_cmd(tmp_path / "stats", init_from_samu=True, model_conf=model_conf)
    STTask.main(cmd=[*stats, "--collect_stats", "true"])

    state = torch.load(samu_exp / "1epoch.pth")
    removed = "frontend.model.encoder.layer_norm.weight"
    del state[removed]
    torch.save(state, none)
    with pytest.raises(ValueError, match=f"1 of .* 'frontend' .* e.g. {removed}"):
        STTask.main(cmd=[*cmd, "--samu_model", none])
    assert not (tmp_path / "exp" / "1epoch.pth").exists()


ENCODER = {
    "frontend": "default",
    "frontend_conf": {"fs": "16k", "n_fft": 128, "hop_length": 64, "n_mels": 20},
    "normalize": "utterance_mvn",
    "encoder": "transformer",
    "encoder_conf": {
        "input_layer": "linear",
        "output_size": 8,
        "attention_heads": 2,
        "linear_units": 8,
        "num_blocks": 2,
    },
}


@pytest.mark.timeout(30)
def test_init_from_samu_with_an_encoder(samu_cmd, st_cmd, tmp_path):
    SAMUTask.main(cmd=samu_cmd(tmp_path / "samu", **ENCODER))
    file = tmp_path / "samu" / "1epoch.pth"
    student = torch.load(file)
    conf = {**ENCODER, "init_from_samu": True, "optim_conf": {"lr": 0.0}}
    cmd = st_cmd(tmp_path / "st", "--samu_model", str(file), **conf)
    STTask.main(cmd=cmd)
    state = torch.load(tmp_path / "st" / "1epoch.pth")
    names = [name for name in student if name.startswith(("frontend.", "encoder."))]
    assert names == [n for n in state if n.startswith(("frontend.", "encoder."))]
    assert len(names) > 30
    assert all(torch.equal(state[name], student[name]) for name in names)

    # what would be lost, and what would start at random
    smaller = {**conf, "encoder_conf": {**ENCODER["encoder_conf"], "num_blocks": 1}}
    larger = {**conf, "encoder_conf": {**ENCODER["encoder_conf"], "num_blocks": 3}}
    none = {**conf, "encoder": "passthrough", "encoder_conf": {}}
    for other, message in (
        (smaller, "student's encoder have no place in encoder: TransformerEncoder"),
        (none, "student's encoder have no place in encoder: PassthroughEncoder"),
        (
            larger,
            "parameters of 'encoder' are not in the file, e.g. encoder.encoders.2",
        ),
    ):
        cmd = st_cmd(tmp_path / "other", "--samu_model", str(file), **other)
        with pytest.raises(ValueError, match=message):
            STTask.main(cmd=cmd)


def test_tgt_lang_token(st_exp, st_cmd, tmp_path):
    model, args = STTask.build_model_from_file(None, st_exp / "1epoch.pth")
    # 2 special tokens and 26 letters come before it
    assert model.decoder.lang_token_id == 28 == args.token_list.index("en_XX")
    assert args.decoder_conf["lang_token_id"] == 28
    STTask.main(cmd=st_cmd(tmp_path, "--dry_run", "true"))
    model, _ = STTask.build_model_from_file(tmp_path / "config.yaml")
    assert model.decoder.lang_token_id is None
    # another name of it
    STTask.main(cmd=st_cmd(tmp_path, "--dry_run", "true", tgt_lang_token="en"))
    model, _ = STTask.build_model_from_file(tmp_path / "config.yaml")
    assert model.decoder.lang_token_id == 28


def test_tgt_lang_token_is_refused(st_cmd, data, tmp_path):
    cmd = st_cmd(tmp_path, "--dry_run", "true", "--tgt_lang_token", "es_XX")
    with pytest.raises(
        ValueError, match="--tgt_lang_token es_XX: .*; near names: en_XX$"
    ):
        STTask.main(cmd=cmd)
    tokens = ["--token_list", f"{data}/src_tokens.txt"]
    with pytest.raises(ValueError, match="'es_XX': .* has no language codes"):
        STTask.main(cmd=[*cmd, *tokens])
    cmd = st_cmd(
        tmp_path,
        "--dry_run",
        "true",
        decoder="transformer",
        decoder_conf={"num_blocks": 1, "linear_units": 8},
        tgt_lang_token="en_XX",
    )
    with pytest.raises(ValueError, match="decoder TransformerDecoder has no target-"):
        STTask.main(cmd=cmd)


@pytest.fixture
def languages(data, tmp_path):
    """The data folder with target languages; a token list with two; arguments."""
    folder = shutil.copytree(data, tmp_path / "data")
    tokens = (data / "tokens.txt").read_text().replace("en_XX\n", "en_XX\nde_DE\n")
    (folder / "tokens.txt").write_text(tokens)
    names = {"utt1": "de", "utt2": "en_XX", "utt3": "DE", "utt4": "en"}
    write_text(folder / "utt2tgt_lang", names)
    args = ["--token_list", f"{folder}/tokens.txt"]
    for part in ("train", "valid"):
        file = f"{folder}/utt2tgt_lang,tgt_lang,text"
        args += [f"--{part}_data_path_and_name_and_type", file]
    return folder, args


def test_target_languages(st_cmd, batch, languages, tmp_path):
    """One update on a mixed batch, its data files appended to st.sh's."""
    _, args = languages
    model_conf = {"report_bleu": False, "length_normalized_loss": True}
    STTask.main(cmd=st_cmd(tmp_path / "exp", *args, model_conf=model_conf))
    model = build_before(tmp_path / "exp")
    model.train()
    rows = torch.tensor([29, 28, 29, 28])
    assert [model.token_list[row] for row in rows[:2]] == ["de_DE", "en_XX"]
    with model.decoder.target_languages(rows):
        # ESPnet's model, which knows nothing of them
        loss, _, _ = super(type(model), model).forward(*batch, *token_ids(model))
    loss.backward()
    trained = torch.load(tmp_path / "exp" / "1epoch.pth")
    for name, p in model.named_parameters():
        value = p.detach() - 0.1 * p.grad if p.requires_grad else p.detach()
        torch.testing.assert_close(trained[name], value, rtol=1e-3, atol=1e-4)

    # collecting shapes reads them as well
    model_conf = {"extract_feats_in_collect_stats": False}
    stats = st_cmd(tmp_path / "stats", *args, model_conf=model_conf)
    STTask.main(cmd=[*stats, "--collect_stats", "true"])
    shapes = (tmp_path / "stats" / "train" / "text_shape").read_text().split("\n")
    assert shapes[:4] == ["utt1 2", "utt2 3", "utt3 1", "utt4 4"]
    keys = (tmp_path / "stats" / "train" / "batch_keys").read_text().split()
    assert keys == ["speech", "text", "tgt_lang"]
    shapes = (tmp_path / "stats" / "valid" / "tgt_lang_shape").read_text()
    assert shapes.split("\n")[:2] == ["utt1 1", "utt2 1"]


def test_target_languages_are_refused(st_cmd, languages, tmp_path):
    folder, args = languages
    with pytest.raises(ValueError, match="training data have .*, the validation data"):
        STTask.main(cmd=st_cmd(tmp_path / "exp", *args[:-2]))
    with pytest.raises(ValueError, match=r"2 language codes \(en_XX, ...\), but noth"):
        STTask.main(cmd=st_cmd(tmp_path / "exp", *args[:-4]))
    conf = {"num_blocks": 1, "linear_units": 8, "attention_heads": 2}
    cmd = st_cmd(tmp_path / "exp", *args, decoder="transformer", decoder_conf=conf)
    with pytest.raises(ValueError, match="but decoder transformer has none"):
        STTask.main(cmd=cmd)
    args_of_two = STTask.get_parser().parse_args(st_cmd(tmp_path / "exp", *args))
    model = STTask.build_model(args_of_two)
    args_of_two.ngpu, args_of_two.distributed = 2, False
    with pytest.raises(ValueError, match="2 GPUs need --multiprocessing_distributed"):
        STTask.build_optimizers(args_of_two, model)
    names = (folder / "utt2tgt_lang").read_text()
    (folder / "utt2tgt_lang").write_text(names.replace("utt3 DE", "utt3 fr"))
    with pytest.raises(ValueError, match="utterance utt3: .*'fr' .*: en_XX, de_DE$"):
        STTask.main(cmd=st_cmd(tmp_path / "exp", *args))


def test_options_are_explained():
    text = " ".join(STTask.get_parser().format_help().split())
    assert "utt2tgt_lang,tgt_lang,text, says the target language of each" in text
    assert "one more argument: freeze_encoder_updates" in text
    assert "Start frontend and encoder from those of --samu_model" in text


def test_options_together(st_cmd, languages, tmp_path):
    """Smoothing, tri-stage schedule, accumulated gradients, balanced languages."""
    folder, args = languages
    write_text(folder / "utt2lang", dict.fromkeys(("utt1", "utt2", "utt3"), "fr"))
    with open(folder / "utt2lang", "a") as file:
        file.write("utt4 cy\n")
    shapes = {"utt1": "3000", "utt2": "5000", "utt3": "2000", "utt4": "4000"}
    write_text(folder / "speech_shape", shapes)
    cmd = st_cmd(
        tmp_path / "exp",
        *args,
        balance_languages=True,
        upsampling_factor=0.0,
        batch_type="numel",
        batch_bins=10000,
        num_iters_per_epoch=6,
        accum_grad=2,
        optim="adam",
        optim_conf={"lr": 0.01},
        scheduler="tristagelr",
        scheduler_conf={
            "max_steps": 20,
            "warmup_ratio": 0.4,
            "hold_ratio": 0.2,
            "decay_ratio": 0.4,
            "init_lr_scale": 0.1,
        },
        model_conf={
            "report_bleu": False,
            "lsm_weight": 0.2,
            "freeze_encoder_updates": 2,
        },
    )
    for i, name in enumerate(cmd):
        if name.endswith("_shape_file"):
            cmd[i + 1] = f"{folder}/speech_shape"
        # languages are looked for beside the first data file
        elif cmd[i].endswith("wav.scp,speech,sound"):
            cmd[i] = f"{folder}/wav.scp,speech,sound"
    STTask.main(cmd=cmd)
    state = torch.load(tmp_path / "exp" / "checkpoint.pth")
    # 6 batches make 3 updates, of 8 that the rate rises in from 0.001 to 0.01; the
    # fourth would have
    assert state["model"]["updates"] == 3
    [group] = state["optimizers"][0]["param_groups"]
    assert group["lr"] == pytest.approx(0.001 + 4 / 8 * 0.009)
    steps = {s["step"].item() for s in state["optimizers"][0]["state"].values()}
    # the encoder was trained in the last one only
    assert steps == {1.0, 3.0}
    assert "| cy " in (tmp_path / "exp" / "languages.md").read_text()


def test_tokenizer_of_a_training(st_cmd, tmp_path):
    """It is resumed with the same content, wherever that is, and with no other."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.pieces.add(piece="<unk>", type=2)
    for piece in ("▁", *"abcde"):
        proto.pieces.add(piece=piece, score=-2.0)
    models = [proto.SerializeToString()]
    proto.pieces[1].score = -3.0
    models.append(proto.SerializeToString())
    tokens = ["<blank>", "<unk>", "▁", *"abcde", "<sos/eos>"]
    (tmp_path / "tokens.txt").write_text("\n".join(tokens) + "\n")
    exp = tmp_path / "exp"

    def train(content):
        (tmp_path / "bpe.model").write_bytes(content)
        conf = {"token_type": "bpe", "bpemodel": f"{tmp_path}/bpe.model"}
        conf["token_list"] = f"{tmp_path}/tokens.txt"
        STTask.main(cmd=st_cmd(exp, "--resume", "true", **conf))
        config = yaml.safe_load((exp / "config.yaml").read_text())
        return own_tokenizer(config["bpemodel"], exp)

    assert train(models[1]) == f"{exp}/tokenizer/bpe.model"
    before = (exp / "1epoch.pth").stat()
    for folder in (exp, tmp_path / "moved"):
        if exp != folder:
            exp = exp.rename(folder)
        assert train(models[1]) == f"{exp}/tokenizer/bpe.model"
        with pytest.raises(ValueError, match="options other than it was .*: bpemodel"):
            train(models[0])
        assert (exp / "tokenizer" / "bpe.model").read_bytes() == models[1]
    # nor with another token list of that size
    swapped = [*tokens[:3], *"bacde", "<sos/eos>"]
    (tmp_path / "tokens.txt").write_text("\n".join(swapped) + "\n")
    with pytest.raises(ValueError, match="options other than it was .*: token_list"):
        train(models[1])
    assert (exp / "1epoch.pth").stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("more", [[], ["de_DE", "ä"]])
def test_init_param_of_another_token_list(st_cmd, st_exp, tmp_path, more, caplog):
    """Rows go with their tokens, in a list of equal size and in a longer one."""
    caplog.set_level("INFO")
    old, args = STTask.build_model_from_file(None, st_exp / "1epoch.pth")
    tokens = [*args.token_list[:2], *more, *reversed(args.token_list[2:])]
    (tmp_path / "tokens.txt").write_text("\n".join(tokens) + "\n")
    conf = {"token_list": f"{tmp_path}/tokens.txt", "optim_conf": {"lr": 0.0}}
    conf["init_param"] = [f"{st_exp}/1epoch.pth"]
    STTask.main(cmd=st_cmd(tmp_path / "exp", tgt_lang_token="en_XX", seed=5, **conf))
    new, _ = STTask.build_model_from_file(None, tmp_path / "exp" / "1epoch.pth")
    ids = torch.tensor([[29, 3, 4, 2]])
    ours = torch.tensor([tokens.index(token) for token in args.token_list])
    frames, lengths = torch.randn(1, 5, 16), torch.tensor([5])
    with torch.no_grad():
        expected, _ = old.eval().decoder(frames, lengths, ids, torch.tensor([4]))
        found, _ = new.eval().decoder(frames, lengths, ours[ids], torch.tensor([4]))
    torch.testing.assert_close(found[..., ours], expected)
    if more:
        text = "30 of 32 tokens are in its token list, 2 are new (de_DE ä)"
        assert text in caplog.text


def letters(uid, data):
    """Stands for ESPnet's preprocessing."""
    assert "tgt_lang" not in data
    return {**data, "text": np.array([ord(c) - ord("a") for c in data["text"]])}


def test_one_utterance():
    preprocess = TranslationPreprocessor(letters, LANGUAGES)
    speech = np.zeros(3)
    data = {"speech": speech, "text": "ab", "tgt_lang": "de\n"}
    result = preprocess("utt", data)
    assert result["text"].tolist() == [0, 1] and result["speech"] is speech
    assert result["tgt_lang"].tolist() == [2] and result["tgt_lang"].dtype == np.int64
    assert data["text"] == "ab" and data["tgt_lang"] == "de\n"
    # one language for all: nothing is added
    assert set(preprocess("utt", {"text": "b"})) == {"text"}


def test_refused():
    preprocess = TranslationPreprocessor(letters, LANGUAGES)
    message = "utterance sp0.9-u: target language 'fr' .*de_DE, en_XX"
    with pytest.raises(ValueError, match=message):
        preprocess("sp0.9-u", {"text": "ab", "tgt_lang": "fr"})
    with pytest.raises(ValueError, match="utterance u: the translation is empty"):
        preprocess("u", {"text": "", "tgt_lang": "de"})
