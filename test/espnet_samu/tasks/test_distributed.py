import pytest
import torch

from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.tasks.st import STTask

CONF = {
    "max_epoch": 3,
    "num_iters_per_epoch": 2,
    "optim_conf": {"lr": 0.5},
    "losses": {"cosine": {"weight": 1.0}, "contrastive": {"weight": 1.0}},
    "best_model_criterion": [["valid", "r1", "max"]],
}


@pytest.fixture(scope="module")
def trainings(samu_cmd, start_two, tmp_path_factory):
    """Folders of one process with four utterances a batch, and of two with two."""
    folder = tmp_path_factory.mktemp("distributed")
    processes = start_two(SAMUTask, samu_cmd(folder / "two", **CONF), folder)
    SAMUTask.main(cmd=samu_cmd(folder / "one", **CONF))
    for process in processes:
        process.join(timeout=240)
        assert process.exitcode == 0
    return folder / "one", folder / "two"


def test_two_processes_equal_one(trainings):
    one, two = (
        torch.load(folder / "checkpoint.pth", weights_only=True) for folder in trainings
    )
    keys = ("loss", "loss_cosine", "loss_contrastive", "cos_right")
    for epoch, stats in one["reporter"]["stats"].items():
        other = two["reporter"]["stats"][epoch]
        for key in keys:
            assert other["train"][key] == pytest.approx(stats["train"][key], abs=1e-4)
            assert other["valid"][key] == pytest.approx(stats["valid"][key], abs=1e-4)
        # over the whole set, though each process validates half of it
        for key in ("r1", "r1_speech_text", "r1_text_speech"):
            assert other["valid"][key] == pytest.approx(stats["valid"][key])
    losses = [stats["train"]["loss"] for stats in one["reporter"]["stats"].values()]
    assert losses[-1] < losses[0] - 0.01
    for name, value in one["model"].items():
        torch.testing.assert_close(two["model"][name], value, rtol=0, atol=1e-4)


@pytest.mark.timeout(120)
def test_cached_frames_in_two_processes(st_cmd, frontend_conf, start_two, tmp_path):
    """Each keeps those of its utterances, and both read all of them."""
    conf = {
        "max_epoch": 3,
        "num_iters_per_epoch": 2,
        "frontend_conf": {**frontend_conf, "freeze": True},
        "frames_cache_dtype": "float32",
    }
    cached = {**conf, "frames_cache_dir": str(tmp_path / "frames")}
    processes = start_two(STTask, st_cmd(tmp_path / "two", **cached), tmp_path)
    STTask.main(cmd=st_cmd(tmp_path / "one", **conf))
    for process in processes:
        process.join(timeout=240)
        assert process.exitcode == 0
    one, two = (
        torch.load(tmp_path / name / "checkpoint.pth", weights_only=True)["model"]
        for name in ("one", "two")
    )
    assert len(list((tmp_path / "frames").glob("*/*.frames"))) == 2
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-4)
