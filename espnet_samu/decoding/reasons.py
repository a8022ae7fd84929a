"""Why an utterance was not translated or embedded, in one line."""

import torch

from espnet_samu.utils.waveform import UnusableWaveforms


def reason_of(error: BaseException) -> str:
    """What a file of failures says of an error."""
    message = " ".join(str(error).split())
    if is_out_of_memory(error):
        return (
            f"out of memory, alone in its batch: {message[:200]}; --chunk_seconds cuts "
            "long utterances in decoding"
        )
    if isinstance(error, UnusableWaveforms):
        message = "; ".join(error.reasons.values())
        if "longer than the window" in message:
            message += (
                "; cut it into segments in stage 1, or in decoding by --chunk_seconds"
            )
        return message
    # Ours say all that there is to say.
    if type(error) is ValueError and message:
        return message
    return f"{type(error).__name__}: {message}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was too little memory, of the device or of the machine."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # The CPU's allocator raises no class of its own.
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)
