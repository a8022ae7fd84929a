"""Tests of espnet_samu.bin.watch."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from espnet_samu.bin.watch import Watcher

ROOT = Path(__file__).parents[3]
# Lines of ESPnet's trainer
STARTED = "[node] 2026-01-01 10:00:00,000 (trainer:334) INFO: {}/{}epoch started"
BATCHES = (
    "[node] 2026-01-01 10:00:00,000 (trainer:810) INFO: {}epoch:train:1-{}batch: "
    "iter_time=0.2, loss_cosine=1.0, loss={}, batch_r1=0.5"
)
RESULTS = (
    "[node] 2026-01-01 10:00:00,000 (trainer:392) INFO: {}epoch results: "
    "[train] iter_time=0.2, loss={}, acc=0.000e+00, time=2 seconds, total_count=3, "
    "[valid] loss=9.0, {}, time=1 seconds, total_count=3"
)


class Clock:
    """Seconds that the test sets."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def add(path, *lines):
    """Append lines to a log."""
    with path.open("a") as f:
        f.writelines(f"{line}\n" for line in lines)


def test_training(tmp_path, clock):
    log = tmp_path / "train.log"
    # a line of an earlier run is none of this one's
    add(log, STARTED.format(1, 9))
    watcher = Watcher([str(log)], clock=clock)
    clock.now = 5
    assert watcher.line() == f"[0:05] no line yet in {log}"
    log.rename(tmp_path / "train.1.log")
    (tmp_path / "config.yaml").write_text("accum_grad: 2\nnum_iters_per_epoch: 40\n")
    add(log, "# Started at", STARTED.format(3, 4))
    clock.now = 60
    assert watcher.line() == "[1:00] epoch 3 of 4"
    add(log, BATCHES.format(3, 20, "2.125"))
    clock.now = 90
    # half an epoch in 30 s, 1.5 are left
    assert watcher.line() == (
        "[1:30, about 1:30 left] epoch 3 of 4, update 10 of 20, loss 2.125"
    )
    add(log, RESULTS.format(3, "2.0", "acc=0.1, r1_speech_text=0.3, r1=0.625"))
    add(log, STARTED.format(4, 4) + ". Estimated time to finish: 4.22 seconds")
    clock.now = 3660
    assert watcher.line() == (
        "[1:01:00, about 1:00:00 left] "
        "epoch 4 of 4, loss 2.000, R@1 0.625 after epoch 3"
    )


def test_translation_has_accuracy_and_passes_have_a_size(tmp_path, clock):
    log = tmp_path / "train.log"
    watcher = Watcher([str(log)], clock=clock)
    size = "x INFO: Pass 1 through the training data: 30 batches of 4 to 30 utterances"
    values = "acc_asr=nan, acc=0.412, bleu=nan"
    add(log, STARTED.format(1, 2), size, RESULTS.format(1, "1.5", values))
    add(log, STARTED.format(2, 2), BATCHES.format(2, 10, "1.25"))
    assert watcher.line() == (
        "[0:00] epoch 2 of 2, update 10 of 30, loss 1.25, accuracy 0.412 after epoch 1"
    )


def test_jobs_are_added_up(tmp_path, clock):
    logs = [tmp_path / "test" / "logdir" / f"st_inference.{i}.log" for i in (1, 2)]
    logs[0].parent.mkdir(parents=True)
    watcher = Watcher([f"{tmp_path}/*/logdir/st_inference.*.log"], clock=clock)
    add(logs[0], "x (command:41) INFO: 10 of 40 utterances, 2.0 a second")
    add(logs[1], "# started")
    # how much is left is not known before all have begun
    assert watcher.line() == "[0:00] test: 10 of 40 utterances, 0 of 2 jobs ended"
    add(logs[1], "x (command:41) INFO: 10 of 60 utterances, 2.0 a second")
    assert watcher.line() == "[0:00] test: 20 of 100 utterances, 0 of 2 jobs ended"
    add(logs[0], "# Ended (code 0) at")
    clock.now = 30
    assert watcher.line() == (
        "[0:30, about 0:50 left] test: 50 of 100 utterances, 1 of 2 jobs ended"
    )


@pytest.mark.parametrize(
    "name, line, shown",
    [
        ("teacher.log", "INFO: fr: 512/1000 sentences, 30/s", "512 of 1000 sentences"),
        (
            "teacher.log",
            "INFO: update 100/400: loss 0.25",
            "100 of 400 updates, loss 0.25",
        ),
        # tqdm's lines end in carriage returns
        ("logs/format_wav_scp.2.log", "\r1it [0s]\r2it [1s]", "2 of 3 recordings"),
        ("logdir/stats.1.log", "x INFO: Niter: 300", "300 batches"),
        ("teacher.log", "loading", "started"),
    ],
)
def test_lines_of_other_stages(tmp_path, clock, name, line, shown):
    log = tmp_path / "set" / name
    log.parent.mkdir(parents=True)
    (log.parent / "wav.2.scp").write_text("a\nb\nc\n")
    watcher = Watcher([str(log)], clock=clock)
    add(log, line)
    label = "" if name == "teacher.log" else "set: "
    assert watcher.line() == f"[0:00] {label}{shown}"


def test_it_is_light():
    code = "import sys, espnet_samu.bin.watch; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert not {"torch", "numpy", "espnet2", "transformers"} & {*loaded}


@pytest.fixture
def script(tmp_path):
    """A script with samu_st.sh's watch_log, whose command writes to train.log."""
    shell = (ROOT / "egs2/TEMPLATE/samu_st1/samu_st.sh").read_text("utf-8")
    function = re.search(r"^watch_log\(\) \{.*?^\}$", shell, re.M | re.S)[0]
    (tmp_path / "script.sh").write_text(
        f"set -euo pipefail\npython={sys.executable}\n{function}\n"
        "work() {\n    echo 'x INFO: 1/3epoch started' > train.log\n"
        "    while [ -e busy ]; do sleep 0.05; done\n    return 7\n}\n"
        "status=0\nwatch_log train.log work || status=$?\n"
        'echo "status ${status}, children: $(pgrep -P $$ -f bin.watch)"\n'
    )
    return ["bash", "script.sh"]


def test_without_a_terminal(script, tmp_path):
    # shorter than 30 s: nothing is added
    run = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("status 7, children: \n", "")
    (tmp_path / "train.log").unlink()
    command = [sys.executable, "-m", "espnet_samu.bin.watch", "train.log"]
    with subprocess.Popen(
        [*command, "--seconds", "0"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as watch:
        assert re.fullmatch(
            r"20\d\d-[-\dT:]+ \(watch\) \[0:0\d\] no line yet in train.log",
            watch.stdout.readline().rstrip("\n"),
        )
        watch.terminate()
        assert watch.wait(5) == 0


def test_on_a_terminal(script, tmp_path):
    main, other = pty.openpty()
    (tmp_path / "busy").touch()
    with subprocess.Popen(
        script, cwd=tmp_path, stdin=other, stdout=other, stderr=other
    ):
        os.close(other)
        shown = b""
        while b"epoch 1 of 3\r" not in shown:
            shown += os.read(main, 1000)
        (tmp_path / "busy").unlink()
        while b"children" not in shown:
            shown += os.read(main, 1000)
    os.close(main)
    assert re.search(rb"\r\x1b\[K\[0:0\d\] epoch 1 of 3\r", shown)
    # the line is gone before the script goes on
    assert b"\r\x1b[Kstatus 7, children: \r" in shown


def is_alive(pid):
    """Whether a process runs; what nobody waits for has no command line."""
    path = Path(f"/proc/{pid}/cmdline")
    return path.exists() and path.read_bytes() != b""


def test_it_ends_with_its_script(script, tmp_path):
    (tmp_path / "busy").touch()
    with subprocess.Popen(script, cwd=tmp_path, start_new_session=True) as run:
        try:
            find = ["pgrep", "-P", str(run.pid), "-f", "bin.watch"]
            while not (found := subprocess.run(find, capture_output=True).stdout):
                time.sleep(0.05)
            run.kill()
            run.wait()
            # with a slow start, it is another process's child by then
            while is_alive(int(found)):
                time.sleep(0.05)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
