"""Tests of espnet_samu.teacher.same_teacher."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

from espnet_samu.bin import samu_select
from espnet_samu.teacher import cache
from espnet_samu.teacher.same_teacher import check_teacher
from espnet_samu.utils import distributed
from espnet_samu.utils.kaldi_io import (
    read_text,
    read_vectors,
    write_text,
    write_vectors,
)


@pytest.fixture
def training(tmp_path):
    """Arguments of a training on embeddings of two sets; E = 2."""
    paths = {}
    for name in ("train", "valid"):
        folder = tmp_path / name
        write_text(folder / "text", {"u1": f"hello {name}"})
        write_vectors(folder, [("u1", np.ones(2))])
        describe(folder, teacher="LaBSE")
        paths[name] = [
            (str(folder / "wav.scp"), "speech", "sound"),
            (str(folder / "embed.scp"), "embed", "kaldi_ark"),
        ]
    return Namespace(
        train_data_path_and_name_and_type=paths["train"],
        valid_data_path_and_name_and_type=paths["valid"],
        output_dir=str(tmp_path / "exp"),
        resume=True,
    )


def describe(folder, **changes):
    """Write embed.json as teacher_embed does, with changes."""
    key = cache.teacher_key(["LaBSE"], [None], "concat", True, "float32")
    text = folder / "text"
    table = {**key, **cache.text_key(text), "text": str(text), "dimension": 2}
    cache.write_cache(folder, {**table, **cache.describe_files(folder), **changes})


def check(args):
    files = args.train_data_path_and_name_and_type
    files = [*files, *args.valid_data_path_and_name_and_type]
    check_teacher(files, args.output_dir, args.resume)


def test_one_teacher(training, tmp_path):
    check(training)
    saved = json.loads((tmp_path / "exp" / "teacher.json").read_text())
    assert saved["teachers"] == [{"name": "LaBSE", "revision": None, "sha256": None}]
    check(training)


def test_another_process_writes_nothing(training, tmp_path, monkeypatch):
    """Also where a launcher gives its rank, and no option has it."""
    monkeypatch.setattr(distributed, "is_distributed", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    check(training)
    assert not (tmp_path / "exp").exists()


def test_two_teachers(training, tmp_path):
    describe(tmp_path / "valid", teachers=[{"name": "SONAR"}])
    with pytest.raises(ValueError, match="of different teachers: teachers .*SONAR"):
        check(training)
    assert not (tmp_path / "exp").exists()


def test_resumed_with_another_teacher(training, tmp_path):
    check(training)
    for part in ("train", "valid"):
        describe(tmp_path / part, normalized=False)
    check(training)  # nothing has been trained yet
    (tmp_path / "exp" / "checkpoint.pth").touch()
    for part in ("train", "valid"):
        describe(tmp_path / part)
    message = "teacher.json are of .* normalized True and"
    with pytest.raises(ValueError, match=message):
        check(training)
    # killed while it wrote the next state
    (tmp_path / "exp" / "checkpoint.pth").unlink()
    (tmp_path / "exp" / "checkpoint.earlier.pth").write_bytes(b"state")
    with pytest.raises(ValueError, match=message):
        check(training)


def test_another_text(training, tmp_path):
    write_text(tmp_path / "train" / "text", {"u1": "good-bye"})
    with pytest.raises(ValueError, match="train belong to another text"):
        check(training)


def test_embeddings_from_elsewhere(training, tmp_path, caplog):
    for part in ("train", "valid"):
        (tmp_path / part / "embed.json").unlink()
    check(training)
    assert "no embed.json beside it" in caplog.text
    assert not (tmp_path / "exp").exists()


def test_hand_made_as_the_readme_says(training, tmp_path, monkeypatch, caplog):
    readme = Path(__file__).parents[3] / "egs2/TEMPLATE/samu_st1/README.md"
    section = readme.read_text(encoding="utf-8").partition("code of its own\n")[2]
    code = section.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    files = {"wav.scp": "a.flac", "utt2num_samples": "1600", "utt2lang": "fr"}
    for name in ("train", "dev", "test"):
        dump = Path("dump/raw", name)
        for file, value in {**files, "text.tc.multi": f"bonjour {name}"}.items():
            write_text(dump / file, {"u1": value, "u2": value})
    model = Namespace(encode=lambda texts: np.array([[len(t), 1.0] for t in texts]))
    exec(code, {"model": model})
    vectors = read_vectors("exp/teacher_mine/train/embed.scp")
    assert {utt: vector.tolist() for utt, vector in vectors.items()} == (
        {"u1": [13, 1], "u2": [13, 1]}
    )
    words = "--data_dir dump/raw/train --source_dir dump/raw/train --output_dir stats "
    words += "--text dump/raw/train/text.tc.multi "
    samu_select.main(f"{words}--embed exp/teacher_mine/train/embed.scp".split())
    assert read_text("stats/speech_shape") == {"u1": "1600", "u2": "1600"}
    for part, name in (("train", "train"), ("valid", "dev")):
        embed = (f"exp/teacher_mine/{name}/embed.scp", "embed", "kaldi_ark")
        setattr(training, f"{part}_data_path_and_name_and_type", [embed])
    check(training)
    assert "exp/teacher_mine/dev/embed.scp: no embed.json beside it" in caplog.text
