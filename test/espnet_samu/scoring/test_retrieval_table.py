import dataclasses

from espnet_samu.scoring.retrieval_result import RetrievalResult
from espnet_samu.scoring.retrieval_score import RetrievalScore
from espnet_samu.scoring.retrieval_table import make_retrieval_table

SCORE = RetrievalScore(
    lang="es",
    target_lang="es",
    direction="speech-text",
    queries=8,
    dropped=2,
    pool=5,
    r1=0.5,
    r5=0.75,
    r10=1.0,
    mrr=0.625,
    cosine=0.8,
    xsim=40.0,
    margin="ratio",
    k=4,
)
OTHER = dataclasses.replace(
    SCORE, lang="es", target_lang="it", direction="speech-speech", dropped=0
)
BACK = dataclasses.replace(OTHER, lang="it", target_lang="es", r1=0.25, pool=8)
LONELY = {"direction": "speech-speech", "lang": "xx", "target_lang": "es", "queries": 3}
RESULT = RetrievalResult(
    [SCORE, OTHER, BACK], [LONELY, {**LONELY, "lang": "es", "target_lang": "xx"}]
)


def test_averages_are_of_one_direction():
    to_text, among = RESULT.averages()
    assert to_text == dataclasses.replace(SCORE, lang="average", target_lang="average")
    assert (among.direction, among.r1, among.queries) == ("speech-speech", 0.375, 16)
    assert (among.pool, among.signature.count("target_lang")) == (6, 0)  # 6.5, rounded
    saved = RESULT.to_dict()
    assert [s["lang"] for s in saved["scores"]] == ["es", "es", "it"] + 2 * ["average"]
    assert saved["without_match"] == RESULT.without_match
    assert RetrievalResult().averages() == []


def test_table():
    lines = make_retrieval_table(RESULT).splitlines()
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in lines[2:7]]
    numbers = ["0.500", "0.750", "1.000", "0.625", "0.800", "40.0"]
    assert rows[0] == ["es", "speech -> text", *numbers, "8", "2", "5"]
    assert [row[0] for row in rows] == ["es", "es -> it", "it -> es"] + 2 * ["average"]
    assert rows[4][2] == "0.375"
    assert lines[8] == (
        "- es it average: `same_text:right|ties:wrong|sim:cosine|margin:ratio|k:4`"
    )
    assert lines[9].endswith("has a match: xx -> es (3), es -> xx (3)")
    assert lines[10].endswith("without any match: xx")
