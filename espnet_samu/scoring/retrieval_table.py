"""The table of retrieval scores."""

from espnet_samu.scoring.markdown import format_number, format_table
from espnet_samu.scoring.retrieval_result import RetrievalResult
from espnet_samu.scoring.score_inputs import name_ids

HEADER = (
    "language,direction,R@1,R@5,R@10,MRR,cosine,xsim %,queries,no match,pool".split(",")
)


def name_pair(lang: str, target_lang: str) -> str:
    """Return the languages of queries and pool, one where they are the same."""
    return lang if lang == target_lang else f"{lang} -> {target_lang}"


def name_direction(direction: str) -> str:
    """Return a direction for readers."""
    return direction.replace("-", " -> ")


def make_retrieval_table(result: RetrievalResult) -> str:
    """Return the markdown table of retrieval scores.

    Queries with a match and those without one are counted; the latter are left out.
    Below it: settings, and pairs of languages without any match.

    Args:
        result: Scores.
    """
    scores = [*result.scores, *result.averages()]
    rows = []
    for score in scores:
        shares = (score.r1, score.r5, score.r10, score.mrr, score.cosine)
        counts = (score.queries, score.dropped, score.pool)
        rows.append(
            [name_pair(score.lang, score.target_lang), name_direction(score.direction)]
            + [format_number(share, 3) for share in shares]
            + [format_number(score.xsim), *map(str, counts)]
        )
    langs: dict[str, dict[str, None]] = {}  # by settings
    for score in scores:
        langs.setdefault(score.settings, {})[score.lang] = None
    notes = [f"{' '.join(names)}: `{s}`" for s, names in langs.items()]
    for direction, pairs in result.without_match_by_direction().items():
        names = ", ".join(
            f"{name_pair(p['lang'], p['target_lang'])} ({p['queries']})" for p in pairs
        )
        scored = {s.lang for s in result.scores if s.direction == direction}
        lonely = sorted({p["lang"] for p in pairs} - scored)
        notes.append(
            f"{name_direction(direction)}, not scored because no query (number of "
            f"them) has a match: {names}"
        )
        if lonely:
            notes.append(
                f"{name_direction(direction)}, languages of queries without any match: "
                f"{' '.join(lonely)}"
            )
    if result.failed:
        notes.append(f"not scored, without an embedding: {name_ids(result.failed)}")
    text = "".join(f"- {note}\n" for note in notes)
    return f"{format_table(HEADER, rows, text_columns=2)}\n{text}"
