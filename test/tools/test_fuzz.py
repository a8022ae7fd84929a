"""A slice of the fuzz suite, and what it must not let pass."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "tools" / "fuzz.py"


@pytest.fixture(scope="module")
def fuzz():
    """The module, with its hook."""
    spec = importlib.util.spec_from_file_location("fuzz", FUZZ)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module  # so that its classes can be pickled
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def watch(fuzz):
    """Its hook, of which a process has one."""
    return fuzz.Watch()


def lose(case, cmd):
    """Keep one utterance of two."""
    case.output.mkdir()
    (case.output / "kept").write_text("utt0\n")


def write_outside(case, cmd):
    with open(case.folder.parent / "outside", "w"):
        pass


def write_beside_the_output(case, cmd):
    (case.folder / "output").mkdir()


def change_input(case, cmd):
    os.truncate(case.input / "file", 0)


def raise_key_error(case, cmd):
    return {}["key"]


def refuse(case, cmd):
    raise FileNotFoundError("there is no such file")


@pytest.mark.parametrize(
    "command, outcome",
    [
        (lose, "lost"),
        (write_outside, "outside"),
        (write_beside_the_output, "outside"),
        (change_input, "outside"),
        (raise_key_error, "traceback"),
        (refuse, "refused"),
        (lambda case, cmd: None, "accepted"),
        (lambda case, cmd: 1, "traceback"),  # without a message
        (lambda case, cmd: subprocess.run(["true"]), "executed"),
        (lambda case, cmd: os.system(f"touch {case.canary}"), "executed"),
        (lambda case, cmd: case.canary.touch(), "executed"),
    ],
)
def test_violations(fuzz, watch, tmp_path, monkeypatch, command, outcome):
    def make(case):
        (case.input / "file").write_text("content")
        utts = {"utt0", "utt1"} if command is lose else set()

        def find_lost():
            return utts - set(fuzz.ids_of(case.output / "kept"))

        return fuzz.Call(lambda cmd: command(case, cmd), [], find_lost)

    monkeypatch.setitem(fuzz.KINDS, "try", (make, 1))
    assert fuzz.run_case("try/0", 1, tmp_path, watch)[0] == outcome


@pytest.mark.parametrize(
    "kind, cases", [("manifest", 12), ("batches", 8), ("covost2", 8)]
)
def test_slice(fuzz, watch, tmp_path, kind, cases):
    found = [fuzz.run_case(f"{kind}/{i}", 7, tmp_path, watch) for i in range(cases)]
    assert {outcome for outcome, _ in found} <= set(fuzz.OUTCOMES), found
    assert {"accepted", "refused"} == {outcome for outcome, _ in found}
