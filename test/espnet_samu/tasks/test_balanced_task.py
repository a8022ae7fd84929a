import json
import shutil
from collections import Counter

import numpy as np
import pytest
import torch
from espnet2.train.distributed_utils import DistributedOption

from espnet_samu.samplers.balanced_sampler import BalancedSampler
from espnet_samu.samplers.data_files import Languages, Shapes
from espnet_samu.tasks.balanced_task import (
    describe_languages,
    format_languages,
    save_languages,
)
from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.tasks.st import STTask

SAMPLES = {"utt1": 3000, "utt2": 5000, "utt3": 2000, "utt4": 4000}
LANGUAGES = {"utt1": "fr", "utt2": "fr", "utt3": "fr", "utt4": "cy"}


def write(path, table):
    path.write_text("".join(f"{key} {value}\n" for key, value in table.items()))


@pytest.fixture
def train_folder(data, tmp_path):
    """The data folder with languages and shapes: three of fr, one of cy."""
    folder = shutil.copytree(data, tmp_path / "train")
    write(folder / "utt2lang", LANGUAGES)
    write(folder / "speech_shape", SAMPLES)
    return folder


@pytest.fixture(params=["samu", "st"])
def task(request, samu_cmd, st_cmd, data, train_folder, tmp_path):
    """A task and a function that makes its arguments, alpha = 0."""
    cls, make = {"samu": (SAMUTask, samu_cmd), "st": (STTask, st_cmd)}[request.param]

    def make_cmd(*args, **conf):
        conf = {
            "balance_languages": True,
            "upsampling_factor": 0.0,
            "batch_type": "numel",
            "batch_bins": 10000,
            "num_iters_per_epoch": None,
            **conf,
        }
        cmd = [a.replace(str(data), str(train_folder)) for a in make(tmp_path / "exp")]
        for i, name in enumerate(cmd):
            if name in ("--train_shape_file", "--valid_shape_file"):
                cmd[i + 1] = f"{train_folder}/speech_shape"
        for name, value in conf.items():
            cmd += [f"--{name}", str(value).lower()]
        return [*cmd, *args]

    return cls, make_cmd


def build_iter_factory(task, mode="train", **conf):
    cls, make_cmd = task
    args = cls.get_parser().parse_args(make_cmd(**conf))
    return cls.build_iter_factory(args, DistributedOption(), mode)


def read(factory, epoch):
    return [tuple(keys) for keys, _ in factory.build_iter(epoch)]


def test_training(task, tmp_path):
    cls, make_cmd = task
    cls.main(cmd=make_cmd())
    assert (tmp_path / "exp" / "1epoch.pth").exists()
    content = json.loads((tmp_path / "exp" / "languages.json").read_text())
    assert content["upsampling_factor"] == 0.0
    assert content["category_file"] == f"{tmp_path}/train/utt2lang"
    assert content["languages"] == {
        "cy": {
            "hours": 4000 / 57600000,
            "utterances": 1,
            "share": 0.25,
            "expected_share": 0.5,
            "first_epoch_share": 0.5,
        },
        "fr": {
            "hours": 10000 / 57600000,
            "utterances": 3,
            "share": 0.75,
            "expected_share": 0.5,
            "first_epoch_share": 0.5,
        },
    }
    table = (tmp_path / "exp" / "languages.md").read_text().splitlines()
    assert table[2].split() == "| fr | 0.0 | 3 | 75.00 | 50.00 | 50.00 |".split()


def test_batches(task):
    factory = build_iter_factory(task)
    count = Counter()
    for epoch in range(1, 4):
        batches = read(factory, epoch)
        for batch in batches:
            assert len(batch) * max(SAMPLES[key] for key in batch) <= 10000
        count.update(key for batch in batches for key in batch)
    # 6 draws of each language in 3 epochs, 2 of each utterance of fr
    assert count == {"utt4": 6, "utt1": 2, "utt2": 2, "utt3": 2}
    # the tensors are those of the names
    keys, batch = next(iter(factory.build_iter(2)))
    assert batch["speech_lengths"].tolist() == [SAMPLES[key] for key in keys]
    # without balancing, and in validation: every utterance once
    for conf in ({"balance_languages": False}, {"mode": "valid"}):
        batches = read(build_iter_factory(task, **conf), 1)
        assert sorted(key for batch in batches for key in batch) == sorted(SAMPLES)


@pytest.mark.parametrize("mode", ["train", "valid"])
@pytest.mark.parametrize("balanced", [True, False])
def test_batches_of_windows(task, speech_models, train_folder, mode, balanced):
    """batch_bins counts Whisper's window of 1 s for each utterance."""
    cls, make_cmd = task
    # ESPnet ends a batch after the utterance that is too much, ours before it.
    is_ours = balanced and mode == "train"
    text = 0 if cls is SAMUTask else 3 * 12
    bins = 3 * 16000 + text if is_ours else 2 * 16000 + text
    cmd = make_cmd(balance_languages=balanced, batch_bins=bins, upsampling_factor=1.0)
    args = cls.get_parser().parse_args(cmd)
    args.frontend_conf = {"model_conf": speech_models["whisper"]}
    factory = cls.build_iter_factory(args, DistributedOption(), mode)
    batches = sorted(read(factory, 1), key=len)
    # by length, as without windows: the longest is alone, the longest comes first
    assert batches == [("utt2",), ("utt4", "utt1", "utt3")]
    write(train_folder / "speech_shape", {**SAMPLES, "utt3": 16001})
    message = "1 of 4 utterances are longer than .*, 1 s, e.g. utt3 with 1.00 s; set fr"
    with pytest.raises(ValueError, match=message):
        cls.build_iter_factory(args, DistributedOption(), mode)


def test_num_iters_and_resume(task):
    whole = build_iter_factory(task, batch_bins=1)
    passes = read(whole, 1) + read(whole, 2)
    assert len(passes) == 8
    pieces = build_iter_factory(task, batch_bins=1, num_iters_per_epoch=3)
    assert read(pieces, 1) + read(pieces, 2) == passes[:6]
    resumed = build_iter_factory(task, batch_bins=1, num_iters_per_epoch=3)
    assert read(resumed, 2) == passes[3:6]


def test_ranks(task, monkeypatch, tmp_path):
    cls, make_cmd = task
    alone = build_iter_factory(task, min_batch_size=2)
    expected = read(alone, 1)
    shutil.rmtree(tmp_path / "exp")
    args = cls.get_parser().parse_args(make_cmd())
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    parts = []
    for rank in (1, 0):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda: rank)
        factory = cls.build_iter_factory(
            args, DistributedOption(distributed=True), "train"
        )
        parts.insert(0, read(factory, 1))
        # only the first process writes
        assert (tmp_path / "exp" / "languages.json").exists() == (rank == 0)
    for batch, *pieces in zip(expected, *parts, strict=True):
        assert pieces == [batch[0::2], batch[1::2]] and len(batch) >= 2


def test_refused(task, train_folder):
    for conf, message in (
        ({"batch_type": "folded"}, "needs batch_type: numel: folded"),
        ({"iterator_type": "chunk"}, "needs iterator_type: sequence: chunk"),
        ({"multiple_iterator": True}, "needs multiple_iterator: false: true"),
        ({"shuffle_within_batch": True}, "needs shuffle_within_batch: false: true"),
        ({"upsampling_factor": 2}, "upsampling_factor must be .*: 2.0"),
    ):
        with pytest.raises(ValueError, match=f"{message}$"):
            build_iter_factory(task, **conf)
    write(train_folder / "utt2category", {"utt1": "fr_en", "utt2": "fr_en"})
    message = "utt2category: 2 of 4 training utterances .* e.g. utt3, utt4; add"
    with pytest.raises(ValueError, match=message):
        build_iter_factory(task)
    (train_folder / "utt2category").unlink()
    (train_folder / "utt2lang").unlink()
    with pytest.raises(FileNotFoundError, match="there is no utt2lang in '.*train'"):
        build_iter_factory(task)


@pytest.mark.parametrize("balanced", [True, False])
def test_batches_of_one_utterance_are_warned_of(task, caplog, balanced):
    build_iter_factory(task, batch_bins=10000, balance_languages=balanced)
    assert "so small" not in caplog.text
    build_iter_factory(task, batch_bins=100, balance_languages=balanced)
    assert "batch_bins: 100 is so small that each of the 4 " in caplog.text


@pytest.fixture
def sampler():
    """Two utterances of cy, one hour each, and eight of fr, half an hour each."""
    codes = np.repeat(np.arange(2), [2, 8]).astype(np.int32)
    utterances = np.array([f"utt{i}".encode() for i in range(10)])
    lengths = np.where(codes == 0, 57600000, 28800000)[:, None]
    shapes = Shapes(utterances, lengths, (1,))
    return BalancedSampler(shapes, Languages(("cy", "fr"), codes), 0.5, 10**9)


def test_table(sampler, tmp_path):
    languages = describe_languages(sampler, in_samples=True)
    # sqrt(2) : sqrt(8) = 1 : 2
    assert languages["cy"] == {
        "hours": 2.0,
        "utterances": 2,
        "share": 0.2,
        "expected_share": pytest.approx(1 / 3),
        "first_epoch_share": 0.3,
    }
    assert languages["fr"]["hours"] == 4.0
    assert languages["fr"]["first_epoch_share"] == 0.7
    save_languages(tmp_path, languages, upsampling_factor=0.5)
    content = json.loads((tmp_path / "languages.json").read_text())
    assert content["upsampling_factor"] == 0.5
    assert content["languages"]["fr"]["share"] == 0.8
    lines = (tmp_path / "languages.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    names = ["language", "hours", "utterances", "%", "% expected", "% in epoch 1"]
    assert rows[0] == names
    assert rows[2] == ["fr", "4.0", "8", "80.00", "66.67", "70.00"]
    assert rows[3] == ["cy", "2.0", "2", "20.00", "33.33", "30.00"]


def test_hours_are_unknown(sampler):
    languages = describe_languages(sampler, in_samples=False)
    assert languages["cy"]["hours"] is None
    assert "| fr       |     - |" in format_languages(languages)
