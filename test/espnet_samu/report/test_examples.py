from espnet_samu.report.examples import draw_examples
from espnet_samu.scoring.directions import split_directions

LANGS = {f"{lang}{i}": lang for lang in ("es", "fr") for i in range(20)}
REFS = {utt: f"reference of {utt}" for utt in LANGS}
SYSTEMS = {"a": {utt: f"a of {utt}" for utt in REFS}, "b": {"es0": ""}}


def _draw(refs, number=3, seed=1):
    directions = split_directions(refs, LANGS, dict.fromkeys(LANGS, "en"))
    return draw_examples(directions, refs, {"es0": "s"}, SYSTEMS, number, seed)


def test_seed_direction_and_ids_decide():
    examples = _draw(REFS)
    assert [e.direction.name for e in examples] == ["es"] * 3 + ["fr"] * 3
    utts = [e.utt for e in examples]
    assert len(set(utts)) == 6
    backwards = dict(reversed(REFS.items()))
    assert [e.utt for e in _draw(backwards)] == utts
    spanish = {utt: ref for utt, ref in REFS.items() if utt.startswith("es")}
    assert [e.utt for e in _draw(spanish)] == utts[:3]
    assert [e.utt for e in _draw(REFS, seed=2)] != utts


def test_all_of_few():
    (example,) = _draw({"es0": "reference of es0"}, number=9)
    assert (example.source, example.reference) == ("s", "reference of es0")
    assert example.hypotheses == {"a": "a of es0", "b": ""}
    (other,) = _draw({"es1": "r"}, number=9)
    assert (other.source, other.hypotheses["b"]) == (None, None)
