"""Search by ESPnet's beam search, which adds other scorers to the decoder."""

from pathlib import Path
from typing import List, Optional, Sequence, Union

import torch
from espnet2.legacy.nets.scorers.ctc import CTCPrefixScorer
from espnet2.legacy.nets.scorers.length_bonus import LengthBonus
from espnet2.st.espnet_model import ESPnetSTModel

from espnet_samu.decoding.abs_search import AbsSearch
from espnet_samu.decoding.full_width_beam_search import FullWidthBeamSearch
from espnet_samu.decoding.hypothesis import Hypothesis
from espnet_samu.decoding.search_settings import SearchSettings
from espnet_samu.utils.autocast import at_least_float32


class FusionSearch(AbsSearch):
    """Beam search over decoder, CTC, language model and length bonus.

    The score of a token is (1 - ctc_weight) * decoder + ctc_weight * CTC +
    lm_weight * language model + penalty, log-probabilities as in ESPnet.

    Args:
        model: With an ``mbart`` decoder.
        settings: Those of this backend are used.
        lm: Of the model's tokens, or None.

    Raises:
        ValueError: There is a ctc_weight, but no CTC over translations.
    """

    def __init__(
        self,
        model: ESPnetSTModel,
        settings: SearchSettings,
        lm: Optional[torch.nn.Module] = None,
    ):
        self.model = model
        self.settings = settings
        scorers = {
            "decoder": model.decoder,
            "length_bonus": LengthBonus(len(model.token_list)),
            "lm": lm,
        }
        if settings.ctc_weight > 0:
            ctc = getattr(model, "st_ctc", None)
            if ctc is None:
                raise ValueError(
                    f"ctc_weight {settings.ctc_weight}: the model has no CTC over "
                    "translations; train it with model_conf: st_mtlalpha above 0"
                )
            if next(ctc.parameters()).dtype in (torch.float16, torch.bfloat16):
                ctc.float()  # it reads the frames, which are float32 here
            scorers["ctc"] = CTCPrefixScorer(ctc, model.eos)
        self.search = FullWidthBeamSearch(
            scorers,
            {
                "decoder": 1.0 - settings.ctc_weight,
                "ctc": settings.ctc_weight,
                "lm": settings.lm_weight,
                "length_bonus": settings.penalty,
            },
            beam_size=settings.beam_size,
            vocab_size=len(model.token_list),
            sos=model.sos,
            eos=model.eos,
            pre_beam_score_key="full",
            length_penalty=settings.length_penalty,
        ).eval()

    def __call__(
        self,
        frames: torch.Tensor,
        lengths: torch.Tensor,
        languages: Optional[torch.Tensor] = None,
    ) -> List[List[Hypothesis]]:
        """See :class:`AbsSearch`."""
        decoder = self.model.decoder
        if languages is None:
            languages = decoder.languages.rows(len(frames), frames.device)
        positions = decoder.model.config.max_position_embeddings
        shortest, longest = self.settings.length_limits(lengths, positions)
        try:
            with decoder.target_languages(languages):
                # ESPnet adds scores up in the frames' type.
                found = self.search.decode(
                    at_least_float32(frames),
                    lengths,
                    shortest.tolist(),
                    longest.tolist(),
                )
        finally:
            decoder.forget()
        return [best[: self.settings.nbest] for best in found]


def load_lm(
    config: Union[Path, str, None],
    file: Union[Path, str, None],
    token_list: Sequence[str],
    device: str = "cpu",
) -> torch.nn.Module:
    """Load a language model of ``espnet2.bin.lm_train``.

    Args:
        config: config.yaml of the training. None: beside the file.
        file: Checkpoint.
        token_list: Of the translation model.
        device: ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ValueError: It is of other tokens, or there is no checkpoint.
    """
    from espnet2.tasks.lm import LMTask

    if file is None:
        raise ValueError(f"lm_train_config {config}: lm_file must be given too")
    model, args = LMTask.build_model_from_file(config, file, device)
    if list(args.token_list) != list(token_list):
        raise ValueError(
            f"lm_file {file}: it has {len(args.token_list)} tokens that are not the "
            f"{len(token_list)} of the translation model; train it on the same token "
            "list"
        )
    return model.lm
