import pytest
import torch

from espnet_samu.decoding.reasons import is_out_of_memory, reason_of
from espnet_samu.utils.waveform import UnusableWaveforms


@pytest.mark.parametrize(
    "error, reason",
    [
        (ValueError("too\n  short"), "too short"),
        (ValueError(""), "ValueError: "),
        (KeyError("utt"), "KeyError: 'utt'"),
        (RuntimeError("a\nb"), "RuntimeError: a b"),
        (UnicodeError("x"), "UnicodeError: x"),
        (UnusableWaveforms({3: "too short"}, ["a"] * 4, ". Advice"), "too short"),
        (
            UnusableWaveforms({0: "longer than the window of whisper"}),
            "longer than the window of whisper; cut it into segments in stage 1, or in "
            "decoding by --chunk_seconds",
        ),
    ],
)
def test_reasons(error, reason):
    assert reason_of(error) == reason
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [MemoryError("no"), torch.OutOfMemoryError("CUDA out of memory. Tried 9 GiB")],
)
def test_out_of_memory(error):
    assert is_out_of_memory(error)
    assert reason_of(error).startswith("out of memory, alone in its batch: ")
    assert reason_of(error).endswith("--chunk_seconds cuts long utterances in decoding")


def test_out_of_memory_of_the_cpu():
    # 2 ** 62 bytes
    with pytest.raises(RuntimeError) as info:
        torch.empty(2**60, dtype=torch.float32)
    assert is_out_of_memory(info.value)
