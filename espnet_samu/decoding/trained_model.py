"""Loading of a trained translation model."""

import argparse
from pathlib import Path

from espnet2.st.espnet_model import ESPnetSTModel

from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.tasks.st import STTask
from espnet_samu.text.tokenizer_files import own_tokenizer
from espnet_samu.utils.safe_reading import Configuration
from espnet_samu.utils.state_dict import StateDictError


def load_model(
    config: Configuration | Path | str | None, file: Path | str | None, device: str
) -> tuple[ESPnetSTModel, argparse.Namespace]:
    """Load a model with an ``mbart`` decoder.

    Args:
        config: config.yaml of the experiment. None: beside the file.
        file: Checkpoint. None: random weights.
        device: ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The decoder is another one, or the checkpoint is not of this
            configuration, e.g. of another vocabulary.
    """
    if config is None:
        if file is None:
            raise ValueError(
                "st_train_config and st_model_file are not given: name them, or a "
                "packed model in from_pretrained"
            )
        config = Path(file).parent / "config.yaml"
    path = config.path if isinstance(config, Configuration) else Path(config)
    for name, file_path in (("st_train_config", path), ("st_model_file", file)):
        if file_path is not None and not Path(file_path).is_file():
            raise FileNotFoundError(f"{name} {file_path} is missing")
    try:
        model, args = STTask.build_model_from_file(config, file, device)
    except OSError as error:
        if isinstance(error, FileNotFoundError) or file is None:
            raise
        raise ValueError(f"{file} cannot be read; is it whole? {error}") from error
    except StateDictError as error:
        if not error.other_shapes:
            raise
        n_tokens = len(Configuration.of(config)["token_list"])
        raise ValueError(
            f"{error}; the model has {n_tokens} tokens: is the checkpoint of another "
            "vocabulary?"
        ) from None
    if not isinstance(model.decoder, MBartDecoder):
        raise ValueError(
            f"{path}: decoder '{args.decoder}' is not mbart; use "
            "espnet2.bin.st_inference"
        )
    args.bpemodel = own_tokenizer(args.bpemodel, path.parent)
    return model, args
