import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed

from espnet_samu.speech2text import Speech2Text
from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.tasks.st import STTask
from espnet_samu.utils.kaldi_io import read_vectors, write_text

WEIGHT = 3.0
TEXTS = ("ab", "bcd", "e", "dcba")  # of the data folder
SAMPLES = {"utt1": "3000", "utt2": "5000", "utt3": "2000", "utt4": "4000"}


def test_balanced_languages_of_the_student(keeping_cmd, student, data, tmp_path):
    """The student's config.yaml asks for balance; so do options of the training."""
    folder = shutil.copytree(data, tmp_path / "data")
    write_text(folder / "utt2lang", dict.fromkeys(("utt1", "utt2", "utt3"), "fr"))
    with open(folder / "utt2lang", "a") as file:
        file.write("utt4 cy\n")
    write_text(folder / "speech_shape", SAMPLES)
    conf = yaml.safe_load((student.parent / "config.yaml").read_text())
    conf.update(balance_languages=True, upsampling_factor=0.0, batch_type="numel")
    conf.update(batch_bins=10000)
    (tmp_path / "student").mkdir()
    shutil.copy(student, tmp_path / "student" / "s.pth")
    (tmp_path / "student" / "config.yaml").write_text(yaml.safe_dump(conf))
    args = STTask.get_parser().parse_args(
        keeping_cmd(
            tmp_path / "exp",
            *("--samu_model", f"{tmp_path}/student/s.pth"),
            *("--samu_batch_bins", "5000"),
            *("--samu_shape_file", f"{folder}/speech_shape"),
            *("--samu_data_path_and_name_and_type", f"{folder}/wav.scp,speech,sound"),
            "--samu_data_path_and_name_and_type",
            f"{folder}/embed.scp,embed,kaldi_ark",
            num_iters_per_epoch=20,
        )
    )
    from espnet2.train.distributed_utils import DistributedOption

    factory = STTask.build_iter_factory(args, DistributedOption(), "train")
    names = []
    for utt_id, batch in factory.build_iter(1):
        assert sorted(utt_id) == ["utt1", "utt2", "utt3", "utt4"]
        assert batch["samu_speech"].numel() <= 5000
        assert batch["samu_embed"].shape == (len(batch["samu_utt_id"]), 4)
        names += batch["samu_utt_id"]
    # utt4 is the only one of its language
    assert 0.4 < names.count("utt4") / len(names) < 0.6
    assert "| cy " in (tmp_path / "exp" / "samu" / "languages.md").read_text()
    assert not (tmp_path / "exp" / "languages.md").exists()


def test_refused_student(keeping_cmd, student, tmp_path):
    start = keeping_cmd(tmp_path / "exp", init_from_samu=False)
    for none in ("none.pth", str(tmp_path)):
        with pytest.raises(FileNotFoundError, match=f"no student at '{none}'; run st"):
            STTask.main(cmd=[*start, "--samu_model", none])
    alone = tmp_path / "alone.pth"
    shutil.copy(student, alone)
    with pytest.raises(FileNotFoundError, match="config.yaml is missing, which says"):
        STTask.main(cmd=[*start, "--samu_model", str(alone)])
    conf = yaml.safe_load((student.parent / "config.yaml").read_text())
    config = tmp_path / "config.yaml"
    with pytest.raises(ValueError, match=r"projector.linear.bias \[4\] for \[5\]"):
        other = {**conf, "projector_conf": {"output_size": 5}}
        config.write_text(yaml.safe_dump(other))
        STTask.main(cmd=[*start, "--samu_model", str(alone)])
    with pytest.raises(ValueError, match=r"does not fit .* 1 missing \['pooling"):
        state = torch.load(alone, weights_only=True)
        rest = {k: v for k, v in state.items() if not k.startswith("pooling.")}
        torch.save(rest, alone)
        config.write_text(yaml.safe_dump(conf))
        STTask.main(cmd=[*start, "--samu_model", str(alone)])


def test_refused_data(keeping_cmd, student, data, tmp_path):
    start = keeping_cmd(tmp_path / "exp")
    wavs = f"{data}/wav.scp,speech,sound"
    name = "--samu_data_path_and_name_and_type"
    with pytest.raises(ValueError, match="needs --samu_shape_file, too"):
        STTask.main(cmd=[*start, name, wavs])
    shape = ["--samu_shape_file", f"{data}/wav.scp"]
    with pytest.raises(ValueError, match="needs transcribed speech .* name speech, w"):
        STTask.main(cmd=[*start, name, wavs, *shape])
    with pytest.raises(FileNotFoundError, match="none/shape is missing: .* stages 6"):
        STTask.main(cmd=[*start, "--samu_shape_file", "none/shape"])
    # a student of another recipe's folder, and a published one
    conf = yaml.safe_load((student.parent / "config.yaml").read_text())
    shutil.copy(student, tmp_path / "s.pth")
    start += ["--samu_model", f"{tmp_path}/s.pth"]
    conf["train_data_path_and_name_and_type"][1][0] = "exp/teacher/embed.scp"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(conf))
    with pytest.raises(FileNotFoundError, match="exp/teacher/embed.scp is missing"):
        STTask.main(cmd=start)
    del conf["train_data_path_and_name_and_type"], conf["train_shape_file"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(conf))
    with pytest.raises(ValueError, match="options name no data, with 0 shape files"):
        STTask.main(cmd=start)


def test_refused_teacher(keeping_cmd, student, data, tmp_path):
    from espnet_samu.teacher import cache

    folder = shutil.copytree(data, tmp_path / "data")
    scp = (folder / "embed.scp").read_text().replace(str(data), str(folder))
    (folder / "embed.scp").write_text(scp)
    key = {"teachers": [{"name": "A"}], "combine": None, "normalized": True}
    key.update(dtype="float32", dimension=4)
    table = {**key, **cache.text_key(folder / "text"), "text": f"{folder}/text"}
    cache.write_cache(folder, {**table, **cache.describe_files(folder)})
    samu = shutil.copytree(student.parent, tmp_path / "student")
    args = ["--samu_model", f"{samu}/1epoch.pth"]
    args += ["--samu_shape_file", f"{folder}/wav.scp"]
    for file in ("wav.scp,speech,sound", "embed.scp,embed,kaldi_ark"):
        args += ["--samu_data_path_and_name_and_type", f"{folder}/{file}"]

    (samu / "teacher.json").write_text(json.dumps(key))
    STTask.main(cmd=keeping_cmd(tmp_path / "exp", *args))
    assert json.loads((tmp_path / "exp" / "teacher.json").read_text()) == key
    other = {**key, "teachers": [{"name": "B"}]}
    (samu / "teacher.json").write_text(json.dumps(other))
    with pytest.raises(
        ValueError, match="another teacher than the student .* 'A'.*'B'"
    ):
        STTask.main(cmd=keeping_cmd(tmp_path / "exp2", *args))
    # an earlier part of the same training had another one
    (samu / "teacher.json").unlink()
    (tmp_path / "exp" / "teacher.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match="are of different teachers"):
        STTask.main(
            cmd=keeping_cmd(tmp_path / "exp", "--resume", "true", *args, max_epoch=2)
        )
    (folder / "text").write_text("utt1 changed\n")
    with pytest.raises(ValueError, match="belong to another text"):
        STTask.main(cmd=keeping_cmd(tmp_path / "exp3", *args))


@pytest.fixture(scope="module")
def exp(keeping_cmd, tmp_path_factory):
    """Folder of a training of one update, both batches with all utterances."""
    folder = tmp_path_factory.mktemp("exp")
    STTask.main(cmd=keeping_cmd(folder))
    return folder


@pytest.fixture(scope="module")
def embed(data):
    """Sentence embeddings (4, 4) of the data folder."""
    return torch.tensor(np.stack(list(read_vectors(data / "embed.scp").values())))


def load(folder, name="1epoch.pth"):
    return torch.load(folder / name, weights_only=True)


def test_from_a_translation_model_without(keeping_cmd, st_exp, student, tmp_path):
    """All but the head is that model's, and the head is the student's."""
    start = ("--init_param", f"{st_exp}/1epoch.pth")
    conf = {"init_from_samu": False, "optim_conf": {"lr": 0.0}}
    STTask.main(cmd=keeping_cmd(tmp_path, *start, **conf))
    state, plain, samu = load(tmp_path), load(st_exp), torch.load(student)
    head = {k: v for k, v in samu.items() if k.startswith(("pooling.", "projector."))}
    assert len(head) == 3
    plain.update({f"distillation.{key}": value for key, value in head.items()})
    assert state.keys() == plain.keys()
    assert all(torch.equal(state[key], value) for key, value in plain.items())


def build_before(exp, student):
    """The translation model as it was before its training, and the student."""
    set_all_random_seed(3)
    model = STTask.build_model_from_file(exp / "config.yaml")[0]
    samu = SAMUTask.build_model_from_file(None, student)[0]
    model.frontend.load_state_dict(samu.frontend.state_dict())
    return model.train(), samu.train()


def tokens(model):
    rows = [[model.token_list.index(c) for c in text] for text in TEXTS]
    padded = [torch.tensor(row) for row in rows]
    ids = torch.nn.utils.rnn.pad_sequence(padded, batch_first=True, padding_value=-1)
    return ids, torch.tensor([len(row) for row in rows])


def test_one_update(exp, student, batch, embed):
    """It is that of both losses, each computed by the model it belongs to."""
    model, samu = build_before(exp, student)
    assert model.distillation is None
    loss_st, _, _ = model(*batch, *tokens(model))
    loss_samu, samu_stats, _ = samu(*batch, embed)
    (loss_st + WEIGHT * loss_samu).backward()
    trained = load(exp)
    grads = {name: p.grad for name, p in model.named_parameters()}
    starts = dict(model.named_parameters())
    for name, p in samu.named_parameters():
        if name.startswith("frontend."):
            if p.grad is not None:
                assert p.grad.abs().max() > 1e-6 or "k_proj.bias" in name, name
                grads[name] = grads[name] + p.grad
        else:
            starts[f"distillation.{name}"] = p
            grads[f"distillation.{name}"] = p.grad
    assert set(trained) == set(starts) | set(model.state_dict())
    for name, p in starts.items():
        value = p.detach()
        if grads[name] is not None:
            value = value - 0.1 * grads[name]
        torch.testing.assert_close(trained[name], value, rtol=1e-3, atol=1e-4)

    stats = load(exp, "checkpoint.pth")["reporter"]["stats"][1]
    train = stats["train"]
    assert train["loss_st"] == pytest.approx(loss_st.item(), abs=1e-4)
    assert train["loss_samu"] == pytest.approx(loss_samu.item(), abs=1e-4)
    total = loss_st.item() + WEIGHT * loss_samu.item()
    assert train["loss"] == pytest.approx(total, abs=1e-4)
    for name in ("cos_right", "cos_wrong", "batch_r1"):
        found = train[f"samu_{name}"]
        assert found == pytest.approx(samu_stats[name].item(), abs=1e-4)
    # validation is of translation alone
    assert stats["valid"]["loss"] == pytest.approx(stats["valid"]["loss_st"])
    assert "loss_samu" not in stats["valid"]
    assert {"pooling", "projector"} == {
        name.split(".")[1] for name in trained if name.startswith("distillation.")
    }
    assert "distillation" in json.loads((exp / "budget.json").read_text())


def test_config_says_what_was_used(exp, data, student):
    conf = yaml.safe_load((exp / "config.yaml").read_text())
    assert conf["samu_weight"] == WEIGHT and conf["samu_model"] == str(student)
    assert conf["samu_shape_file"] == [f"{data}/wav.scp"]
    assert conf["samu_data_path_and_name_and_type"] == [
        [f"{data}/wav.scp", "speech", "sound"],
        [f"{data}/embed.scp", "embed", "kaldi_ark"],
    ]


def test_without_weight_there_is_nothing(keeping_cmd, tmp_path):
    STTask.main(cmd=keeping_cmd(tmp_path, samu_weight=0.0))
    state = load(tmp_path)
    assert not any(name.startswith("distillation.") for name in state)
    files = {path.name for path in tmp_path.iterdir()}
    assert not files & {"teacher.json", "samu"}
    stats = load(tmp_path, "checkpoint.pth")["reporter"]["stats"][1]["train"]
    assert not any("samu" in name for name in stats)


def test_decoding_needs_none_of_it(exp, batch, tmp_path):
    """A checkpoint without the head, and no student, translate the same."""
    state = load(exp)
    kept = {k: v for k, v in state.items() if not k.startswith("distillation.")}
    assert 0 < len(kept) < len(state)
    config = (exp / "config.yaml").read_text()
    conf = yaml.safe_load(config)
    conf.update(samu_model="/nowhere/student.pth", samu_shape_file=["/nowhere"])
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(conf))
    torch.save(kept, tmp_path / "stripped.pth")
    options = {"beam_size": 2, "maxlenratio": -5, "minlenratio": -4}
    texts = []
    for file in (exp / "1epoch.pth", tmp_path / "stripped.pth"):
        speech2text = Speech2Text(st_model_file=file, **options)
        assert speech2text.model.distillation is None
        texts.append([speech2text(batch[0][i, :2000]) for i in range(4)])
    assert texts[0] == texts[1]
    # what else is too much or missing is refused as before
    torch.save({**kept, "other": torch.zeros(1)}, tmp_path / "more.pth")
    with pytest.raises(ValueError, match=r"tensors 1 unexpected"):
        STTask.build_model_from_file(tmp_path / "config.yaml", tmp_path / "more.pth")


def test_it_has_the_student_s_parts(exp, student, batch, tmp_path):
    """What retrieval after the training of translation reads."""
    state = {
        name.removeprefix("distillation."): value
        for name, value in load(exp).items()
        if name.startswith(("frontend.", "encoder.", "distillation."))
    }
    torch.save(state, tmp_path / "kept.pth")
    samu, _ = SAMUTask.build_model_from_file(
        student.parent / "config.yaml", tmp_path / "kept.pth"
    )
    model, _ = STTask.build_model_from_file(None, exp / "1epoch.pth")
    pooled = samu.eval().pooling(*model.eval().encode(*batch))
    embedding = samu.embed(*batch).embedding
    torch.testing.assert_close(embedding, samu.projector(pooled))
    before, _ = SAMUTask.build_model_from_file(None, student)
    assert (embedding - before.eval().embed(*batch).embedding).abs().max() > 1e-3


def test_another_training_begins_from_it(exp, keeping_cmd, tmp_path):
    """--init_param of all of it, by models with and without the head."""
    state = load(exp)
    for weight in (0.0, WEIGHT):
        folder = tmp_path / str(weight)
        spec = f"{exp}/1epoch.pth"
        conf = {"init_from_samu": False, "init_param": [spec], "samu_weight": weight}
        STTask.main(cmd=keeping_cmd(folder, optim_conf={"lr": 0.0}, **conf))
        for name, value in load(folder).items():
            assert torch.equal(value, state[name]), name


@pytest.mark.parametrize("n_iters", [None, 3])
def test_resumed_equals_uninterrupted(keeping_cmd, student, tmp_path, n_iters):
    """Four batches an epoch, or three, beside passes of two batches."""
    conf = yaml.safe_load((student.parent / "config.yaml").read_text())
    samu = shutil.copytree(student.parent, tmp_path / "student")
    (samu / "config.yaml").write_text(yaml.safe_dump({**conf, "batch_size": 3}))
    args = ["--samu_model", f"{samu}/1epoch.pth", "--resume", "true"]
    conf = {"num_iters_per_epoch": n_iters, "batch_size": 1, "accum_grad": 2}
    conf.update(optim="adam", optim_conf={"lr": 0.003})
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    STTask.main(cmd=keeping_cmd(whole, *args, max_epoch=2, **conf))
    for epochs in (1, 2):
        STTask.main(cmd=keeping_cmd(parts, *args, max_epoch=epochs, **conf))
    expected = load(whole, "2epoch.pth")
    for name, value in load(parts, "2epoch.pth").items():
        assert torch.equal(value, expected[name]), name
    stats = [load(x, "checkpoint.pth")["reporter"]["stats"] for x in (whole, parts)]
    for epoch in (1, 2):
        for key in ("loss", "loss_samu", "samu_cos_right"):
            assert stats[0][epoch]["train"][key] == stats[1][epoch]["train"][key]
    assert stats[0][2]["train"]["loss_samu"] < stats[0][1]["train"]["loss_samu"]


@pytest.fixture(scope="module")
def trainings(keeping_cmd, start_two, tmp_path_factory):
    """Checkpoints of one process, and of two: the distillation has three utterances.

    So one process has two of them, the other one, but each two translations.
    """
    folder = tmp_path_factory.mktemp("distributed")
    write_text(folder / "shape", {k: SAMPLES[k] for k in ("utt1", "utt2", "utt4")})
    # ESPnet averages over utterances, which means over tokens are not.
    conf = {"max_epoch": 2, "num_iters_per_epoch": 2}
    conf["model_conf"] = {"report_bleu": False}
    args = ["--samu_shape_file", f"{folder}/shape"]
    cmd = keeping_cmd(folder / "two", *args, **conf)
    processes = start_two(STTask, cmd, folder)
    STTask.main(cmd=keeping_cmd(folder / "one", *args, **conf))
    for process in processes:
        process.join(timeout=480)
        assert process.exitcode == 0
    return load(folder / "one", "checkpoint.pth"), load(
        folder / "two", "checkpoint.pth"
    )


def test_two_processes_equal_one(trainings):
    one, two = trainings
    for epoch, stats in one["reporter"]["stats"].items():
        other = two["reporter"]["stats"][epoch]["train"]
        for key in ("loss", "loss_st", "loss_samu", "samu_cos_right"):
            assert other[key] == pytest.approx(stats["train"][key], abs=1e-4), key
    for name, value in one["model"].items():
        torch.testing.assert_close(two["model"][name], value, rtol=0, atol=1e-4)


def test_split_training_set(keeping_cmd, data, tmp_path):
    """--num_splits_st of st.sh: one row of its data beside all parts."""
    for name in ("wav.scp", "text"):
        lines = (data / name).read_text().splitlines(keepends=True)
        (tmp_path / name).mkdir()
        (tmp_path / name / "num_splits").write_text("2\n")
        for i in range(2):
            (tmp_path / name / f"split.{i}").write_text(
                "".join(lines[2 * i : 2 * i + 2])
            )
    args = STTask.get_parser().parse_args(keeping_cmd(tmp_path / "exp"))
    args.multiple_iterator = True
    args.num_iters_per_epoch = 4
    args.batch_size = 1
    args.train_shape_file = [f"{tmp_path}/wav.scp"]
    args.train_data_path_and_name_and_type = [
        (f"{tmp_path}/wav.scp", "speech", "sound"),
        (f"{tmp_path}/text", "text", "text"),
    ]
    from espnet2.train.distributed_utils import DistributedOption

    factory = STTask.build_multiple_iter_factory(args, DistributedOption(), "train")
    batches = list(factory.build_iter(1))
    assert sorted(utts[0] for utts, _ in batches) == ["utt1", "utt2", "utt3", "utt4"]
    assert all(len(batch["samu_utt_id"]) == 4 for _, batch in batches)


def test_refused_options(keeping_cmd, frontend_conf, tmp_path):
    with pytest.raises(ValueError, match="samu_weight must be 0 or more: -1.0"):
        STTask.main(cmd=keeping_cmd(tmp_path, samu_weight=-1.0))
    frozen = {**frontend_conf, "freeze": True}
    with pytest.raises(ValueError, match="nothing of frontend and encoder .* freeze: "):
        STTask.main(cmd=keeping_cmd(tmp_path, frontend_conf=frozen))
    conf = {"trainable": {"encoder": "none"}}
    with pytest.raises(ValueError, match="nothing of frontend and encoder .* freeze: "):
        STTask.main(cmd=keeping_cmd(tmp_path, **conf))
    args = STTask.get_parser().parse_args(keeping_cmd(tmp_path))
    model = STTask.build_model(args)
    args.ngpu, args.distributed = 2, False
    with pytest.raises(ValueError, match="2 GPUs needs --multiprocessing_distributed"):
        STTask.build_optimizers(args, model)
    with pytest.raises(ValueError, match="a frontend without preencoder"):
        args.ngpu = 0
        model.frontend = None
        STTask.build_optimizers(args, model)


def test_with_presets_and_adapters(keeping_cmd, tmp_path):
    """LoRA in the encoder, frozen weights left out of the checkpoints."""
    conf = {"adapters": {"encoder": {"type": "lora", "size": 2}}}
    conf.update(trainable="adapters", save_trained_only=True)
    STTask.main(cmd=keeping_cmd(tmp_path, **conf))
    state = load(tmp_path)
    assert any(".lora_" in name for name in state)
    assert any(name.startswith("distillation.") for name in state)
    assert not any("attention.q_proj.weight" in name for name in state)
    model, _ = STTask.build_model_from_file(None, tmp_path / "1epoch.pth")
    for name, value in model.state_dict().items():
        if name in state:
            assert torch.equal(value, state[name]), name
    # the head was trained, and LoRA by both losses
    counts = json.loads((tmp_path / "budget.json").read_text())
    assert counts["distillation"]["trainable"] == counts["distillation"]["total"] > 0


def test_options_are_explained():
    text = " ".join(STTask.get_parser().format_help().split())
    assert "Weight of an auxiliary distillation loss, over a batch of" in text
    assert "whose config.yaml has losses, data and batches. 0: none" in text
