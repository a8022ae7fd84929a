import numpy as np
import pytest

from espnet_samu.scoring.embedding_pool import EmbeddingPool
from espnet_samu.scoring.projection import project, sample_pools
from espnet_samu.scoring.unit_vectors import UnitVectors


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
