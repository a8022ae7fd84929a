"""Tests of study.run_file."""

import dataclasses
import json
from pathlib import Path

import pytest

from study.run_file import (
    RunUtterance,
    StudyRun,
    read_run,
    read_runs,
    run_path,
    write_run,
)

UTT = RunUtterance("it-1", "it", "two messages", "ten messages", 0, 0, 1)
RUN = StudyRun(
    arm="c_frozen",
    letter="c",
    seed=2,
    settings={"hash": "0123abcd"},
    status="ok",
    updates={"distillation": 1800, "translation": 1200},
    seconds={"distillation": 700.5, "translation": 200.0, "decoding": 30.0},
    machine="2 cores, no GPU",
    versions={"torch": "2.14.1"},
    retrieval={"test": {"it": 0.97}},
    curves={"translation": [{"epoch": 1, "acc": 0.5}, {"epoch": 2, "acc": 0.75}]},
    dev={"acc": 0.75, "bleu": {"es": 70.25}},
    utterances={
        "test": (UTT, dataclasses.replace(UTT, id="ru-1", lang="ru", hyp="é \n")),
        "test_menardi": (),
    },
)


def test_run_is_read_as_it_was_written(tmp_path: Path):
    path = run_path(tmp_path, RUN.arm, RUN.seed)
    write_run(path, RUN)
    assert path == tmp_path / "c_frozen" / "seed2.json"
    assert read_run(path) == RUN
    assert read_runs(tmp_path) == [RUN]


def test_file_has_sorted_keys_and_an_utterance_a_line(tmp_path: Path):
    write_run(tmp_path / "run.json", RUN)
    lines = (tmp_path / "run.json").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if '"id"' in line] == [
        '{"exact": 0, "hyp": "ten messages", "id": "it-1", "lang": "it", '
        '"ref": "two messages", "slots": 1, "slots_right": 0},',
        '{"exact": 0, "hyp": "é \\n", "id": "ru-1", "lang": "ru", '
        '"ref": "two messages", "slots": 1, "slots_right": 0}',
    ]
    keys = list(json.loads("\n".join(lines)))
    assert keys == sorted(keys) and keys[1] == "curves"


def test_failed_run_has_its_error_and_nothing_else(tmp_path: Path):
    run = StudyRun("b", "b", 1, {"hash": "x"}, "failed", error="exit status 1")
    write_run(tmp_path / "run.json", run)
    assert read_run(tmp_path / "run.json") == run


def test_runs_are_sorted_by_arm_and_seed(tmp_path: Path):
    for arm, seed in (("k", 1), ("b", 10), ("b", 9)):
        run = dataclasses.replace(RUN, arm=arm, seed=seed)
        write_run(run_path(tmp_path, arm, seed), run)
    runs = [(run.arm, run.seed) for run in read_runs(tmp_path)]
    assert runs == [("b", 9), ("b", 10), ("k", 1)]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"status": "done"}, "status must be one of .*: 'done'"),
        ({"status": "failed"}, "a failed run has an error"),
        ({"error": "x"}, "a failed run has an error"),
        ({"seed": -1}, "seed must not be negative: -1"),
        ({"settings": {}}, "settings must have a hash"),
        ({"utterances": {"test": ()}}, "utterances of a run .* must not be empty"),
        ({"arm": ""}, "arm and letter must not be empty"),
    ],
)
def test_impossible_run_is_refused(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RUN, **changes)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"format": 2}, "not a run of format 1"),
        ({"extra": 1}, r"missing or unknown fields: \['extra'\]"),
        ({"seed": "1"}, "seed must be a whole number: '1'"),
        ({"curves": []}, "curves must be an object"),
        ({"utterances": []}, "utterances must be an object"),
        ({"machine": None}, "machine must be a string"),
        ({"utterances": {"test": [{"id": "a"}]}}, "an utterance has the fields"),
    ],
)
def test_wrong_file_is_named_with_its_fault(
    changes: dict, message: str, tmp_path: Path
):
    path = tmp_path / "run.json"
    write_run(path, RUN)
    table = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"run\.json: not the file.*{message}"):
        read_run(path)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"exact": 2}, "exact must be 0 or 1: 2"),
        ({"exact": True}, "exact of an utterance must be int: True"),
        ({"slots_right": 2}, r"slots_right must be 0 to slots \(1\): 2"),
        ({"hyp": None}, "hyp of an utterance must be str: None"),
    ],
)
def test_wrong_utterance_is_refused(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        RunUtterance.from_dict(UTT.to_dict() | changes)


def test_half_a_file_and_a_second_utterance_of_an_id_are_refused(tmp_path: Path):
    path = tmp_path / "run.json"
    write_run(path, RUN)
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: len(text) // 2], encoding="utf-8")
    with pytest.raises(ValueError, match="run.json: not the file of a run"):
        read_run(path)
    twice = {"test": [UTT.to_dict(), UTT.to_dict()]}
    with pytest.raises(ValueError, match="utterances of test must have different ids"):
        StudyRun.from_dict(RUN.to_dict() | {"utterances": twice})


def test_file_at_another_place_is_refused(tmp_path: Path):
    write_run(tmp_path / "b" / "seed1.json", RUN)
    with pytest.raises(ValueError, match="seed1.json: arm 'c_frozen', seed 2"):
        read_runs(tmp_path)


def test_figure_that_is_not_finite_is_refused(tmp_path: Path):
    run = dataclasses.replace(RUN, dev={"acc": float("nan")})
    with pytest.raises(ValueError):
        write_run(tmp_path / "run.json", run)
    assert not (tmp_path / "run.json").exists()
