import json
import shutil

import pytest
import torch
import yaml

from espnet_samu.tasks.st import STTask
from espnet_samu.utils.kaldi_io import write_text

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
