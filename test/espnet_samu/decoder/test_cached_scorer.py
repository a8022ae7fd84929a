import random

import pytest
import torch
from espnet2.legacy.nets.batch_beam_search import BatchBeamSearch
from espnet2.legacy.nets.beam_search import BeamSearch
from transformers.cache_utils import DynamicLayer

from espnet_samu.decoder.cached_scorer import GrowingLayer, PrefixTree, _slots
from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.decoder.pretrained import build_decoder, load_decoder_config

VOCAB = 30
EOS = 2
LANG = 28
MIXED = torch.tensor([28, 5, 17])

families = pytest.mark.parametrize("family", ["mbart", "m2m_100", "bart"])


class Uncached(MBartDecoder):
    """Reads the whole prefix at every step: the reference."""

    def batch_init_state(self, x, xs_lengths=None):
        return None

    def score(self, ys, state, x):
        return self.batch_score(ys[None], [state], x[None])[0][0], None

    @torch.no_grad()
    def batch_score(self, ys, states, xs, xs_mask=None):
        lengths = torch.full((len(xs),), xs.size(1))
        if xs_mask is not None:
            lengths = xs_mask[:, 0].sum(1)
        rows = self.languages.rows(len(xs), "cpu", repeat=True)
        with self.target_languages(rows):
            logits, _ = self(xs, lengths, ys, torch.full((len(ys),), ys.size(1)))
        return logits[:, -1].log_softmax(-1), [None] * len(ys)


@pytest.fixture
def frames(frames):
    """In double precision, as the decoders."""
    return frames[0].double(), frames[1]


@pytest.fixture
def pair(folder):
    """A decoder and the reference for it, with a default language."""
    return [
        kind(VOCAB, 16, model=folder, lang_token_id=LANG).eval().double()
        for kind in (MBartDecoder, Uncached)
    ]


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-9)


def search(decoder, kind=BatchBeamSearch, beams=4, primer=None):
    return kind(
        {"decoder": decoder},
        {"decoder": 1.0},
        beam_size=beams,
        vocab_size=VOCAB,
        sos=EOS,
        eos=EOS,
        hyp_primer=primer,
    )


@pytest.fixture(autouse=True)
def searches(monkeypatch):
    """Trees of prefixes that were begun."""
    begun = []

    def begin(*args):
        begun.append(PrefixTree(*args))
        return begun[-1]

    monkeypatch.setattr("espnet_samu.decoder.cached_scorer.PrefixTree", begin)
    return begun


def same(found, expected):
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected):
        assert one.yseq.tolist() == other.yseq.tolist()
        close(torch.as_tensor(one.score), torch.as_tensor(other.score))


@families
@pytest.mark.parametrize("seed", range(3))
def test_random_reordering(pair, frames, family, seed, searches):
    """Hypotheses of three utterances are copied, dropped and mixed as they come."""
    decoder, reference = pair
    generator = random.Random(seed)
    xs, lengths = frames
    utterances = [0, 0, 1, 1, 2, 2]
    ys = torch.full((6, 1), EOS)
    with decoder.target_languages(MIXED), reference.target_languages(MIXED):
        states = [decoder.batch_init_state(xs, xs_lengths=lengths)] * 6
    for step in range(9):
        rows = torch.tensor(utterances)
        mask = (torch.arange(7) < lengths[:, None])[rows, None]
        scores, states = decoder.batch_score(ys, states, xs[rows], mask)
        with reference.target_languages(MIXED[rows]):
            close(scores, reference.batch_score(ys, states, xs[rows], mask)[0])
        n = generator.randint(1, 8)
        chosen = [generator.randrange(len(ys)) for _ in range(n)]
        # 0 is <s> and 1 is <pad>
        new = [[generator.randrange(VOCAB)] for _ in chosen]
        ys = torch.cat([ys[chosen], torch.tensor(new)], dim=1)
        states = [decoder.select_state(states, i) for i in chosen]
        utterances = [utterances[i] for i in chosen]
    assert len(searches) == 1  # nothing was read twice


@families
@pytest.mark.parametrize("beams", [1, 4])
def test_batch_beam_search(pair, frames, family, beams, searches):
    for x in frames[0]:
        found, expected = (search(d, beams=beams)(x, -9) for d in pair)
        same(found, expected)
    assert len(searches) == 3


@families
@pytest.mark.parametrize("maxlenratio", [-9, 0.0])
def test_ragged_batch_of_languages(pair, frames, family, maxlenratio, caplog):
    x, lengths = frames
    options = {"maxlenratio": maxlenratio}
    with pair[0].target_languages(MIXED), pair[1].target_languages(MIXED):
        batch, expected = (search(d)(x, x_lengths=lengths, **options) for d in pair)
    # ESPnet's warning of decoders that take no mask
    assert "do not accept an xs_mask" not in caplog.text
    for b, n in enumerate(lengths):
        same(batch[b], expected[b])
        with pair[0].target_languages(MIXED[b : b + 1]):
            same(batch[b], search(pair[0])(x[b, :n], **options))


def test_one_padded_utterance(pair, frames):
    x, lengths = frames[0][:1], frames[1][:1]
    found, expected = (search(d)(x, -6, x_lengths=lengths) for d in pair)
    same(found[0], expected[0])
    same(found[0], search(pair[0])(x[0, : lengths[0]], -6))


def test_beam_search_of_single_hypotheses(pair, frames, searches):
    found, expected = (search(d, BeamSearch)(frames[0][1], -6) for d in pair)
    same(found, expected)
    assert len(searches) == 1


def test_primers_are_read(pair, frames):
    """ESPnet's own way to say the language: hypotheses begin with it."""
    x, lengths = frames
    with pair[0].target_languages(MIXED):
        expected = search(pair[0])(x, -6, x_lengths=lengths)
    with pair[0].target_languages(None):
        primer = [[EOS, row] for row in MIXED.tolist()]
        found = search(pair[0], primer=primer)(x, -6, x_lengths=lengths)
    for one, other in zip(found, expected):
        for hyp, wanted in zip(one, other):
            assert hyp.yseq[2:].tolist() == wanted.yseq[1:].tolist()
            close(torch.as_tensor(hyp.score), torch.as_tensor(wanted.score))


def test_interleaved_searches(pair, frames, searches):
    """Searches go on side by side; only a batch of several is read again."""
    decoder, reference = pair
    xs = frames[0][:2]
    ys = torch.tensor([[2, 5, 6, 7], [2, 9, 1, 4]])
    states = {i: decoder.init_state(xs[i]) for i in range(2)}
    for n in (1, 2, 3, 4):
        for i in range(2):
            scores, states[i] = decoder.score(ys[i, :n], states[i], xs[i])
            close(scores, reference.score(ys[i, :n], None, xs[i])[0])
    assert len(searches) == 2
    for others in ([states[0], None], [states[0], states[1]]):
        mixed, _ = decoder.batch_score(ys, others, xs)
        close(mixed, reference.batch_score(ys, [None] * 2, xs)[0])
    assert len(searches) == 4


def test_without_a_beginning(pair, frames, tokens):
    decoder, reference = pair
    ids, xs = tokens[0], frames[0][:1, :4]
    expected = reference.batch_score(ids, [None] * 3, xs.expand(3, -1, -1))[0]
    for many in (xs.expand(3, -1, -1), xs.repeat(3, 1, 1)):
        scores, states = decoder.batch_score(ids, [None] * 3, many)
        close(scores, expected)
        close(scores.exp().sum(1), torch.ones(3).double())
        longer = torch.cat([ids, ids[:, -1:]], dim=1)
        close(
            decoder.batch_score(longer, states, many)[0],
            reference.batch_score(longer, [None] * 3, many)[0],
        )
    one, _ = decoder.score(ids[1], None, xs[0])
    close(one, expected[1])


def test_frames_are_read_once(pair, frames):
    decoder = pair[0]
    read = []
    for layer in decoder.model.model.decoder.layers:
        layer.encoder_attn.k_proj.register_forward_hook(
            lambda module, args, out: read.append(tuple(args[0].shape))
        )
    search(decoder)(frames[0], -6, x_lengths=frames[1])
    # once in each of two layers: utterances, not hypotheses
    assert read == [(3, 7, 16)] * 2


def test_only_new_tokens_are_read(pair, frames):
    read = []
    decoder = pair[0]
    decoder.model.model.decoder.layers[0].fc1.register_forward_hook(
        lambda module, args, out: read.append(args[0].shape[1])
    )
    decoder.model.lm_head.register_forward_hook(
        lambda module, args, out: read.append(tuple(args[0].shape))
    )
    search(decoder, beams=2)(frames[0][1], -4, -4)
    # start and language token, then one token of each hypothesis
    assert read == [2, (1, 16)] + [2, (2, 16)] * 3


def test_wrong_numbers(pair, frames):
    decoder = pair[0]
    with decoder.target_languages(MIXED):
        with pytest.raises(ValueError, match="3 target languages for 2 utterances"):
            decoder.batch_init_state(frames[0][:2])
        with pytest.raises(ValueError, match="3 target languages for 1 utterances"):
            decoder.init_state(frames[0][0])


def test_in_half_precision_of_parameters(pair, frames):
    decoder = pair[0].bfloat16()
    found = search(decoder)(frames[0][1].bfloat16(), -4)
    assert found[0].score.isfinite()


def test_equals_dynamic_layer():
    torch.manual_seed(0)
    ours, theirs = GrowingLayer(), DynamicLayer()
    buffers = set()
    for n in (3, 1, 1, 4, 1, 1, 1, 9, 1):
        new = torch.randn(2, 2, n, 4), torch.randn(2, 2, n, 4)
        for one, other in zip(ours.update(*new), theirs.update(*new)):
            assert torch.equal(one, other)
        assert ours.get_seq_length() == theirs.get_seq_length()
        buffers.add(ours.keys.data_ptr())
    # room for 6, 18 and 42
    assert len(buffers) == 3


def test_slots_by_hand():
    # two hypotheses of each, in order: nothing to move
    assert _slots([0, 0, 1, 1], 2) == (None, 2)
    assert _slots([0], 1) == (None, 1)
    # utterance 1 has none, utterance 2 two that do not stand together
    assert _slots([2, 0, 2], 3) == ([4, 0, 5], 2)


def test_masks_by_hand(folder):
    decoder = build_decoder(folder, load_decoder_config(30, folder, {})).eval()
    tree = PrefixTree(decoder.model.decoder, torch.randn(1, 3, 16))
    nothing = torch.zeros(2, 0, dtype=torch.bool)
    with torch.no_grad():
        # two hypotheses of two tokens
        tokens = torch.tensor([[2, 5], [2, 6]])
        hidden, own = tree.read(tokens, 0, nothing, [0, 0])
        assert own.int().tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]
        # both go on from the second one
        tokens = torch.tensor([[7], [8]])
        hidden, own = tree.read(tokens, 2, own[[1, 1]], [0, 0])
        assert own.int().tolist() == [[0, 0, 1, 1, 1, 0], [0, 0, 1, 1, 0, 1]]
        assert tree.cache.get_seq_length() == 6
        assert tree.cache.cross_attention_cache.get_seq_length() == 3
        whole = decoder.model.decoder(
            input_ids=torch.tensor([[2, 6, 7], [2, 6, 8]]),
            encoder_hidden_states=tree.frames.expand(2, -1, -1),
            use_cache=False,
        ).last_hidden_state[:, -1]
    torch.testing.assert_close(hidden, whole, rtol=0, atol=1e-5)
