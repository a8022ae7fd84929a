import json
import runpy
import subprocess
import sys

import pytest
import torch
import yaml
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed

from espnet_samu import launch, registry


def run(*args, cwd=None):
    cmd = [sys.executable, "-m", "espnet_samu.launch", *map(str, args)]
    return subprocess.run(cmd, cwd=cwd, capture_output=True, text=True)


@pytest.mark.parametrize("args", [[], ["-m"], ["espnet2.bin.st_train", "--help"]])
def test_usage_error(args, capsys):
    with pytest.raises(SystemExit) as info:
        launch.main(args)
    assert info.value.code == 2
    assert capsys.readouterr().err.startswith("usage: python -m espnet_samu.launch -m")


def test_help(capsys):
    with pytest.raises(SystemExit) as info:
        launch.main(["--help"])
    assert info.value.code == 0
    assert "Run an ESPnet command with the plug-in present." in capsys.readouterr().err


@pytest.mark.parametrize(
    "module, ours",
    [
        ("espnet2.bin.st_train", "espnet_samu.bin.st_train"),
        ("espnet2.bin.st_inference", "espnet_samu.bin.st_inference"),
        ("espnet2.bin.asr_train", "espnet2.bin.asr_train"),
    ],
)
def test_maps(monkeypatch, module, ours):
    monkeypatch.setattr(sys, "argv", ["launch"])
    seen = []
    monkeypatch.setattr(runpy, "run_module", lambda *a, **kw: seen.append((a, kw)))
    launch.main(["-m", module, "-m", "x y"])
    # alter_sys would hide the launcher from a spawned child
    assert seen == [((ours,), {"run_name": "__main__", "alter_sys": False})]
    assert sys.argv == [ours, "-m", "x y"]


def test_arguments_and_exit_code(tmp_path):
    (tmp_path / "tiny.py").write_text("import sys\nprint(sys.argv[1:])\nsys.exit(7)\n")
    result = run("-m", "tiny", "a b", "-m", "", cwd=tmp_path)
    assert result.returncode == 7
    assert result.stdout == "['a b', '-m', '']\n"


def test_light(tmp_path):
    source = (
        "import runpy, sys\n"
        "sys.argv = ['x', '--help']\n"
        "try:\n"
        "    name = 'espnet2.bin.aggregate_stats_dirs'\n"
        "    runpy.run_module(name, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    heavy = {'torch', 'espnet2.tasks', 'transformers', 'yaml'}\n"
        "    print(end.code, sorted(heavy & set(sys.modules)))\n"
    )
    (tmp_path / "tiny.py").write_text(source)
    assert run("-m", "tiny", cwd=tmp_path).stdout.endswith("\n0 []\n")


@pytest.mark.timeout(120)
def test_spawned_child(tmp_path):
    """As ESPnet's GPU workers are started."""
    (tmp_path / "worker.py").write_text(
        "def work(queue):\n"
        "    import sys\n"
        "    early = [n for n in sys.modules if n.startswith('espnet2.tasks.')]\n"
        "    from espnet2.tasks.asr import frontend_choices\n"
        "    cls = frontend_choices.get_class('samu')\n"
        "    queue.put([early, cls.__module__, '__mp_main__' in sys.modules])\n"
    )
    (tmp_path / "tiny.py").write_text(
        "import json, multiprocessing, worker\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    queue = context.SimpleQueue()\n"
        "    child = context.Process(target=worker.work, args=(queue,))\n"
        "    child.start()\n"
        "    child.join()\n"
        "    print(json.dumps([child.exitcode, queue.empty() or queue.get()]))\n"
    )
    result = run("-m", "tiny", cwd=tmp_path)
    exitcode, answer = json.loads(result.stdout.splitlines()[-1])
    assert exitcode == 0, result.stderr
    assert answer == [[], "espnet_samu.frontend.samu", True]


@pytest.fixture(scope="module")
def asr_exp(st_cmd, tmp_path_factory):
    """What an ESPnet user makes: asr_train with our frontend, one update."""
    folder = tmp_path_factory.mktemp("asr")
    cmd = st_cmd(folder, "--frontend", "samu", decoder="transformer")
    conf = yaml.safe_load((folder / "train.yaml").read_text())
    for key in ("src_token_type", "src_token_list"):
        del conf[key]
    conf["decoder_conf"] = {"num_blocks": 1, "linear_units": 8, "dropout_rate": 0.0}
    conf["model_conf"] = {"ctc_weight": 0.5}
    (folder / "train.yaml").write_text(yaml.safe_dump(conf))
    result = run("-m", "espnet2.bin.asr_train", *cmd)
    assert result.returncode == 0, result.stderr[-2000:]
    return folder


@pytest.mark.timeout(60)
def test_asr_train(asr_exp):
    from espnet2.tasks.asr import ASRTask

    set_all_random_seed(yaml.safe_load((asr_exp / "train.yaml").read_text())["seed"])
    model, args = ASRTask.build_model_from_file(asr_exp / "config.yaml")
    assert args.frontend == "samu"
    trained = torch.load(asr_exp / "1epoch.pth")
    before = model.state_dict()
    assert trained.keys() == before.keys()
    moved = {k for k in trained if not torch.equal(trained[k], before[k])}
    convolutions = {k for k in trained if ".feature_extractor." in k}
    assert convolutions and not convolutions & moved
    assert "frontend.model.feature_projection.projection.weight" in moved
    assert "ctc.ctc_lo.weight" in moved
    assert all(torch.isfinite(trained[k]).all() for k in moved)


@pytest.mark.timeout(60)
def test_asr_inference(asr_exp):
    """ESPnet's own class, in a process that registered the plug-in."""
    registry.install()
    from espnet2.bin.asr_inference import Speech2Text

    speech2text = Speech2Text(
        asr_exp / "config.yaml", asr_exp / "1epoch.pth", beam_size=2, maxlenratio=-3
    )
    frontend = speech2text.asr_model.frontend
    # By name: a test may have loaded the module anew.
    assert type(frontend).__module__ == "espnet_samu.frontend.samu"
    speech = torch.randn(8000, generator=torch.Generator().manual_seed(0))
    text, tokens, _, _ = speech2text(speech.numpy())[0]
    assert isinstance(text, str) and len(tokens) <= 3


def test_asr_starts_from_all_of_a_student(samu_cmd, st_cmd, tmp_path):
    """Though its checkpoint has the trained parameters alone."""
    from espnet2.tasks.asr import ASRTask

    from espnet_samu.tasks.samu import SAMUTask

    trainable = ["none", ["layer_norm", True]]
    samu = samu_cmd(tmp_path / "samu", save_trained_only=True, trainable=trainable)
    SAMUTask.main(cmd=samu)
    student = torch.load(tmp_path / "samu" / "1epoch.pth")
    frozen = torch.load(tmp_path / "samu" / "base.pth")
    assert not student.keys() & frozen.keys()
    asr = tmp_path / "asr"
    cmd = st_cmd(asr, decoder="transformer")
    conf = yaml.safe_load((asr / "train.yaml").read_text())
    for key in ("src_token_type", "src_token_list"):
        del conf[key]
    conf["decoder_conf"] = {"num_blocks": 1, "linear_units": 8}
    conf["model_conf"] = {}
    conf["optim_conf"] = {"lr": 0.0}
    conf["seed"] = 4  # other random weights
    conf["init_param"] = [f"{tmp_path}/samu/1epoch.pth:frontend:frontend"]
    (asr / "train.yaml").write_text(yaml.safe_dump(conf))
    ASRTask.main(cmd=cmd)
    state = torch.load(asr / "1epoch.pth")
    names = [name for name in state if name.startswith("frontend.")]
    assert len(names) > 40
    for name in names:
        assert torch.equal(state[name], {**student, **frozen}[name]), name
