"""Both backends: against each other, and against all translations that there are."""

import gc
import itertools
import weakref

import pytest
import torch
from espnet2.asr.ctc import CTC
from espnet2.legacy.nets.scorer_interface import BatchScorerInterface

from espnet_samu.decoder.cached_scorer import PrefixTree
from espnet_samu.decoding.beam_search import FusionSearch
from espnet_samu.decoding.search import GenerateSearch, SearchSettings


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert [h.tokens for h in one] == [h.tokens for h in other]
        assert [h.length for h in one] == [h.length for h in other]
        scores = [h.score for h in other]
        assert [h.score for h in one] == pytest.approx(scores, abs=1e-4)


@pytest.mark.parametrize("lang", [None, 5])
@pytest.mark.parametrize("beam", [1, 2, 5])
@pytest.mark.parametrize("normalize", [False, True])
def test_backends_agree(tiny_model, frames, beam, normalize, lang):
    ends = 0
    for seed, longest, shortest in itertools.product(
        range(2), (0.0, -12.0, 1.5), (0.0, -3.0, -12.0)
    ):
        settings = SearchSettings(
            beam_size=beam,
            nbest=beam,
            maxlenratio=longest,
            minlenratio=shortest,
            normalize_length=normalize,
        )
        model = tiny_model(seed=seed, lang_token_id=lang)
        generated = GenerateSearch(model, settings)(*frames)
        assert_same(FusionSearch(model, settings)(*frames), generated)
        ends += sum(h.length > len(h.tokens) for best in generated for h in best)
    # of both kinds: by the end token and by the limit
    assert 0 < ends < 18 * 4 * beam


@pytest.mark.parametrize("search", [GenerateSearch, FusionSearch])
def test_alone_and_in_any_order(tiny_model, frames, search):
    settings = SearchSettings(beam_size=3, nbest=3, maxlenratio=1.5, minlenratio=0.3)
    search = search(tiny_model(), settings)
    together = search(*frames)
    order = torch.tensor([2, 0, 3, 1])
    mixed = search(frames[0][order], frames[1][order])
    assert_same(mixed, [together[i] for i in order])
    for i, length in enumerate(frames[1]):
        alone = search(frames[0][i : i + 1, :length], frames[1][i : i + 1])
        assert_same(alone, together[i : i + 1])


@pytest.mark.parametrize("search", [GenerateSearch, FusionSearch])
def test_languages(tiny_model, frames, search):
    settings = SearchSettings(beam_size=2, maxlenratio=-6.0)
    mixed = search(tiny_model(lang_token_id=3), settings)(
        *frames, torch.tensor([3, 4, 4, 3])
    )
    for lang, rows in ((3, [0, 3]), (4, [1, 2])):
        one = search(tiny_model(lang_token_id=lang), settings)(*frames)
        assert_same([mixed[i] for i in rows], [one[i] for i in rows])
    assert mixed != search(tiny_model(lang_token_id=3), settings)(*frames)


def test_the_search_is_forgotten(tiny_model, frames, monkeypatch):
    """The cache of a search is freed when the search has ended."""
    trees = weakref.WeakSet()

    class Watched(PrefixTree):
        def __init__(self, *args):
            super().__init__(*args)
            trees.add(self)

    monkeypatch.setattr("espnet_samu.decoder.cached_scorer.PrefixTree", Watched)
    found = FusionSearch(tiny_model(), SearchSettings(maxlenratio=-3.0))(*frames)
    gc.collect()
    assert found and not trees


class Bigrams(BatchScorerInterface, torch.nn.Module):
    """A language model of random log-probabilities (V, V)."""

    def __init__(self, vocab_size):
        super().__init__()
        logits = torch.randn(vocab_size, vocab_size) * 3
        self.table = logits.log_softmax(-1)

    def batch_score(self, ys, states, xs):
        return self.table[ys[:, -1]], [None] * len(ys)


V, LONGEST = 6, 4


def all_translations():
    """Tokens and whether they end, for all translations of at most 4 tokens."""
    for length in range(LONGEST):
        for tokens in itertools.product(range(1, V - 1), repeat=length):
            yield list(tokens), True
    for tokens in itertools.product(range(1, V - 1), repeat=LONGEST):
        yield list(tokens), False


def decoder_scores(model, frames, translations):
    """Sums of log-probabilities by forward(), in one batch."""
    rows = [tokens + [model.eos] * ends for tokens, ends in translations]
    n_tokens = torch.tensor([len(row) for row in rows])
    targets = torch.zeros(len(rows), LONGEST, dtype=torch.long)
    for i, row in enumerate(rows):
        targets[i, : len(row)] = torch.tensor(row)
    inputs = torch.nn.functional.pad(targets, (1, 0), value=model.sos)[:, :-1]
    logits, _ = model.decoder(
        frames.expand(len(rows), -1, -1),
        torch.full((len(rows),), frames.size(1)),
        inputs,
        n_tokens,
    )
    steps = logits.log_softmax(-1).gather(2, targets[..., None])[..., 0]
    inside = torch.arange(LONGEST) < n_tokens[:, None]
    return steps.masked_fill(~inside, 0.0).sum(1), inputs, targets, inside


@torch.no_grad()
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("penalty", [0.0, -0.5, 2.0])
def test_lm_finds_the_best_of_all(tiny_model, frames, normalize, penalty):
    model = tiny_model(vocab_size=V)
    lm = Bigrams(V)
    # as all_translations() has no token 0
    lm.table[:, 0] = -1e4
    settings = SearchSettings(
        beam_size=V**3,
        nbest=20,
        maxlenratio=-float(LONGEST),
        normalize_length=normalize,
        lm_weight=0.7,
        penalty=penalty,
    )
    found = FusionSearch(model, settings, lm)(*frames)
    translations = list(all_translations())
    for i, length in enumerate(frames[1]):
        speech = frames[0][i : i + 1, :length]
        sums, inputs, targets, inside = decoder_scores(model, speech, translations)
        sums += 0.7 * lm.table[inputs, targets].masked_fill(~inside, 0.0).sum(1)
        sums += penalty * inside.sum(1)
        scores = sums / inside.sum(1) ** (1.0 if normalize else 0.0)
        best, places = scores.topk(20)
        if normalize:
            # the search may stop before a later one gets a better mean
            best, places = best[:1], places[:1]
        ours = found[i][: len(best)]
        assert [h.tokens for h in ours] == [translations[k][0] for k in places]
        assert [h.score for h in ours] == pytest.approx(best.tolist(), abs=1e-4)


@torch.no_grad()
def test_ctc_finds_the_best_of_all(tiny_model, frames):
    model = tiny_model(vocab_size=V, seed=2)
    model.st_ctc = CTC(V, 16).eval()
    torch.nn.init.normal_(model.st_ctc.ctc_lo.weight, std=0.3)
    settings = SearchSettings(
        beam_size=V**4,
        nbest=V**4,
        maxlenratio=-float(LONGEST),
        normalize_length=False,
        ctc_weight=0.4,
    )
    found = FusionSearch(model, settings)(*frames)
    translations = [pair for pair in all_translations() if pair[1]]
    for i, length in enumerate(frames[1]):
        speech = frames[0][i : i + 1, :length]
        attention, *_ = decoder_scores(model, speech, translations)
        log_probs = model.st_ctc.log_softmax(speech)[0][:, None]
        ctc = torch.stack(
            [
                -torch.nn.functional.ctc_loss(
                    log_probs,
                    torch.tensor([tokens], dtype=torch.long),
                    length[None],
                    torch.tensor([len(tokens)]),
                    reduction="sum",
                )
                for tokens, _ in translations
            ]
        )
        best, places = (0.6 * attention + 0.4 * ctc).topk(10)
        # those of the limit have CTC's prefix probability, which is another thing
        ended = [h for h in found[i] if h.length > len(h.tokens)]
        assert len(ended) > 10
        for ours, score, place in zip(ended, best.tolist(), places):
            assert ours.tokens == translations[place][0]
            assert ours.score == pytest.approx(score, abs=1e-3)


def test_ctc_in_batches(tiny_model, frames):
    model = tiny_model(vocab_size=30)
    model.st_ctc = CTC(30, 16).eval()
    # The beam is narrow: CTC scores only the likeliest 4 tokens of the others.
    settings = SearchSettings(beam_size=3, nbest=3, maxlenratio=-8.0, ctc_weight=0.3)
    search = FusionSearch(model, settings)
    together = search(*frames)
    for i, length in enumerate(frames[1]):
        alone = search(frames[0][i : i + 1, :length], frames[1][i : i + 1])
        assert_same(alone, together[i : i + 1])


def test_no_ctc(tiny_model):
    with pytest.raises(ValueError, match="no CTC over translations; train it with"):
        FusionSearch(tiny_model(), SearchSettings(ctc_weight=0.3))


def test_sampling(tiny_model, frames):
    model = tiny_model()

    def draw(seed, **options):
        torch.manual_seed(seed)
        settings = SearchSettings(do_sample=True, maxlenratio=-6.0, **options)
        return GenerateSearch(model, settings)(*frames)

    drawn = draw(0, beam_size=1, nbest=7)
    assert drawn == draw(0, beam_size=1, nbest=7) != draw(1, beam_size=1, nbest=7)
    for best in drawn:
        scores = [h.score for h in best]
        assert len(best) == 7 and scores == sorted(scores, reverse=True)
    # next to no choice is left: as without sampling
    greedy = GenerateSearch(model, SearchSettings(beam_size=1, maxlenratio=-6.0))
    for options in ({"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-4}):
        assert_same(draw(0, beam_size=1, **options), greedy(*frames))
