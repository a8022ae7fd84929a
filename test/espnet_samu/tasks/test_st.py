import pytest
import torch
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed

from espnet_samu.tasks.st import STTask

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
def test_init_from_samu(st_cmd, samu_exp, frontend_conf, tmp_path, freeze):
    student = torch.load(samu_exp / "1epoch.pth")
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


def test_tgt_lang_token(st_exp, st_cmd, tmp_path):
    model, args = STTask.build_model_from_file(None, st_exp / "1epoch.pth")
    # 2 special tokens and 26 letters come before it
    assert model.decoder.lang_token_id == 28 == args.token_list.index("en_XX")
    assert args.decoder_conf["lang_token_id"] == 28
    STTask.main(cmd=st_cmd(tmp_path, "--dry_run", "true"))
    model, _ = STTask.build_model_from_file(tmp_path / "config.yaml")
    assert model.decoder.lang_token_id is None


def test_tgt_lang_token_is_refused(st_cmd, data, tmp_path):
    cmd = st_cmd(tmp_path, "--dry_run", "true", "--tgt_lang_token", "es_XX")
    with pytest.raises(ValueError, match="es_XX is not in the token list; .* en_XX$"):
        STTask.main(cmd=cmd)
    tokens = ["--token_list", f"{data}/src_tokens.txt"]
    with pytest.raises(ValueError, match="es_XX .*; it has no language codes"):
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
