import dataclasses
import json
import subprocess
import sys

import pytest

from espnet_samu.scoring.significance import Significance, paired_bootstrap
from espnet_samu.scoring.system_result import Direction
from espnet_samu.scoring.translation import MetricSettings

WORDS = "the old house by the green river was not very far from our small town".split()
REFS = {f"u{i}": " ".join(WORDS[i % 5 : 6 + i % 9]) for i in range(30)}
BASE = {
    u: " ".join(w if (i + j) % 3 else "x" for j, w in enumerate(ref.split()))
    for i, (u, ref) in enumerate(REFS.items())
}
BETTER = {u: REFS[u] if i % 3 else hyp for i, (u, hyp) in enumerate(BASE.items())}
ALIKE = {
    u: " ".join(w if (i + j) % 3 else "x" for j, w in enumerate(REFS[u].split(), 1))
    for i, u in enumerate(REFS)
}
SYSTEMS = {"better": BETTER, "base": BASE, "alike": ALIKE}
DIRECTIONS = {"fr": Direction("fr", "fr", "en", tuple(REFS))}
SETTINGS = MetricSettings(("bleu", "chrf", "ter"))


def test_equals_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    tests = paired_bootstrap("base", SYSTEMS, REFS, DIRECTIONS, SETTINGS, 100)
    for name, hyps in {"ref": REFS, **SYSTEMS}.items():
        (tmp_path / name).write_text("".join(f"{hyp}\n" for hyp in hyps.values()))
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "base", "better"]
    command += "alike --ter-case-sensitive --paired-bs --paired-bs-n 100".split()
    command += "--quiet --no-color -w 10".split()

    def run(*options):
        done = subprocess.run(
            [*command, *options], cwd=tmp_path, stdout=subprocess.PIPE, check=True
        )
        return done.stdout.decode()

    systems = tests.scores["fr"]
    assert [*systems] == ["base", "better", "alike"]
    for ours, theirs in zip(systems.values(), json.loads(run("--format", "json"))):
        assert dataclasses.asdict(ours["bleu"]) == theirs["BLEU"]
    # sacreBLEU's JSON breaks at the float32 of the other metrics.
    printed = run("--format", "text", "-m", "bleu", "chrf", "ter")
    for ours in systems.values():
        for s in ours.values():
            assert f"{s.score:.10f} ({s.mean:.10f} ± {s.ci:.10f})" in printed
            assert s.p_value is None or f"(p = {s.p_value:.4f})" in printed
    assert systems["base"]["bleu"].p_value is None
    # Nothing of 100 samples was as different: 1 / 101
    assert systems["better"]["bleu"].p_value == pytest.approx(1 / 101)
    assert systems["alike"]["bleu"].p_value > 0.05
    for signature in tests.signatures["fr"].values():
        assert "bs:100|seed:7|" in signature


def test_by_direction(monkeypatch):
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)
    half = tuple(REFS)[:15]
    directions = {**DIRECTIONS, "es": Direction("es", "es", "en", half)}
    tests = paired_bootstrap("base", SYSTEMS, REFS, directions, samples=40)
    alone = paired_bootstrap(
        "base",
        SYSTEMS,
        {u: REFS[u] for u in half},
        {"es": directions["es"]},
        samples=40,
    )
    assert tests.scores["es"] == alone.scores["es"]
    assert tests.scores["es"] != tests.scores["fr"]
    assert "seed:12345" in tests.signatures["es"]["chrf"]
    assert [(name, key) for name, key, _ in tests.rows()][2:4] == [
        ("alike", "fr"),
        ("base", "es"),
    ]
    again = Significance.from_dict(json.loads(json.dumps(tests.to_dict())))
    assert again == tests


def test_refused(monkeypatch):
    for baseline, systems, samples, message in (
        ("xx", SYSTEMS, 40, "baseline must be one of .*: 'xx'"),
        ("base", {"base": BASE}, 40, "two or more systems .*: 'base'"),
        ("base", SYSTEMS, 39, "samples must be at least 40: 39"),
    ):
        with pytest.raises(ValueError, match=message):
            paired_bootstrap(baseline, systems, REFS, DIRECTIONS, samples=samples)
    for seed in ("0", "none"):
        monkeypatch.setenv("SACREBLEU_SEED", seed)
        with pytest.raises(ValueError, match=f"must be a number from 1.*'{seed}'"):
            paired_bootstrap("base", SYSTEMS, REFS, DIRECTIONS, samples=40)
