"""``add_adapter: true``, whose convolutions must not see padding."""

import pytest
import torch

ADAPTER = {"add_adapter": True, "num_adapter_layers": 2}
FAMILIES = ("wav2vec2-layer", "wav2vec2-group", "wavlm", "wav2vec2-bert")
family = pytest.mark.parametrize("family", FAMILIES)


@family
@pytest.mark.parametrize("kwargs", [{}, {"layer": 1}, {"layer_mix": True}])
@pytest.mark.parametrize("size", [16, 24])
def test_batch_equals_alone(build, noise, family, kwargs, size):
    frontend = build(family, {**ADAPTER, "output_hidden_size": size}, **kwargs)
    assert frontend.output_size() == size
    speech, lengths = noise(2999, 5000, 1601, 3333)
    frames, out_lengths = frontend(speech, lengths)
    assert frames.shape == (4, int(out_lengths.max()), size)
    for i, n in enumerate(lengths.tolist()):
        alone, alone_lengths = frontend(speech[i : i + 1, :n], lengths[i : i + 1])
        assert alone.size(1) == alone_lengths[0] == out_lengths[i]
        torch.testing.assert_close(
            frames[i, : out_lengths[i]], alone[0], rtol=0, atol=1e-5
        )


@family
def test_alone_equals_transformers(build, plain_model, noise, family):
    frontend = build(family, ADAPTER)
    plain = plain_model(frontend)
    for n in (2999, 3040, 3200):
        speech, lengths = noise(n)
        features = frontend.family.features(frontend.model, speech, lengths)
        with torch.no_grad():
            expected = plain(features).last_hidden_state
        frames, out_lengths = frontend(speech, lengths)
        assert out_lengths.tolist() == [expected.size(1)]
        torch.testing.assert_close(frames, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES[:1])
def test_transformers_adapter_sees_padding(build, plain_model, noise, family):
    """Why the convolutions are masked."""
    frontend = build(family, ADAPTER)
    plain = plain_model(frontend)
    speech, lengths = noise(5000, 3001)
    speech[1, 3001:] = 0
    mask = (torch.arange(5000) < lengths[:, None]).long()
    with torch.no_grad():
        batch = plain(speech, attention_mask=mask).last_hidden_state[1]
    alone, _ = frontend(speech[1:, :3001], lengths[1:])
    n = alone.size(1)
    torch.testing.assert_close(batch[: n - 1], alone[0, : n - 1], rtol=0, atol=1e-5)
    assert (batch[n - 1] - alone[0, n - 1]).abs().max() > 1e-4


@family
def test_layer_goes_into_the_adapter(build, plain_model, noise, hidden_states, family):
    frontend = build(family, ADAPTER, layer=1)
    speech, lengths = noise(3000)
    state = hidden_states(frontend, speech, lengths)[1]
    with torch.no_grad():
        expected = plain_model(frontend).adapter(state)
    torch.testing.assert_close(
        frontend(speech, lengths)[0], expected, rtol=0, atol=1e-5
    )


@family
def test_layerdrop_keeps_the_adapter(build, exact, noise, family):
    conf = {**ADAPTER, **exact(family), "layerdrop": 1.0}
    frontend = build(family, conf).train()
    assert all(m.training for m in frontend.model.adapter.modules())
    frames, out_lengths = frontend(*noise(3000, 2000))
    assert frames.size(1) == out_lengths.max() == frontend(*noise(3000))[1][0]
    frames.square().sum().backward()
    for parameter in frontend.model.adapter.parameters():
        assert parameter.grad.abs().sum() > 0


def test_other_kernels(build, noise):
    conf = {**ADAPTER, "adapter_kernel_size": 5, "adapter_stride": 3}
    frontend = build("wav2vec2-layer", conf)
    speech, lengths = noise(3000, 2000)
    frames, out_lengths = frontend(speech, lengths)
    # 73 and 48 frames; 2 zeros more, 5 wide, 3 apart: 24 and 16, then 8 and 5
    assert out_lengths.tolist() == [8, 5]
    alone, _ = frontend(speech[1:, :2000], lengths[1:])
    torch.testing.assert_close(frames[1:, :5], alone, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="adapter_kernel_size 5 and adapter_stride 2"):
        build("wav2vec2-bert", {**ADAPTER, "adapter_kernel_size": 5})
    with pytest.raises(ValueError, match="add_adapter, .* not a field of HubertConfig"):
        build("hubert", ADAPTER)
