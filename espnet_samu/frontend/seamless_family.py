"""Speech encoders of SeamlessM4T, v2 and v1 (medium, large)."""

from typing import Any

import torch
from typeguard import typechecked

from espnet_samu.frontend.log_mel import LogMelFamily
from espnet_samu.frontend.padding import FixedBatchNorm1d


class SeamlessFamily(LogMelFamily):
    """Stacked log-mel frames, a conformer, a feed-forward and a length adaptor.

    The adaptor makes a frame of 8: 160 ms instead of 20. ``layer`` and ``layer_mix``
    choose what goes into it. transformers has no SpecAugment for these models; ESPnet's
    (``specaug``) is for their frames.

    An odd number of 10 ms frames cannot be stacked: the last one is cut, as in the
    original code and in transformers' extractor with ``pad_to_multiple_of=None``. Its
    default is to stack the last one with zeros, which the adaptor then mixes into its
    last frame although they are masked.

    Reference: Seamless Communication et al., "SeamlessM4T", arXiv 2308.11596, section
    4.1, and "Seamless", arXiv 2312.05187, section 3.

    Args:
        config: Configuration of transformers.
        log_mel_conf: See LogMelFamily.

    Raises:
        ValueError: As for LogMelFamily; or there are several layers of the adaptor,
            of which transformers masks only the first one rightly.
    """

    # The checkpoint is of the whole model.
    KEY_MAPPING = {r"^speech_encoder\.": ""}
    UNUSED = r"(text_encoder|text_decoder|t2u_model|vocoder)\."
    LAYERS = "speech_encoder_layers"
    LAYERDROP = "speech_encoder_layerdrop"
    ADAPTER = ("adaptor_kernel_size", "adaptor_stride")

    @typechecked
    def __init__(self, config, log_mel_conf: dict[str, Any] | None = None):
        super().__init__(config, log_mel_conf)
        if config.add_adapter and config.num_adapter_layers != 1:
            raise ValueError(
                f"model_conf: num_adapter_layers is {config.num_adapter_layers}, but "
                f"transformers masks {config.model_type}'s padding rightly for 1 only"
            )

    def model_class(self, config):
        """See :class:`AbsFamily`."""
        from transformers.models.seamless_m4t import modeling_seamless_m4t as v1
        from transformers.models.seamless_m4t_v2 import modeling_seamless_m4t_v2 as v2

        if config.model_type == "seamless_m4t":
            return v1.SeamlessM4TSpeechEncoder
        return v2.SeamlessM4Tv2SpeechEncoder

    def mask_padding(self, model: torch.nn.Module) -> None:
        """See :class:`AbsFamily`."""
        for layer in self.encoder(model).get_submodule("layers").children():
            convolution = layer.get_submodule("conv_module")
            norm = getattr(convolution, "batch_norm", None)  # v1
            if norm is not None:
                convolution.batch_norm = FixedBatchNorm1d.from_batch_norm(norm)

    def final_norm(self, model: torch.nn.Module) -> torch.nn.Module | None:
        """See :class:`AbsFamily`."""
        return model.get_submodule("encoder.layer_norm")

    def features(
        self, model: torch.nn.Module, waveforms: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Return stacked log-mel frames (B, T, S * M), zero in the padding."""
        return self.log_mel(waveforms, lengths)[0]
