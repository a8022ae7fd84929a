"""Folders that transformers reads."""

import shutil
from pathlib import Path


def save(model, extractor, folder: Path) -> None:
    """Write a model and its feature extractor.

    Args:
        model: A ``transformers.PreTrainedModel``.
        extractor: Its ``transformers.FeatureExtractionMixin``.
        folder: An existing folder.
    """
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    # safetensors gives its files to the owner only, whatever the umask.
    for weights in folder.glob("*.safetensors"):
        shutil.copymode(folder / "config.json", weights)
