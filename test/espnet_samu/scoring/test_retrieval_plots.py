import dataclasses

import matplotlib.image
import numpy as np

from espnet_samu.scoring.embedding_pool import EmbeddingPool
from espnet_samu.scoring.retrieval_plots import plot_heat_map, plot_projection
from espnet_samu.scoring.retrieval_score import RetrievalScore
from espnet_samu.scoring.unit_vectors import UnitVectors

SCORE = RetrievalScore(
    "es", "it", "speech-speech", 9, 0, 9, 0.5, 0.6, 0.7, 0.6, 0.8, 100.0, "ratio", 4
)


def count(image, colour):
    """Pixels of a colour, (R, G, B) from 0 to 255."""
    return int(np.all(np.round(255 * image[:, :, :3]) == colour, axis=2).sum())


def test_heat_map_has_a_cell_for_every_pair(tmp_path):
    scores = [
        SCORE,
        dataclasses.replace(SCORE, lang="it", target_lang="es", r1=1.0, xsim=0.0),
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
