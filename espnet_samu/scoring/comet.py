"""COMET, if its package is installed."""

import dataclasses
import importlib.util
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from statistics import fmean

from typeguard import typechecked

from espnet_samu.scoring.translation import Score

PACKAGE = "unbabel-comet"


@dataclasses.dataclass(frozen=True)
class CometScores:
    """COMET scores of the utterances of one system."""

    values: Mapping[str, float]
    """Score by utterance, about 0 to 1."""
    signature: str
    """Model and version."""

    def corpus_score(self, utts: Sequence[str]) -> Score:
        """Return the mean over utterances, COMET's score of a system.

        Args:
            utts: Ids, at least one.
        """
        mean = fmean(self.values[utt] for utt in utts)
        return Score("COMET", mean, self.signature)


class CometModel:
    """COMET model that scores hypotheses given source and reference.

    Reference:
        Rei et al., "COMET: A Neural Framework for MT Evaluation", EMNLP 2020.

    Args:
        model: Name on the hub, or the checkpoint file of a local model.
        batch_size: Utterances a batch.
        ngpu: Number of GPUs, 0 for the CPU.

    Raises:
        ImportError: Naming the package, where it is not installed.
    """

    @typechecked
    def __init__(self, model: str, batch_size: int = 16, ngpu: int = 0) -> None:
        if importlib.util.find_spec("comet") is None:
            raise ImportError(
                "--comet needs a package that is not installed: pip install "
                f"'{PACKAGE}>=2' (in an environment of its own if its versions differ "
                "from ours)"
            )
        import comet

        path = model if os.path.isfile(model) else comet.download_model(model)
        self.model = comet.load_from_checkpoint(path)
        self.batch_size = batch_size
        self.ngpu = ngpu
        self.signature = f"nrefs:1|model:{model}|version:{version(PACKAGE)}"

    def score(
        self,
        sources: Mapping[str, str],
        hyps: Mapping[str, str],
        refs: Mapping[str, str],
    ) -> CometScores:
        """Score every utterance that has a reference.

        Args:
            sources: Transcript of every utterance, in the source language.
            hyps: Hypothesis of every utterance.
            refs: Reference of every utterance.
        """
        samples = [
            {"src": sources[utt], "mt": hyps[utt], "ref": ref}
            for utt, ref in refs.items()
        ]
        result = self.model.predict(samples, batch_size=self.batch_size, gpus=self.ngpu)
        return CometScores(dict(zip(refs, result.scores, strict=True)), self.signature)
