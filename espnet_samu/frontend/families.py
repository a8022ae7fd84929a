"""The families of speech encoders by their name in transformers."""

from typing import Any, Dict, Optional

from espnet_samu.frontend.abs_family import AbsFamily
from espnet_samu.frontend.log_mel_family import LogMelFamily
from espnet_samu.frontend.waveform_family import WaveformFamily
from espnet_samu.frontend.whisper_family import WhisperFamily

FAMILIES = {
    "wav2vec2": WaveformFamily,
    "hubert": WaveformFamily,
    "wavlm": WaveformFamily,
    "wav2vec2-bert": LogMelFamily,
    "whisper": WhisperFamily,
}


def make_family(
    config,
    source: Optional[str] = None,
    revision: Optional[str] = None,
    normalize_waveform: Optional[bool] = None,
    log_mel_conf: Optional[Dict[str, Any]] = None,
) -> AbsFamily:
    """Make the family of a configuration, with the options that are this family's.

    Args:
        config: Configuration of transformers.
        source: Hub id or folder with preprocessor_config.json.
        revision: Branch, tag or commit on the hub.
        normalize_waveform: See WaveformFamily.
        log_mel_conf: See LogMelFamily.

    Raises:
        ValueError: There is no such family, or an option is another family's.
    """
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise ValueError(
            f"frontend_conf: model_type '{config.model_type}' is not one of "
            f"{', '.join(FAMILIES)}"
        )
    for option, value, owner in (
        ("normalize_waveform", normalize_waveform, WaveformFamily),
        ("log_mel_conf", log_mel_conf, LogMelFamily),
    ):
        if value and family is not owner:
            names = [name for name, cls in FAMILIES.items() if cls is owner]
            raise ValueError(
                f"frontend_conf: {option} is for {', '.join(names)}, but the model is "
                f"{config.model_type}; leave it out"
            )
    if family is WaveformFamily:
        return WaveformFamily(normalize_waveform, source, revision)
    if family is LogMelFamily:
        return LogMelFamily(config, log_mel_conf)
    return WhisperFamily(config)
