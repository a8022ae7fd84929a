import pytest

from espnet_samu.bin.jobs import find_error, find_unexported, main

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HOME": "", "PATH": "/bin", "USER": "me"}
NODE = "slurmstepd: error: *** JOB 12 ON node CANCELLED AT 2026-11-28T23:00:00"
OOM = "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=12.batch. Some of your"


@pytest.mark.parametrize(
    "command, config, line, missing",
    [
        ("slurm.pl", "slurm", "sbatch --export=PATH", True),
        ("slurm.pl --mem 4G", "slurm", "sbatch --export=PATH,HF_HOME", True),
        ("slurm.pl", "slurm", "sbatch --export=PATH,HF_HUB_OFFLINE  # ours", False),
        ("slurm.pl", "slurm", "sbatch --export ALL", False),
        ("slurm.pl", "slurm", "sbatch -p cpu", False),
        ("slurm.pl --config conf/mine.conf", "mine", "sbatch --export=PATH", True),
        ("slurm.pl --config conf/mine.conf", "slurm", "sbatch --export=PATH", True),
        ("queue-freegpu.pl --mem 2G", "queue", "qsub -v PATH -cwd", True),
        ("queue.pl", "queue", "qsub -v PATH,HF_HUB_OFFLINE -cwd", False),
        ("pbs.pl", "pbs", "qsub -V -v PATH -S /bin/bash", False),
        ("run.pl", "slurm", "sbatch --export=PATH", False),
    ],
)
def test_unexported(tmp_path, monkeypatch, command, config, line, missing):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    text = f"# Default\ncommand {line}\noption gpu=0 -p cpu\n"
    (tmp_path / "conf" / f"{config}.conf").write_text(text)
    found = find_unexported(command, OFFLINE)
    assert (found is not None) == missing
    if missing:
        assert (
            "HF_HUB_OFFLINE: set here" in found and "HF_HOME" not in found.split(":")[1]
        )
        assert "'PATH,HF_HUB_OFFLINE' for 'PATH' there" in found
    assert find_unexported(command, {"PATH": "/bin"}) is None


@pytest.mark.parametrize(
    "queue, log, said",
    [
        (f"{NODE} ***", "loading", "Error: a job was cancelled: see {q}"),
        (
            f"{NODE.replace('slurmstepd', 'slurmstepd-node')} ***",
            "loading",
            "Error: a job was cancelled: see {q}",
        ),
        (
            f"{NODE} DUE TO TIME LIMIT ***",
            "",
            "Error: a job hit its time limit: see {q}",
        ),
        (
            OOM,
            "# Finished at x with status 137",
            "Error: a job ran out of memory: see {q}",
        ),
        ("", "# Finished at x with status 137", "Error: a job was killed, mostly for "),
        (
            "",
            "# Ended (code 137) at x",
            "Error: a job was killed, mostly for being out ",
        ),
        ("", "ValueError: 3\n# Ended (code 1) at 137", "ValueError: 3"),
        (
            "Submitted batch job 137",
            "said nothing",
            "Error: a job ended without an error message",
        ),
    ],
)
def test_what_ended_a_job(tmp_path, capsys, queue, log, said):
    job = tmp_path / "train.log"
    job.write_text(f"# python\n{log}\n")
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "train.log").write_text(f"{queue}\n")
    main(["--log", str(job)])
    output = capsys.readouterr().out
    assert output.startswith(said.format(q=tmp_path / "q" / "train.log"))


def test_the_last_error_of_several_jobs(tmp_path):
    logs = [tmp_path / f"job.{i}.log" for i in range(3)]
    logs[0].write_text("Error: first\n")
    logs[1].write_text("a.py: error: wrong option\nthe end\n")
    assert find_error(logs) == "a.py: error: wrong option"


def test_a_job_that_never_began(tmp_path):
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "train.log").write_text("Submitted batch job 3\n")
    error = find_error([tmp_path / "train.log"])
    assert error.startswith("Error: a job never began") and "q/train.log" in error
