"""Tests of espnet_samu.utils.command."""

import io
import json
import logging
import re
import shutil
import sys
from argparse import ArgumentParser
from pathlib import Path

import pytest
import yaml
from espnet2.train.class_choices import ClassChoices

from espnet_samu.utils import command as module
from espnet_samu.utils.atomic import atomic_write
from espnet_samu.utils.command import progress, run


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_in_a_log(monkeypatch, caplog):
    now = iter([0.0, 10.0, 31.0, 50.0, 62.0])  # seconds at the start and after each
    monkeypatch.setattr(module.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with caplog.at_level(logging.INFO):
        assert list(progress("abcd", 4, "utterances", seconds=30)) == list("abcd")
    assert [record.getMessage() for record in caplog.records] == [
        "2 of 4 utterances, 0.1 a second",
        "4 of 4 utterances, 0.1 a second",
    ]
    caplog.clear()
    now = iter([0.0, 40.0])
    with caplog.at_level(logging.INFO):
        assert list(progress("a", None, "sentences of x")) == ["a"]
    assert caplog.messages == ["1 sentences of x, 0.0 a second"]


def test_bar_on_a_terminal(monkeypatch, caplog):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(progress("abcd", 4, "utterances")) == list("abcd")
    assert "4/4" in sys.stderr.getvalue()
    assert not caplog.records


ROOT = Path(__file__).parents[3]


def ends(main, *options):
    """Return the exit status of a command."""
    with pytest.raises(SystemExit) as end:
        run(main, options)
    return end.value.code


def recipe_mistake(cmd):
    """Find a mistake as a recipe's own code does."""
    raise ValueError("a.tsv:3: no text")


def espnet_mistake(cmd):
    """Name a class that ESPnet does not know."""
    ClassChoices("frontend", {"default": int}, default="default").get_class("samu")


def hostile_mistake(cmd):
    """Name what a file says."""
    raise ValueError("a.tsv:3: '\x1b[2J\u202e'")


MISTAKES = {
    "control characters": (hostile_mistake, r"a.tsv:3: '\x1b[2J\u202e'"),
    "no such file": (
        lambda cmd: open("/no/file"),
        "[Errno 2] No such file or directory: '/no/file'",
    ),
    "a missing module": (
        lambda cmd: __import__("no_such_module"),
        "No module named 'no_such_module'",
    ),
    "the recipe's own": (recipe_mistake, "a.tsv:3: no text"),
    "the package's": (
        lambda cmd: atomic_write("file", "r").__enter__(),
        "mode must be 'w' or 'wb': 'r'",
    ),
    "a YAML file": (
        lambda cmd: yaml.safe_load("frontend: {"),
        "while parsing a flow node expected the node content, but found",
    ),
    "ESPnet's": (espnet_mistake, "--frontend must be one of ('default',): "),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(capsys, name):
    main, message = MISTAKES[name]
    assert ends(main) == 1
    output, error = capsys.readouterr()
    assert error.startswith(f"Error: {message}")
    assert error.count("\n") == 1
    assert output == ""


BUGS = {
    "a value that nobody checked": (lambda cmd: int("a"), ValueError),
    "another library's ValueError": (lambda cmd: json.loads("{"), ValueError),
    "a key that is not there": (lambda cmd: {}["a"], KeyError),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_keeps_its_traceback(name):
    main, error = BUGS[name]
    with pytest.raises(error):
        run(main, [])


def test_debug_shows_the_traceback_too(capsys):
    assert ends(recipe_mistake, "--debug") == 1
    error = capsys.readouterr().err
    assert error.startswith("Traceback")
    assert "in recipe_mistake" in error
    assert error.endswith("\nError: a.tsv:3: no text\n")


def test_a_training_on_a_full_disk(tmp_path, monkeypatch, capsys):
    def train(cmd):
        raise RuntimeError("unexpected pos 576 vs 534")

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    assert ends(train, "--output_dir", str(tmp_path)) == 1
    error = f"Error: [Errno 28] No space left on device: '{tmp_path}'\n"
    assert capsys.readouterr().err == error


def test_status_and_arguments():
    seen = []
    assert ends(seen.extend, "--a", "--debug", "b") == 0
    assert seen == ["--a", "b"]
    assert ends(lambda cmd: 3) == 3


def test_help_has_debug(capsys):
    assert ends(ArgumentParser().parse_args, "--help") == 0
    assert "  --debug               Show the traceback" in capsys.readouterr().out


def test_every_command_ends_this_way():
    commands = [
        path
        for folder in ("espnet_samu/bin", "egs2/*/samu_st1/local")
        for path in ROOT.glob(f"{folder}/*.py")
        # They run in a Python without packages.
        if path.name not in ("make_downloads.py", "new_recipe.py")
    ]
    ended = {
        p.name: re.findall("__main__.*\n    (.*)", p.read_text()) for p in commands
    }
    ended = {name: last for name, last in ended.items() if last}
    assert len(ended) >= 20
    assert {name for name, last in ended.items() if last != ["run(main)"]} == set()
