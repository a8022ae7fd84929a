"""Tests of espnet_samu.decoder.generation."""

import pytest
import torch
from transformers import LogitsProcessorList, StoppingCriteriaList
from transformers.modeling_outputs import BaseModelOutput

from espnet_samu.decoder.generation import (
    LongestLengths,
    ReleaseScores,
    ShortestLengths,
)
from espnet_samu.decoder.mbart import MBartDecoder

# Two utterances, two hypotheses of each, two tokens after a prefix of one.
TOKENS = torch.zeros(4, 3, dtype=torch.long)


def test_shortest_by_hand():
    limit = ShortestLengths(torch.tensor([3, 2]), prefix=1, eos=1)
    scores = torch.tensor([[0.1, 0.2, 0.3]]).repeat(4, 1)
    out = limit(TOKENS, scores)
    inf = float("-inf")
    expected = [[0.1, inf, 0.3], [0.1, inf, 0.3], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3]]
    assert torch.equal(out, torch.tensor(expected))
    assert scores[0, 1] == torch.tensor(0.2)


def test_longest_by_hand():
    limit = LongestLengths(torch.tensor([3, 2]), prefix=1)
    assert limit(TOKENS, None).tolist() == [False, False, True, True]
    assert limit(TOKENS[:2, :1], None).tolist() == [False, False]


def test_empties_the_last_one():
    scores = (torch.zeros(0), torch.ones(2, 5))
    tokens = torch.zeros(2, 3, dtype=torch.long)
    assert ReleaseScores()(tokens, scores).tolist() == [False, False]
    assert [step.numel() for step in scores] == [0, 0]
    assert ReleaseScores()(tokens, None).tolist() == [False, False]


VOCAB = 30
EOS = 2
LANG = 28
MIXED = torch.tensor([28, 5, 17])
LONGEST = torch.tensor([8, 3, 6])
SHORTEST = torch.tensor([2, 0, 6])

families = pytest.mark.parametrize("family", ["mbart", "m2m_100", "bart"])


@families
@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("lang", [None, LANG])
def test_generate(plain, folder, frames, family, beams, lang):
    decoder = MBartDecoder(VOCAB, 16, model=folder, lang_token_id=lang).eval()
    # length_penalty 0: where the prefix ends has no part in the score
    options = {"num_beams": beams, "num_return_sequences": beams, "do_sample": False}
    options.update(length_penalty=0.0, output_scores=True)
    output = decoder.generate(*frames, sos=EOS, eos=EOS, max_new_tokens=8, **options)
    expected = plain.generate(
        encoder_outputs=BaseModelOutput(frames[0]),
        attention_mask=(torch.arange(7) < frames[1][:, None]).long(),
        decoder_start_token_id=EOS,
        forced_bos_token_id=lang,
        forced_eos_token_id=None,
        max_new_tokens=8 if lang is None else 9,
        return_dict_in_generate=True,
        **options,
    )
    assert output.sequences.tolist() == expected.sequences.tolist()
    prefix = [EOS] if lang is None else [EOS, LANG]
    assert output.sequences[:, : len(prefix)].tolist() == [prefix] * 3 * beams
    if beams > 1:
        torch.testing.assert_close(output.sequences_scores, expected.sequences_scores)


@families
@pytest.mark.parametrize("beams", [1, 3])
def test_batch_of_languages_equals_alone(folder, frames, family, beams):
    decoder = MBartDecoder(VOCAB, 16, model=folder, lang_token_id=LANG).eval()
    options = {"sos": EOS, "eos": EOS, "num_beams": beams, "do_sample": False}
    options["max_new_tokens"] = 8
    with decoder.target_languages(MIXED):
        batch = decoder.generate(*frames, **options).sequences
    assert batch[:, 1].tolist() == MIXED.tolist()
    default = decoder.generate(*frames, **options).sequences
    assert not torch.equal(default[1:, 2:], batch[1:, 2:])
    for i, n in enumerate(frames[1]):
        one = frames[0][i : i + 1, :n], frames[1][i : i + 1]
        decoder.lang_token_id = int(MIXED[i])
        alone = decoder.generate(*one, **options).sequences[0]
        assert batch[i, : len(alone)].tolist() == alone.tolist()
    with decoder.target_languages(MIXED[:2]):
        with pytest.raises(ValueError, match="2 target languages for 3 utterances"):
            decoder.generate(*frames, **options)


def limits(prefix, is_limited):
    longest = LONGEST if is_limited else torch.tensor([8] * 3)
    options = {
        "max_new_tokens": 8,
        "stopping_criteria": StoppingCriteriaList([LongestLengths(longest, prefix)]),
    }
    ours = {"longest": longest}
    if is_limited:
        processors = [ShortestLengths(SHORTEST, prefix, EOS)]
        options["logits_processor"] = LogitsProcessorList(processors)
        ours["shortest"] = SHORTEST
    return options, ours


@families
@pytest.mark.parametrize("lang", [None, LANG])
@pytest.mark.parametrize("is_limited", [False, True])
def test_beam_scores(folder, frames, family, lang, is_limited):
    """The same numbers that generate gives when it keeps the scores of all steps."""
    decoder = MBartDecoder(VOCAB, 16, model=folder, lang_token_id=lang).eval()
    prefix = 1 if lang is None else 2
    theirs, ours = limits(prefix, is_limited)
    options = {"num_beams": 4, "num_return_sequences": 2, "do_sample": False}
    for penalty in (0.0, 1.0):
        options["length_penalty"] = penalty
        kept = decoder.generate(
            *frames, EOS, EOS, output_scores=True, **options, **theirs
        )
        found = decoder.generate_with_scores(*frames, EOS, EOS, **options, **ours)
        assert torch.equal(found.tokens, kept.sequences[:, prefix:])
        torch.testing.assert_close(
            found.scores, kept.sequences_scores, rtol=0, atol=1e-6
        )
        for tokens, n in zip(found.tokens.tolist(), found.lengths.tolist()):
            assert EOS not in tokens[: n - 1]
            assert n in (8, 3, 6) or tokens[n - 1] == EOS
    if is_limited:
        assert (found.lengths <= LONGEST.repeat_interleave(2)).all()
        # the end token is one of them
        assert (found.lengths >= SHORTEST.repeat_interleave(2)).all()


@families
@pytest.mark.parametrize("lang", [None, LANG])
def test_greedy_scores(folder, frames, family, lang):
    decoder = MBartDecoder(VOCAB, 16, model=folder, lang_token_id=lang).eval()
    prefix = 1 if lang is None else 2
    theirs, ours = limits(prefix, True)
    options = {"do_sample": False}
    kept = decoder.generate(*frames, EOS, EOS, output_logits=True, **options, **theirs)
    # The translations are not read a second time for their scores.
    decoder.hidden_states = None
    for penalty in (0.0, 1.0):
        found = decoder.generate_with_scores(
            *frames, EOS, EOS, length_penalty=penalty, **options, **ours
        )
        assert torch.equal(found.tokens, kept.sequences[:, prefix:])
        steps = decoder.model.compute_transition_scores(
            kept.sequences, kept.logits, normalize_logits=True
        )
        for i, n in enumerate(found.lengths.tolist()):
            ids = found.tokens[i].tolist()
            assert n == LONGEST[i] or ids[n - 1] == EOS
            assert EOS not in ids[: n - 1]
            expected = steps[i, :n].sum() / n**penalty
            torch.testing.assert_close(found.scores[i], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("warped", [{}, {"temperature": 0.5, "top_k": 5, "top_p": 0.9}])
def test_samples_have_their_scores(folder, frames, warped):
    """Those of the model, however they were drawn."""
    decoder = MBartDecoder(VOCAB, 16, model=folder, lang_token_id=LANG).eval()
    torch.manual_seed(0)
    options = {"do_sample": True, "num_return_sequences": 3, "top_k": 0, **warped}
    found = decoder.generate_with_scores(*frames, EOS, EOS, LONGEST, **options)
    assert found.scores.shape == (9,) and (found.scores < 0).all()
    i = 4
    n, m = int(frames[1][1]), int(found.lengths[i])
    ids = torch.cat([torch.tensor([EOS]), found.tokens[i, :m]])[None]
    logits, _ = decoder(
        frames[0][1:2, :n], frames[1][1:2], ids[:, :-1], torch.tensor([m])
    )
    scores = logits.log_softmax(-1).gather(2, ids[:, 1:, None]).mean()
    torch.testing.assert_close(found.scores[i], scores, rtol=0, atol=1e-5)


def test_scores_of_steps_are_not_kept(folder, frames):
    decoder = MBartDecoder(VOCAB, 16, model=folder).eval()
    outputs = []
    generate = decoder.model.generate
    decoder.model.generate = lambda **kw: outputs.append(generate(**kw)) or outputs[0]
    options = {"longest": LONGEST, "num_beams": 3, "do_sample": False}
    decoder.generate_with_scores(*frames, EOS, EOS, **options)
    assert len(outputs[0].scores) > 3
    assert sum(step.untyped_storage().nbytes() for step in outputs[0].scores) == 0
    assert outputs[0].logits is None
