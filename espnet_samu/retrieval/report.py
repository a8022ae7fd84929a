"""Retrieval results as table and plots."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from espnet_samu.retrieval.pools import EmbeddingPool
from espnet_samu.retrieval.scores import RetrievalResult, RetrievalScore
from espnet_samu.scoring.inputs import name_ids
from espnet_samu.scoring.table import format_number, format_table
from espnet_samu.utils.atomic import atomic_write

HEADER = (
    "language,direction,R@1,R@5,R@10,MRR,cosine,xsim %,queries,no match,pool".split(",")
)


def name_languages(lang: str, target_lang: str) -> str:
    """Return the languages of queries and pool, one where they are the same."""
    return lang if lang == target_lang else f"{lang} -> {target_lang}"


def name_direction(direction: str) -> str:
    """Return the readable name of a direction."""
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
        names = name_languages(score.lang, score.target_lang)
        rows.append(
            [names, name_direction(score.direction)]
            + [format_number(share, 3) for share in shares]
            + [format_number(score.xsim), *map(str, counts)]
        )
    langs: dict[str, dict[str, None]] = {}  # by settings
    for score in scores:
        langs.setdefault(score.settings, {})[score.lang] = None
    notes = [f"{' '.join(names)}: `{s}`" for s, names in langs.items()]
    for direction, pairs in result.without_match_by_direction().items():
        names = ", ".join(
            f"{name_languages(p['lang'], p['target_lang'])} ({p['queries']})"
            for p in pairs
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


PROJECTIONS = ("pca", "tsne")


def project(vectors: np.ndarray, method: str = "pca") -> tuple[np.ndarray, str]:
    """Project vectors to a plane.

    Args:
        vectors: Array (N, D).
        method: `pca`: the two directions of largest variance, by a singular value
            decomposition of the centred vectors; `tsne`: scikit-learn's t-SNE from
            that start, which shows who is near whom but not how far.

    Returns:
        Points (N, 2), and what they are, for a title.

    Raises:
        ValueError: For an unknown method.
    """
    if method not in PROJECTIONS:
        raise ValueError(f"projection must be one of {PROJECTIONS}: {method!r}")
    if method == "tsne":
        from sklearn.manifold import TSNE  # a requirement of sentence-transformers

        perplexity = min(30.0, (len(vectors) - 1) / 3)
        model = TSNE(perplexity=perplexity, init="pca", random_state=0)
        return model.fit_transform(vectors), f"t-SNE, perplexity {perplexity:.0f}"
    centred = vectors - vectors.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(vectors), 2))
    points[:, : len(values[:2])] = left[:, :2] * values[:2]
    variance = values**2 / max(float(np.sum(values**2)), np.finfo(float).tiny)
    return points, f"PCA, {100 * variance[:2].sum():.0f} % of the variance"


def sample_pools(
    pools: Iterable[EmbeddingPool], number: int
) -> list[tuple[EmbeddingPool, np.ndarray]]:
    """Draw a random sample of contents (seed 0), with all vectors of each.

    Args:
        pools: Pools with one numbering of contents.
        number: Utterances to take, about; all of a content are taken.

    Returns:
        Every pool with the rows that are taken.
    """
    pools = list(pools)
    speech = [pool.contents for pool in pools if pool.kind == "speech"]
    contents, counts = np.unique(np.concatenate(speech), return_counts=True)
    order = np.random.default_rng(0).permutation(len(contents))
    enough = int(np.searchsorted(np.cumsum(counts[order]), number)) + 1
    drawn = contents[order[:enough]]
    return [(p, np.flatnonzero(np.isin(p.contents, drawn))) for p in pools]


LONGEST = 24
"""Characters of a language's name in a figure; what is between its ends is left out."""


@contextmanager
def plain_names(names: Iterable[str]) -> Iterator[Callable[[str], str]]:
    """Draw names as they are: no layout, no formulas, no boxes for lack of a font.

    Within the block matplotlib uses fonts of this machine that have all characters, as
    far as there are any.

    Args:
        names: All names that will be drawn.

    Yields:
        A function that shortens a name, and replaces each character that no font has by
        its number, U+4E2D.
    """
    import matplotlib
    from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

    default = get_font(findfont(FontProperties()))
    families = [default.family_name]
    missing = {c for name in names for c in name if ord(c) not in default.get_charmap()}
    for font in fontManager.ttflist if missing else ():
        if font.name.startswith("Last Resort"):  # draws boxes
            continue
        found = {c for c in missing if ord(c) in get_font(font.fname).get_charmap()}
        if found:
            missing -= found
            families.append(font.name)

    def draw(name: str) -> str:
        if len(name) > LONGEST:
            half = LONGEST // 2
            name = f"{name[:half]}…{name[-half:]}"
        return "".join(f"U+{ord(c):04X} " if c in missing else c for c in name)

    settings: Any = {"font.family": families, "text.parse_math": False}
    with matplotlib.rc_context(settings):
        yield draw


@contextmanager
def draw_png(
    path: str | os.PathLike[str], size: tuple[float, float], names: Iterable[str]
) -> Iterator[tuple[Any, Callable[[str], str]]]:
    """Write a PNG file of what is drawn in the block.

    Args:
        path: The file.
        size: Width and height in inches.
        names: All names that will be drawn, see `plain_names`.

    Yields:
        Matplotlib's figure, and the function that makes names fit to be drawn.
    """
    from matplotlib.figure import Figure

    with plain_names(names) as draw:
        figure = Figure(figsize=size, layout="constrained")
        yield figure, draw
        with atomic_write(path, "wb") as f:
            figure.savefig(f, format="png", dpi=120)


PROJECTED = 300
"""Utterances in a projection, about; more of them hide each other."""
ANNOTATED = 24
"""Languages up to which the cells of a heat map show their numbers."""


def plot_heat_map(
    scores: Sequence[RetrievalScore], path: str | os.PathLike[str]
) -> None:
    """Plot R@1 and xsim of one direction over pairs of languages.

    Args:
        scores: Scores of one direction and margin, one for every pair.
        path: PNG file to write.
    """
    rows = sorted({score.lang for score in scores})
    columns = sorted({score.target_lang for score in scores})
    queries, pool = scores[0].direction.split("-")
    width, height = max(3.6, 0.45 * len(columns)), max(3.2, 0.42 * len(rows))
    size = 2 * width + 2.4, height + 1.2
    turned = 90 if len(columns) > ANNOTATED / 2 or max(map(len, columns)) > 8 else 0
    panels = (
        ("R@1 (%)", [100 * score.r1 for score in scores], "viridis"),
        (
            f"xsim (%), {scores[0].margin} margin, k = "
            f"{min(score.k for score in scores)}",
            [score.xsim for score in scores],
            "viridis_r",
        ),
    )
    with draw_png(path, size, [*rows, *columns]) as (figure, draw):
        for axes, (title, values, colours) in zip(figure.subplots(1, 2), panels):
            table = np.full((len(rows), len(columns)), np.nan)
            for score, value in zip(scores, values):
                table[rows.index(score.lang), columns.index(score.target_lang)] = value
            image = axes.imshow(table, cmap=colours, vmin=0, vmax=100, aspect="auto")
            axes.set_facecolor("0.85")  # pairs without a score
            axes.set_title(title)
            axes.set_xticks(range(len(columns)), map(draw, columns), rotation=turned)
            axes.set_yticks(range(len(rows)), map(draw, rows))
            axes.set_xlabel(f"language of the {pool} that is searched")
            axes.set_ylabel(f"language of the {queries} that searches")
            if max(len(rows), len(columns)) <= ANNOTATED:
                for row, column in np.argwhere(np.isfinite(table)):
                    value = table[row, column]
                    share = value / 100 if colours == "viridis" else 1 - value / 100
                    style = {"c": "black" if share > 0.6 else "white"}
                    style |= {"ha": "center", "va": "center"}
                    axes.text(column, row, f"{value:.0f}", **style)
            figure.colorbar(image, ax=axes)
        figure.suptitle(f"Retrieval, {queries} to {pool} (grey: not scored)")


def plot_projection(
    pools: Iterable[EmbeddingPool],
    method: str,
    path: str | os.PathLike[str],
    number: int = PROJECTED,
) -> None:
    """Plot utterance embeddings and their sentences on a plane.

    Args:
        pools: Speech, and text if there is any, with one numbering of contents.
        method: One of `PROJECTIONS`.
        path: PNG file to write.
        number: Utterances to draw, about: contents are drawn at random, seed 0.
    """
    import matplotlib
    from matplotlib.collections import LineCollection

    pools = sorted(pools, key=lambda pool: (pool.kind, pool.lang))
    taken = [(pool, rows) for pool, rows in sample_pools(pools, number) if len(rows)]
    points, title = project(
        np.concatenate([pool.vectors.double(rows) for pool, rows in taken]), method
    )
    ends = np.cumsum([len(rows) for _, rows in taken])
    parts = np.split(points, ends[:-1])
    langs = sorted({pool.lang for pool, _ in taken})
    palette = matplotlib.colormaps["tab10" if len(langs) <= 10 else "gist_rainbow"]
    positions = range(len(langs)) if len(langs) <= 10 else np.linspace(0, 1, len(langs))
    colours = dict(zip(langs, map(palette, positions)))

    contents = np.concatenate([pool.contents[rows] for pool, rows in taken])
    sides = np.concatenate([[pool.kind == "text"] * len(rows) for pool, rows in taken])
    lines = [
        (points[i], points[j])
        for i in np.flatnonzero(~sides)
        for j in np.flatnonzero(sides & (contents == contents[i]))
    ]
    note = "; lines join speech with its text" if lines else ""
    drawn = len(np.unique(contents))
    total = len(np.unique(np.concatenate([pool.contents for pool in pools])))
    legend_columns = 1 + len(taken) // 30
    size = 6.5 + 2 * legend_columns, 6.5
    with draw_png(path, size, [pool.lang for pool in pools]) as (figure, draw):
        axes = figure.subplots()
        axes.add_collection(
            LineCollection(lines, colors="0.8", linewidths=0.5, zorder=1)
        )
        for (pool, rows), part in zip(taken, parts):
            style: dict[str, Any] = (
                {"marker": "x", "s": 36, "linewidths": 1.2, "zorder": 2}
                if pool.kind == "text"
                else {
                    "marker": "o",
                    "s": 14,
                    "linewidths": 0,
                    "alpha": 0.8,
                    "zorder": 3,
                }
            )
            axes.scatter(
                *part.T,
                color=colours[pool.lang],
                label=f"{draw(pool.lang)} {pool.kind} ({len(rows)})",
                **style,
            )
        axes.set_title(f"Embeddings: {title}\n{drawn} of {total} contents{note}")
        axes.set_xlabel("dimension 1")
        axes.set_ylabel("dimension 2")
        axes.legend(
            loc="upper left", bbox_to_anchor=(1, 1), frameon=False, ncols=legend_columns
        )
