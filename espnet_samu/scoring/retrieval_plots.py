"""Figures of retrieval scores and of the space that they come from."""

import os
from collections.abc import Iterable, Sequence

import numpy as np

from espnet_samu.scoring.embedding_pool import EmbeddingPool
from espnet_samu.scoring.projection import project, sample_pools
from espnet_samu.scoring.retrieval_score import RetrievalScore
from espnet_samu.utils.atomic import atomic_write

PROJECTED = 300
"""Utterances in a projection, about; more of them hide each other."""
ANNOTATED = 24
"""Languages up to which the cells of a heat map show their numbers."""


def plot_heat_map(
    scores: Sequence[RetrievalScore], path: str | os.PathLike[str]
) -> None:
    """Draw R@1 and xsim of one direction over pairs of languages.

    Args:
        scores: Scores of one direction and margin, one for every pair.
        path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = sorted({score.lang for score in scores})
    columns = sorted({score.target_lang for score in scores})
    queries, pool = scores[0].direction.split("-")
    width, height = max(3.6, 0.45 * len(columns)), max(3.2, 0.42 * len(rows))
    figure = Figure(figsize=(2 * width + 2.4, height + 1.2), layout="constrained")
    FigureCanvasAgg(figure)
    turned = 90 if len(columns) > ANNOTATED / 2 else 0
    panels = (
        ("R@1 (%)", [100 * score.r1 for score in scores], "viridis"),
        (
            f"xsim (%), {scores[0].margin} margin, k = "
            f"{min(score.k for score in scores)}",
            [score.xsim for score in scores],
            "viridis_r",
        ),
    )
    for axes, (title, values, colours) in zip(figure.subplots(1, 2), panels):
        table = np.full((len(rows), len(columns)), np.nan)
        for score, value in zip(scores, values):
            table[rows.index(score.lang), columns.index(score.target_lang)] = value
        image = axes.imshow(table, cmap=colours, vmin=0, vmax=100, aspect="auto")
        axes.set_facecolor("0.85")  # pairs without a score
        axes.set_title(title)
        axes.set_xticks(range(len(columns)), columns, rotation=turned)
        axes.set_yticks(range(len(rows)), rows)
        axes.set_xlabel(f"language of the {pool} that is searched")
        axes.set_ylabel(f"language of the {queries} that searches")
        if max(len(rows), len(columns)) <= ANNOTATED:
            for (row, column), value in np.ndenumerate(table):
                if np.isfinite(value):
                    share = value / 100 if colours == "viridis" else 1 - value / 100
                    colour = "black" if share > 0.6 else "white"
                    axes.text(
                        column, row, f"{value:.0f}", ha="center", va="center", c=colour
                    )
        figure.colorbar(image, ax=axes)
    figure.suptitle(f"Retrieval, {queries} to {pool} (grey: not scored)")
    with atomic_write(path, "wb") as f:
        figure.savefig(f, format="png", dpi=120)


def plot_projection(
    pools: Iterable[EmbeddingPool],
    method: str,
    path: str | os.PathLike[str],
    number: int = PROJECTED,
) -> None:
    """Draw utterance embeddings and what they say on a plane.

    Args:
        pools: Speech, and text if there is any, with one numbering of contents.
        method: One of `PROJECTIONS`.
        path: PNG file to write.
        number: Utterances to draw, about: contents are drawn at random, seed 0.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

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

    legend_columns = 1 + len(taken) // 30
    figure = Figure(figsize=(6.5 + 2 * legend_columns, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    contents = np.concatenate([pool.contents[rows] for pool, rows in taken])
    sides = np.concatenate([[pool.kind == "text"] * len(rows) for pool, rows in taken])
    lines = [
        (points[i], points[j])
        for i in np.flatnonzero(~sides)
        for j in np.flatnonzero(sides & (contents == contents[i]))
    ]
    axes.add_collection(LineCollection(lines, colors="0.8", linewidths=0.5, zorder=1))
    for (pool, rows), part in zip(taken, parts):
        style = (
            {"marker": "x", "s": 36, "linewidths": 1.2, "zorder": 2}
            if pool.kind == "text"
            else {"marker": "o", "s": 14, "linewidths": 0, "alpha": 0.8, "zorder": 3}
        )
        axes.scatter(
            *part.T,
            color=colours[pool.lang],
            label=f"{pool.lang} {pool.kind} ({len(rows)})",
            **style,
        )
    note = "; lines join speech with its text" if lines else ""
    drawn = len(np.unique(contents))
    total = len(np.unique(np.concatenate([pool.contents for pool in pools])))
    axes.set_title(f"Embeddings: {title}\n{drawn} of {total} contents{note}")
    axes.set_xlabel("dimension 1")
    axes.set_ylabel("dimension 2")
    axes.legend(
        loc="upper left", bbox_to_anchor=(1, 1), frameon=False, ncols=legend_columns
    )
    with atomic_write(path, "wb") as f:
        figure.savefig(f, format="png", dpi=120)
