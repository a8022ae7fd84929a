import json

import pytest

from espnet_samu.report.results import read_results

ROW = {"utterances": 4, "bleu": 10.0, "length_ratio": 1.0}
SYSTEM = {
    "means": {
        "supervised": {**ROW, "mean_of": ["es"]},
        "zero-shot": {**ROW, "mean_of": ["it", "ru"]},
    },
    "directions": {"es": ROW, "it": ROW, "ru": ROW},
    "trf_gap": None,
}
# As score_st wrote it before it knew groups, significance and command
OLD = {"systems": {"a": SYSTEM}, "train_langs": ["es"], "notes": {"seed": "1"}}


def _read(tmp_path, content):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    return read_results(path)


def test_without_the_newer_fields(tmp_path):
    results = _read(tmp_path, OLD)
    assert results.directions() == ["es", "it", "ru"]
    assert results.panels() == {"supervised": ["es"], "zero-shot": ["it", "ru"]}
    assert results.systems[0].directions[0].values["ter"] is None
    assert (results.significance, results.command, results.groups) == (None, "", {})


def test_panels(tmp_path):
    means = {"low": {**ROW, "mean_of": ["it"]}, "high": {**ROW, "mean_of": ["es"]}}
    groups = {"es": "high", "it": "low"}
    system = {**SYSTEM, "means": means}
    results = _read(tmp_path, {**OLD, "systems": {"a": system}, "groups": groups})
    assert [*results.panels().items()] == [("high", ["es"]), ("low", ["it"])]
    bare = {**OLD, "systems": {"a": {**SYSTEM, "means": {}}}}
    assert _read(tmp_path, bare).panels() == {"all": ["es", "it", "ru"]}


@pytest.mark.parametrize("content", [[], {"scores": []}, {**OLD, "systems": {"a": 1}}])
def test_refused(tmp_path, content):
    with pytest.raises(ValueError, match="results.json: not a results.json of score_"):
        _read(tmp_path, content)
    with pytest.raises(ValueError, match="no system"):
        _read(tmp_path, {**OLD, "systems": {}})
