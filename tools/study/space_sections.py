"""Sections on the space of embeddings: retrieval, projection."""

import dataclasses
import os
import random
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from espnet_samu.report.charts import make_figure, make_legend
from espnet_samu.report.curves import PALE, Points, draw_xy
from espnet_samu.report.page import Section
from espnet_samu.retrieval.pools import pair_speech_speech
from espnet_samu.retrieval.report import project
from espnet_samu.retrieval.scores import RetrievalScore, score_retrieval
from espnet_samu.utils.kaldi_io import read_vectors
from study.plots import make_heat_table, study_macros
from study.resampling import ZERO_SHOT
from study.run_file import RunUtterance
from study.study_results import StudyResults
from study.tables import make_correlation_table


@dataclasses.dataclass(frozen=True)
class EmbeddingSet:
    """Embeddings of the N utterances of a test set."""

    name: str
    """What the encoder is, say `after distillation`."""
    vectors: np.ndarray
    """Embeddings (N, D)."""
    langs: Sequence[str]
    """Language of each."""
    meanings: Sequence[str]
    """English translation of each: equal ones say the same."""
    utts: Sequence[str]
    """Utterance ids."""

    def retrieve(self) -> list[RetrievalScore]:
        """Search speech of each language among speech of every other one."""
        table = dict(zip(self.utts, self.vectors))
        pairs = pair_speech_speech(
            table,
            dict(zip(self.utts, self.langs)),
            dict(zip(self.utts, self.meanings)),
        )
        return score_retrieval(pairs).scores


def read_embeddings(
    name: str, scp: str | os.PathLike[str], utterances: Sequence[RunUtterance]
) -> EmbeddingSet:
    """Read the embeddings of a test set.

    Args:
        name: What the encoder is.
        scp: embed.scp that samu_embed wrote; it may have other utterances, too.
        utterances: The utterances of the test set.

    Raises:
        ValueError: For an utterance without an embedding.
    """
    table = read_vectors(scp)
    missing = [utt.id for utt in utterances if utt.id not in table]
    if missing:
        raise ValueError(
            f"{scp}: must have every utterance of the test set; {len(missing)} are not "
            f"in it, e.g. '{missing[0]}'"
        )
    return EmbeddingSet(
        name,
        np.stack([table[utt.id] for utt in utterances]),
        [utt.lang for utt in utterances],
        [utt.ref for utt in utterances],
        [utt.id for utt in utterances],
    )


DRAWN = 60
"""Contents in a projection, at most; more of them hide each other."""
SEED = 1


def _draw_points(results: StudyResults) -> tuple[Markup, Markup] | None:
    """Draw R@1 and BLEU of every run; return the chart and its legend."""
    points = results.points.get(ZERO_SHOT, ())
    if not points:
        return None
    primary = [arm.name for arm in results.arms if arm.primary]
    coloured = [name for name in primary if name in {point.arm for point in points}]
    drawn = [
        Points(
            results.main.label(name),
            coloured.index(name) if name in coloured else None,
            [(100 * point.r1, point.bleu) for point in points if point.arm == name],
        )
        for name in dict.fromkeys(point.arm for point in points)
    ]
    rho = results.correlations[ZERO_SHOT].rho
    told = "not defined" if rho is None else f"{rho:+.2f}"
    described = "; ".join(
        f"{one.name}: " + ", ".join(f"R@1 {x:.0f} BLEU {y:.1f}" for x, y in one.pairs)
        for one in drawn
    )
    chart = draw_xy(
        "r1",
        f"R@1 and zero-shot BLEU, Spearman {told}",
        drawn,
        ("R@1 (%), mean of the zero-shot languages", "BLEU"),
        False,
        f"{described}.",
    )
    entries = [(results.main.label(name), i, False) for i, name in enumerate(coloured)]
    if len(coloured) < len(drawn):
        entries.append(("other arms", PALE, False))
    return chart, make_legend(entries)


def _make_r1_table(results: StudyResults) -> Markup | None:
    """Return R@1 by arm and language, means over seeds."""
    name = results.main.name
    values: dict[tuple[str, str], list[float]] = {}
    for arm in results.arms:
        for run in arm.finished.values():
            for lang, r1 in (run.retrieval or {}).get(name, {}).items():
                values.setdefault((arm.label, lang), []).append(100 * r1)
    if not values:
        return None
    rows = list(dict.fromkeys(arm for arm, _ in values))
    means = {cell: sum(found) / len(found) for cell, found in values.items()}
    return make_heat_table(
        "R@1 (%), speech to text of the same language, before translation training; "
        "means over seeds",
        "arm",
        rows,
        results.main.languages,
        means,
    )


def make_retrieval_section(
    results: StudyResults,
    embeddings: Sequence[EmbeddingSet],
    commands: Mapping[str, str],
    own: Sequence[str],
) -> Section:
    """Return retrieval by arm, against BLEU, and between languages.

    Args:
        results: What the study found.
        embeddings: Embeddings of the test set by several encoders.
        commands: Command line by name of the embeddings; some may lack.
        own: Commands that made the other figures.
    """
    figure = Markup()
    points = _draw_points(results)
    if points is not None:
        chart, legend = points
        figure = make_figure([chart], legend, "One point a run. ", own)
    between = []
    for one in embeddings:
        scores = one.retrieve()
        langs = sorted({score.lang for score in scores})
        made = make_heat_table(
            f"{one.name}: R@1 (%), speech of a row's language searches the same "
            "meaning among speech of a column's",
            "",
            langs,
            langs,
            {(s.lang, s.target_lang): 100 * s.r1 for s in scores},
        )
        between.append(make_figure([made], Markup(), "", [commands.get(one.name, "")]))
    content = study_macros().retrieval(
        figure, make_correlation_table(results), _make_r1_table(results), between
    )
    return Section("retrieval", "Retrieval", content)


def _colour_by_language(
    one: EmbeddingSet, rows: Sequence[int], places: Sequence[tuple[float, float]]
) -> list[Points]:
    """Return points of every language in its colour."""
    langs = sorted({*one.langs})
    return [
        Points(
            lang,
            i,
            [place for row, place in zip(rows, places) if one.langs[row] == lang],
        )
        for i, lang in enumerate(langs)
    ]


def _colour_by_meaning(
    one: EmbeddingSet,
    rows: Sequence[int],
    places: Sequence[tuple[float, float]],
    chosen: Sequence[str],
) -> list[Points]:
    """Return points of the chosen meanings in colours, all others pale."""
    numbers = {meaning: i for i, meaning in enumerate(chosen)}
    points: dict[int | None, list[tuple[float, float]]] = {}
    for row, place in zip(rows, places):
        points.setdefault(numbers.get(one.meanings[row]), []).append(place)
    return [
        Points("other meanings" if colour is None else chosen[colour], colour, pairs)
        for colour, pairs in points.items()
    ]


def make_projection_section(
    embeddings: Sequence[EmbeddingSet], commands: Mapping[str, str]
) -> Section:
    """Draw embeddings on a plane, coloured by language and by meaning.

    Args:
        embeddings: Embeddings of the test set, say before and after distillation.
        commands: Command line by name of the embeddings; some may lack.
    """
    title = "Utterance embeddings on a plane"
    if not embeddings:
        missing = study_macros().missing(
            "The projection of utterance embeddings is", "--embeddings"
        )
        return Section("projection", title, missing)
    meanings = sorted({*embeddings[0].meanings})
    rng = random.Random(SEED)
    drawn = set(rng.sample(meanings, min(DRAWN, len(meanings))))
    chosen = rng.sample(sorted(drawn), min(PALE, len(drawn)))
    by_language, by_meaning = [], []
    for i, one in enumerate(embeddings):
        rows = [j for j, meaning in enumerate(one.meanings) if meaning in drawn]
        points, method = project(one.vectors[rows].astype(float))
        places = [(float(x), float(y)) for x, y in points]
        for kind, groups, charts in (
            ("language", _colour_by_language(one, rows, places), by_language),
            ("meaning", _colour_by_meaning(one, rows, places, chosen), by_meaning),
        ):
            charts.append(
                draw_xy(
                    f"{kind}{i}",
                    f"{one.name}, by {kind}",
                    groups,
                    (method, ""),
                    False,
                    f"{len(rows)} utterances of {len(drawn)} meanings.",
                    numbered=False,
                )
            )
    made_by = [commands.get(one.name, "") for one in embeddings]
    langs = sorted({*embeddings[0].langs})
    text = (
        f"{len(drawn)} of {len(meanings)} meanings, drawn at random (seed {SEED}), in "
        "every language; each chart has axes of its own. "
    )
    first = make_figure(
        by_language,
        make_legend([(lang, i, False) for i, lang in enumerate(langs)]),
        text,
        made_by,
    )
    entries = [(meaning, i, False) for i, meaning in enumerate(chosen)]
    second = make_figure(
        by_meaning,
        make_legend([*entries, ("other meanings", PALE, False)]),
        f"The same points; {len(chosen)} meanings, drawn at random, in colour: points "
        "of one colour say the same in different languages. ",
        made_by,
    )
    return Section("projection", title, Markup("\n").join([first, second]))
