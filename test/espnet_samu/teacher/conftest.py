"""A tiny sentence-transformers model."""

import pytest


@pytest.fixture(scope="session")
def tiny_model():
    """Untrained model, D = 8, torch seed 0; not normalised by itself."""
    import torch
    from sentence_transformers import SentenceTransformer

    from espnet_samu.teacher.small_model import build_model

    torch.manual_seed(0)
    model = build_model(["uno dos tres", "one two three"], dim=8, heads=2)
    return SentenceTransformer(modules=[model[0], model[1]], device="cpu").eval()


@pytest.fixture(scope="session")
def tiny_teacher(tiny_model, tmp_path_factory):
    """Folder of the tiny model."""
    folder = tmp_path_factory.mktemp("teacher")
    tiny_model.save(str(folder), create_model_card=False)
    return folder
