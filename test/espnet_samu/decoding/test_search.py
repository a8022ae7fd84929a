"""Tests of espnet_samu.decoding.search."""

import pytest
import torch

from espnet_samu.decoding.search import SearchSettings


@pytest.mark.parametrize(
    "options, message",
    [
        ({"beam_size": 0}, "beam_size 0 must be 1 or more"),
        ({"beam_size": 2, "nbest": 3}, "nbest 3 must be from 1 to beam_size 2"),
        ({"nbest": 0}, "nbest 0 must be from 1 to beam_size 5"),
        ({"backend": "fast"}, "backend 'fast' is not one of auto, generate, beam_se"),
        ({"ctc_weight": 1.0}, "ctc_weight 1.0 must be from 0 to below 1"),
        ({"lm_weight": -0.1}, "lm_weight -0.1 must be 0 or more"),
        ({"temperature": 0.0}, "temperature 0.0 must be above 0"),
        ({"top_p": 0.9, "top_k": 3}, "top_k, top_p: only with do_sample"),
        ({"do_sample": True, "nbest": 6}, "with beam_size 1 any number is drawn"),
    ],
)
def test_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SearchSettings(**options)


def test_unknown_option():
    with pytest.raises(TypeError, match="beamsize"):
        SearchSettings(beamsize=3)


@pytest.mark.parametrize(
    "options, has_lm, device, backend, reason",
    [
        ({}, False, "cpu", "beam_search", "the faster one on a CPU"),
        ({}, False, "cuda:1", "generate", "the default on cuda:1"),
        ({}, True, "cuda", "beam_search", "for lm_weight with a language model"),
        ({"lm_weight": 0.0}, True, "cuda", "generate", "the default on cuda"),
        ({"ctc_weight": 0.3}, False, "cuda", "beam_search", "for ctc_weight"),
        ({"penalty": -0.1}, False, "cuda", "beam_search", "for penalty"),
        ({"backend": "beam_search"}, False, "cuda", "beam_search", "it was chosen"),
        ({"backend": "generate"}, False, "cpu", "generate", "it was chosen"),
        (
            {"do_sample": True, "beam_size": 1, "nbest": 6},
            *(False, "cpu", "generate", "for do_sample"),
        ),
        ({"beam_size": 9}, False, "cpu", "generate", "beam_size 9 is wider than 8 tok"),
    ],
)
def test_backend(options, has_lm, device, backend, reason):
    chosen = SearchSettings(**options).choose_backend(has_lm, device, n_tokens=8)
    assert chosen.name == backend and chosen.reason.startswith(reason)


def test_backends_that_do_not_fit():
    settings = SearchSettings(backend="generate", ctc_weight=0.1)
    with pytest.raises(ValueError, match="'generate' has no ctc_weight, lm_weight"):
        settings.beam_search_options(has_lm=True)
    settings = SearchSettings(do_sample=True, penalty=1.0)
    with pytest.raises(ValueError, match="'beam_search' .penalty. does not sample"):
        settings.choose_backend(False, "cpu", 8)


@pytest.mark.parametrize(
    "maxlenratio, minlenratio, shortest, longest",
    [
        # as many tokens as frames, but no more than 32 - 2 positions
        (0.0, 0.0, [0, 0, 0], [10, 25, 30]),
        (0.5, 0.25, [2, 6, 25], [5, 12, 30]),
        (-7.0, -3.0, [3, 3, 3], [7, 7, 7]),
        # the greatest number wins
        (-2.0, -9.0, [2, 2, 2], [2, 2, 2]),
        # there is always room for a token
        (0.01, 0.0, [0, 0, 0], [1, 1, 1]),
    ],
)
def test_length_limits(maxlenratio, minlenratio, shortest, longest):
    settings = SearchSettings(maxlenratio=maxlenratio, minlenratio=minlenratio)
    limits = settings.length_limits(torch.tensor([10, 25, 100]), positions=32)
    assert [limit.tolist() for limit in limits] == [shortest, longest]


def test_length_penalty():
    assert SearchSettings().length_penalty == 1
    assert SearchSettings(normalize_length=False).length_penalty == 0
