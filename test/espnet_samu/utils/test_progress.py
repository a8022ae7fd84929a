import io
import logging
import sys

from espnet_samu.utils import progress as module
from espnet_samu.utils.progress import progress


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


def test_bar_on_a_terminal(monkeypatch, caplog):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(progress("abcd", 4, "utterances")) == list("abcd")
    assert "4/4" in sys.stderr.getvalue()
    assert not caplog.records
