"""Tests of espnet_samu.retrieval.report."""

import dataclasses
import itertools
import warnings

import matplotlib.image
import numpy as np
import pytest

from espnet_samu.retrieval.nearest import UnitVectors
from espnet_samu.retrieval.pools import EmbeddingPool
from espnet_samu.retrieval.report import (
    make_retrieval_table,
    plain_names,
    plot_heat_map,
    plot_projection,
    project,
    sample_pools,
)
from espnet_samu.retrieval.scores import RetrievalResult, RetrievalScore

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


def test_pca_keeps_a_plane():
    generator = np.random.default_rng(0)
    plane = generator.normal(size=(30, 2)) * [3, 1]
    axes = np.linalg.qr(generator.normal(size=(5, 5)))[0][:2]
    points, title = project(plane @ axes + 7)
    assert title == "PCA, 100 % of the variance"
    assert points.shape == (30, 2)

    def distances(x):
        return np.linalg.norm(x[:, None] - x, axis=-1)

    np.testing.assert_allclose(distances(points), distances(plane), atol=1e-9)
    assert points[:, 0].var() > points[:, 1].var()


def test_small_and_flat():
    assert project(np.ones((1, 4)))[0].tolist() == [[0, 0]]
    points, _ = project(np.array([[1.0], [3.0]]))
    np.testing.assert_allclose(np.abs(points), [[1, 0], [1, 0]])


@pytest.fixture
def tsne():
    """Import what can take more than a test's seconds."""
    return pytest.importorskip("sklearn.manifold").TSNE


@pytest.mark.usefixtures("tsne")
def test_tsne_tells_two_heaps_apart():
    generator = np.random.default_rng(0)
    heaps = generator.normal(size=(40, 6)) + 30 * (np.arange(40) < 20)[:, None]
    points, title = project(heaps, "tsne")
    assert title == "t-SNE, perplexity 13"
    centres = points[:20].mean(axis=0), points[20:].mean(axis=0)
    gap = np.linalg.norm(centres[0] - centres[1])
    assert gap > np.linalg.norm(points[:20] - centres[0], axis=1).max()


def test_unknown():
    with pytest.raises(ValueError, match=r"one of \('pca', 'tsne'\): 'umap'"):
        project(np.eye(3), "umap")


def test_sample_takes_whole_contents():
    vectors = UnitVectors(np.ones((40, 1)))
    voices = EmbeddingPool("speech", "es", vectors, np.repeat(np.arange(20), 2))
    text = EmbeddingPool("text", "es", vectors, np.arange(40))
    taken = sample_pools([voices, text], 11)
    contents = [set(pool.contents[rows]) for pool, rows in taken]
    assert [len(rows) for _, rows in taken] == [12, 6]
    assert contents[0] == contents[1]
    everything = sample_pools([voices, text], 1000)
    assert [len(rows) for _, rows in everything] == [40, 20]


RETRIEVAL_PLOTS_SCORE = RetrievalScore(
    "es", "it", "speech-speech", 9, 0, 9, 0.5, 0.6, 0.7, 0.6, 0.8, 100.0, "ratio", 4
)


def count(image, colour):
    """Pixels of a colour, (R, G, B) from 0 to 255."""
    return int(np.all(np.round(255 * image[:, :, :3]) == colour, axis=2).sum())


def test_heat_map_has_a_cell_for_every_pair(tmp_path):
    scores = [
        RETRIEVAL_PLOTS_SCORE,
        dataclasses.replace(
            RETRIEVAL_PLOTS_SCORE, lang="it", target_lang="es", r1=1.0, xsim=0.0
        ),
    ]
    plot_heat_map(scores, tmp_path / "map.png")
    image = matplotlib.image.imread(tmp_path / "map.png")
    height, width = image.shape[:2]
    left, right = image[:, : width // 2], image[:, width // 2 :]
    # viridis: best (253, 231, 37), middle (33, 145, 140), worst (68, 1, 84)
    cell = 10_000
    assert count(left, (253, 231, 36)) + count(left, (253, 231, 37)) > cell
    assert count(left, (33, 145, 140)) + count(left, (32, 144, 140)) > cell
    assert count(right, (68, 1, 84)) > cell
    assert count(left, (217, 217, 217)) > 2 * cell  # es -> es, it -> it


def test_names_are_neither_formulas_nor_boxes(tmp_path):
    """No character that the figure has no font for: matplotlib would warn."""
    names = ("$\\frac$", "中文", "a\x01b", "x" * 60)
    with plain_names([*names, "\U0010ffff"]) as draw:
        # There are fonts without Chinese only, or one with it.
        assert draw("中文") in ("中文", "U+4E2D U+6587 ")
        assert draw("\U0010ffff") == "U+10FFFF "
        assert draw("$\\frac$") == "$\\frac$"
        assert draw("x" * 60) == f"{'x' * 12}…{'x' * 12}"
    score = RETRIEVAL_PLOTS_SCORE
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = [
            dataclasses.replace(score, lang=a, target_lang=b)
            for a, b in itertools.permutations(names, 2)
        ]
        plot_heat_map(scores, tmp_path / "map.png")
        vectors = UnitVectors(np.eye(4))
        pools = [EmbeddingPool("speech", n, vectors, np.arange(4)) for n in names]
        plot_projection(pools, "pca", tmp_path / "all.png")


def test_projection(tmp_path):
    generator = np.random.default_rng(0)
    pools = [
        EmbeddingPool(
            kind, lang, UnitVectors(generator.normal(size=(9, 4))), np.arange(9)
        )
        for lang in ("es", "it")
        for kind in ("speech", "text")
    ]
    plot_projection(pools, "pca", tmp_path / "all.png", number=8)
    image = matplotlib.image.imread(tmp_path / "all.png")
    assert image.shape == (780, 1020, 4)
    # the text's crosses in the first two colours of tab10
    assert count(image, (31, 119, 180)) > 20
    assert count(image, (255, 127, 14)) > 20
    plot_projection([pools[0]], "pca", tmp_path / "speech.png")
    assert (tmp_path / "speech.png").stat().st_size > 1000
