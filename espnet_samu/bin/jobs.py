#!/usr/bin/env python3
"""What a scheduler's jobs do not get from the shell, and what ended a failed job."""

import argparse
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet_samu.utils.command import run

CONFIGS = {
    "slurm.pl": "conf/slurm.conf",
    "queue.pl": "conf/queue.conf",
    "queue-freegpu.pl": "conf/queue.conf",
    "pbs.pl": "conf/pbs.conf",
}
"""Where ESPnet's scripts read how to submit a job."""

# Where models are, and the way to them.
_VARIABLES = (
    *("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT", "HF_TOKEN"),
    *("TRANSFORMERS_OFFLINE", "http_proxy", "https_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)

# Lines of a scheduler's log, or of run.pl's and slurm.pl's at the end of a job's log.
# Those of a scheduler say more than the status that they lead to.
# Some name the node, too: `slurmstepd-node1: error: ...`.
_STEP = r"slurmstepd(-\S+)?: error: "
_ENDS = {
    rf"{_STEP}.*CANCELLED AT .* DUE TO TIME LIMIT": "hit its time limit",
    rf"{_STEP}.*oom.kill": "ran out of memory",
    rf"{_STEP}.*CANCELLED AT ": "was cancelled",
    r"# .*(with status|\(code) 137\b": "was killed, mostly for being out of memory",
}
_ERROR = re.compile(r"([A-Za-z_.]*(Error|Exception)|[A-Za-z_.]+: error)\b")


def find_unexported(command: str, variables: Mapping[str, str]) -> str | None:
    """Return a warning of variables that jobs will not have, or None.

    Args:
        command: ``cuda_cmd`` or another of ``cmd.sh``; ESPnet's scripts run on this
            machine or have a configuration, whose default exports PATH alone.
        variables: Those of the shell.
    """
    script, *options = shlex.split(command)
    if Path(script).name not in CONFIGS:
        return None
    config = CONFIGS[Path(script).name]
    if "--config" in options[:-1]:
        config = options[options.index("--config") + 1]
    lines = (
        Path(config).read_text("utf-8").splitlines() if Path(config).exists() else []
    )
    submit = next((s[8:].split("#")[0] for s in lines if s.startswith("command ")), "")
    words = re.split(r"[\s,=]+", submit)
    exports_all = "-V" in words or "ALL" in words
    if exports_all or (words[0] == "sbatch" and "--export" not in words):
        return None
    missing = [v for v in _VARIABLES if variables.get(v) and v not in words]
    if not missing:
        return None
    return (
        f"Warning: {', '.join(missing)}: set here, but not in the jobs, for "
        f"'{config}' says 'command {submit.strip()}'. Write "
        f"'PATH,{','.join(missing)}' for 'PATH' there"
    )


def find_error(logs: Sequence[Path]) -> str:
    """Return what ended jobs: their scheduler's reason, or their last error.

    Args:
        logs: Of the jobs. The scheduler's own are in ``q/`` beside them.
    """
    files = [f for log in logs for f in (log, log.parent / "q" / log.name)]
    texts = {
        f: f.read_text("utf-8", "replace").splitlines() for f in files if f.exists()
    }
    for pattern, end in _ENDS.items():
        for file, lines in texts.items():
            if any(re.match(pattern, line) for line in lines):
                return f"Error: a job {end}: see {file}"
    errors = [s for lines in texts.values() for s in lines if _ERROR.match(s)]
    if errors:
        return errors[-1]
    for file in texts:
        if file not in logs and not (file.parents[1] / file.name).exists():
            return (
                f"Error: a job never began; was it cancelled in the queue? See {file}"
            )
    named = " ".join(map(str, logs))
    return f"Error: a job ended without an error message; was it killed? See {named}"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Print what ended failed jobs, one line."
    )
    parser.add_argument(
        "--log", nargs="+", type=Path, required=True, help="Logs of the jobs"
    )
    return parser


def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    print(find_error(get_parser().parse_args(cmd).log))


if __name__ == "__main__":
    run(main)
