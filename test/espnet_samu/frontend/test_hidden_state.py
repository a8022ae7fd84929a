"""Tests of espnet_samu.frontend.hidden_state."""

import pytest
import torch

from espnet_samu.frontend.hidden_state import StateChoice, StateReader


def state(value):
    return torch.full((1, 2, 1), float(value))


def read(weights, layers, output, **kwargs):
    """Sum over states of three layers; layers: index -> value that comes out."""
    reader = StateReader(weights, **kwargs)
    before = 1.0
    for index, after in layers.items():
        reader.read(index, state(before), state(after))
        before = after
    return reader.finish(state(output)).flatten()[0].item()


@pytest.mark.parametrize(
    "layers, states",
    [
        ({0: 10, 1: 20, 2: 30}, (1, 10, 20, 30)),
        ({1: 20, 2: 30}, (1, 1, 20, 30)),
        ({0: 10, 2: 30}, (1, 10, 10, 30)),
        ({0: 10, 1: 20}, (1, 10, 20, 20)),
        ({2: 30}, (1, 1, 1, 30)),
        ({0: 10}, (1, 10, 10, 10)),
        ({}, (77, 77, 77, 77)),
    ],
)
def test_skipped_layers(layers, states):
    for index, expected in enumerate(states):
        weights = [None] * 4
        weights[index] = 1.0
        assert read(weights, layers, 77) == expected
        # the last state is the output
        expected = 77 if index == 3 else expected
        assert read(weights, layers, 77, last_is_output=True) == expected


def test_weights():
    weights = list(torch.tensor([0.5, 0.25, 0.125, 0.125]))
    layers = {0: 8, 1: 16, 2: 24}
    assert read(weights, layers, 99) == 0.5 + 2 + 2 + 3
    assert read(weights, layers, 32, last_is_output=True) == 0.5 + 2 + 2 + 4


def test_normalize():
    reader = StateReader(list(torch.tensor([0.25, 0.75])), normalize=True)
    reader.read(0, torch.tensor([[[1.0, 3.0]]]), torch.tensor([[[900.0, 100.0]]]))
    # layer norm makes (-1, 1) of the first and (1, -1) of the second
    expected = torch.tensor([[[0.5, -0.5]]])
    torch.testing.assert_close(reader.finish(torch.empty(0)), expected)


def test_projection():
    """Of the second and the third state, without the first; layer norm at the end."""
    choice = StateChoice(2, first=1, projected_size=2)
    assert choice.weights.shape == (2,)
    with torch.no_grad():
        choice.weights.copy_(torch.tensor([0.25, 0.75]).log())
        choice.projection.weight[0] = torch.tensor([[0.0, 4.0], [4.0, 0.0]])
        choice.projection.bias[1] = torch.tensor([4.0, 0.0])
        choice.projection.norm.weight.fill_(3.0)
    weights = [None, *choice.weights.softmax(0)]
    reader = StateReader(weights, projection=choice.projection)
    states = torch.tensor([[[[99.0, 7.0]]], [[[1.0, 3.0]]], [[[4.0, 12.0]]]])
    reader.read(0, states[0], states[1])
    reader.read(1, states[1], states[2])
    # 0.25 (12, 4) + 0.75 (8, 12) = (9, 10), whose layer norm is (-1, 1)
    expected = torch.tensor([[[-3.0, 3.0]]])
    found = reader.finish(states[2])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
    with pytest.raises(ValueError, match="layer_mix_first is 3, but .* are 0 to 2"):
        StateChoice(2, first=3)


FAMILIES = (
    "wav2vec2-layer",
    "wav2vec2-group",
    "hubert",
    "wavlm",
    "wav2vec2-bert",
    "whisper",
)
family = pytest.mark.parametrize("family", FAMILIES)
WEIGHTS = torch.tensor([0.5, 0.2, 0.3])


def close(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@family
def test_layer_is_transformers_hidden_state(build, noise, hidden_states, family):
    speech, lengths = noise(3000)
    expected = hidden_states(build(family), speech, lengths)
    assert len(expected) == 3
    for layer in range(3):
        frontend = build(family, layer=layer)
        assert frontend.state_dict().keys() == build(family).state_dict().keys()
        close(frontend(speech, lengths)[0], expected[layer])


@family
@pytest.mark.parametrize("normalize", [False, True])
def test_mix(build, noise, hidden_states, family, normalize):
    speech, lengths = noise(3000)
    states = hidden_states(build(family), speech, lengths)
    if normalize:
        states = [torch.nn.functional.layer_norm(s, (16,)) for s in states]
    frontend = build(family, layer_mix=True, layer_mix_norm=normalize)
    close(frontend(speech, lengths)[0], sum(states) / 3)
    extra = frontend.state_dict().keys() - build(family).state_dict().keys()
    assert extra == {"state_choice.weights"}
    frontend.state_choice.weights.data = WEIGHTS.log()
    frames, _ = frontend(speech, lengths)
    close(frames, sum(w * s for w, s in zip(WEIGHTS, states)))


def test_gradient_of_the_mix(build, noise, hidden_states):
    speech, lengths = noise(3000)
    frontend = build("hubert", layer_mix=True, freeze=True).train()
    assert [n for n, p in frontend.named_parameters() if p.requires_grad] == [
        "state_choice.weights"
    ]
    frontend(speech, lengths)[0].square().mean().backward()
    states = hidden_states(frontend, speech, lengths)
    weights = torch.zeros(3, requires_grad=True)
    mix = sum(w * s for w, s in zip(weights.softmax(0), states))
    mix.square().mean().backward()
    assert weights.grad.abs().min() > 1e-6
    torch.testing.assert_close(frontend.state_choice.weights.grad, weights.grad)


@family
@pytest.mark.parametrize(
    "kwargs", [{}, {"layer": 0}, {"layer": 1}, {"layer": 2}, {"layer_mix": True}]
)
def test_all_that_is_trained_has_a_gradient(build, exact, noise, family, kwargs):
    frontend = build(family, exact(family), freeze_feature_encoder=False, **kwargs)
    frontend.train()(*noise(3000, 2000))[0].square().sum().backward()
    for name, parameter in frontend.named_parameters():
        assert parameter.requires_grad == (parameter.grad is not None), name
    layers = frontend.family.encoder(frontend.model).layers
    frozen = [not any(p.requires_grad for p in layer.parameters()) for layer in layers]
    top = kwargs.get("layer", 2)
    assert frozen == [index >= top for index in range(2)]


# WavLM's first layer is never dropped, nor does it draw.
@pytest.mark.parametrize(
    "family, skipped",
    [(f, s) for f in FAMILIES for s in (0, 1) if (f, s) != ("wavlm", 0)],
)
def test_layerdrop(build, exact, noise, plain_model, family, skipped, monkeypatch):
    speech, lengths = noise(3000, 2000)
    conf = {**exact(family), "layerdrop": 0.5}
    draws = {0: [0.1, 0.9], 1: [0.9, 0.1]}[skipped]
    draws = draws[1:] if family == "wavlm" else draws

    def run(function, *args, **kwargs):
        left = iter(draws)
        with monkeypatch.context() as patch:
            patch.setattr(torch, "rand", lambda *_: torch.tensor(next(left)))
            return function(*args, **kwargs)

    def frames(train, **kwargs):
        frontend = build(family, conf, **kwargs).train(train)
        return run(frontend, speech, lengths)[0].detach()

    states = [frames(True, layer=layer) for layer in range(3)]
    close(states[0], frames(False, layer=0))
    if skipped == 1:
        close(states[1], frames(False, layer=1))
        # Whisper's last state has its final norm.
        if family != "whisper":
            close(states[2], states[1])
    else:
        close(states[1], states[0])
        assert (states[2] - states[1]).abs().max() > 1e-2
    close(frames(True, layer_mix=True), sum(states) / 3)
    # transformers has too few of them
    frontend = build(family, conf).train()
    features = frontend.family.features(frontend.model, speech, lengths)
    plain = run(plain_model(frontend).train(), features, output_hidden_states=True)
    assert len(plain.hidden_states) == 2


@family
def test_all_layers_dropped(build, exact, noise, family):
    conf = {**exact(family), "layerdrop": 1.0}
    speech, lengths = noise(3000, 2000)
    for kwargs in ({}, {"layer": 0}, {"layer": 2}, {"layer_mix": True}):
        frontend = build(family, conf, **kwargs).train()
        frames, out_lengths = frontend(speech, lengths)
        assert frames.shape == (2, int(out_lengths[0]), 16)
        assert frames.isfinite().all()


def test_bfloat16(build, noise):
    speech, lengths = noise(3000)
    for kwargs in ({"layer": 1}, {"layer_mix": True}):
        expected, _ = build("wav2vec2-layer", **kwargs)(speech, lengths)
        frames, _ = build("wav2vec2-layer", dtype="bfloat16", **kwargs)(speech, lengths)
        assert frames.dtype == torch.float32
        assert 0 < (frames - expected).abs().max() < 0.2


def test_copies_in_threads(build, noise):
    """DataParallel's copies share hooks: each thread must read its own states."""
    from concurrent.futures import ThreadPoolExecutor

    frontends = [build("wav2vec2-layer", layer=layer) for layer in (0, 1, 2)] * 4
    first = frontends[0]
    for frontend in frontends[1:]:
        frontend.model = first.model  # its hooks are those of three choices
    inputs = noise(3000)
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda f: f(*inputs)[0].detach(), frontends))
    for frontend, frames in zip(frontends, results):
        close(frames, frontend(*inputs)[0].detach())
    assert (results[0] - results[1]).abs().max() > 1e-2


@pytest.mark.parametrize("layer", [-1, 3])
def test_refused(build, layer):
    message = f"layer is {layer}, but the encoder's hidden states are 0 .* to 2"
    with pytest.raises(ValueError, match=message):
        StateChoice(2, layer)
    with pytest.raises(ValueError, match=message):
        build("hubert", layer=layer)
    with pytest.raises(ValueError, match="layer 1 is one hidden state and layer_mix"):
        build("hubert", layer=1, layer_mix=True)
    with pytest.raises(ValueError, match="layer_mix_norm needs layer_mix"):
        build("hubert", layer_mix_norm=True)
