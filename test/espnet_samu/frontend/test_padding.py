"""Tests of espnet_samu.frontend.padding."""

import pytest
import torch

from espnet_samu.frontend.padding import (
    FixedBatchNorm1d,
    MaskedConv1d,
    MaskedGroupNorm,
    batch_lengths,
)


def call(layer, values, *lengths):
    with batch_lengths({layer: torch.tensor(lengths)}):
        return layer(values)


def test_by_hand():
    plain = torch.nn.Conv1d(1, 1, 3, stride=2, padding=1)
    plain.weight.data = torch.ones(1, 1, 3)
    plain.bias.data = torch.zeros(1)
    conv = MaskedConv1d.from_conv1d(plain)
    # the 100 is padding
    values = torch.tensor([[[1.0, 2.0, 3.0, 100.0]], [[1.0, 2.0, 3.0, 4.0]]])
    # 0+1+2, 2+3+0; 0+1+2, 2+3+4
    expected = torch.tensor([[[3.0, 5.0]], [[3.0, 9.0]]])
    torch.testing.assert_close(call(conv, values, 3, 4), expected)
    assert values[0, 0, 3] == 100
    assert conv.output_lengths(torch.tensor([3, 4])).tolist() == [2, 2]


def test_takes_the_parameters_and_no_random_number():
    torch.manual_seed(0)
    plain = torch.nn.Conv1d(4, 6, 3, groups=2, bias=False)
    state = torch.get_rng_state()
    conv = MaskedConv1d.from_conv1d(plain)
    assert torch.equal(torch.get_rng_state(), state)
    assert conv.weight is plain.weight and conv.bias is None
    assert conv.state_dict().keys() == plain.state_dict().keys()
    values = torch.randn(1, 4, 7)
    found = call(conv, values, 7)
    torch.testing.assert_close(found, plain(values), rtol=0, atol=0)


@pytest.mark.parametrize("kernel, stride, padding", [(3, 2, 1), (5, 2, 1), (4, 3, 0)])
def test_output_lengths(kernel, stride, padding):
    conv = MaskedConv1d(1, 1, kernel, stride=stride, padding=padding)
    for n in range(4, 12):
        frames = call(conv, torch.zeros(1, 1, n), n).size(2)
        assert conv.output_lengths(torch.tensor([n])).tolist() == [frames]


def test_masked_group_norm_by_hand():
    norm = MaskedGroupNorm(1, 1, eps=0.0)
    # means 2 and 3, variances 1 and 6; the 100 is padding
    values = torch.tensor([[[1.0, 3.0, 100.0]], [[0.0, 3.0, 6.0]]])
    out = call(norm, values, 2, 3)
    expected = torch.tensor([[[-1.0, 1.0]], [[-1.2247449, 0.0]]])
    torch.testing.assert_close(out[..., :2], expected)
    torch.testing.assert_close(out[1, 0, 2].item(), 1.2247449)
    assert values[0, 0, 2] == 100


def test_equals_group_norm_gradients_included():
    torch.manual_seed(0)
    plain = torch.nn.GroupNorm(4, 4, eps=1e-3)
    torch.nn.init.normal_(plain.weight)
    torch.nn.init.normal_(plain.bias)
    masked = MaskedGroupNorm.from_group_norm(plain)
    assert masked.weight is plain.weight and masked.eps == 1e-3
    assert masked.state_dict().keys() == plain.state_dict().keys()
    values = torch.randn(2, 4, 7)
    weights = torch.randn(2, 4, 5)
    gradients = []
    for norm, width in ((plain, 5), (masked, 7)):
        x = values[..., :width].clone().requires_grad_()
        out = call(norm, x, 5, 5)[..., :5]
        (out * weights).sum().backward()
        gradients.append((out, x.grad[..., :5], plain.weight.grad, plain.bias.grad))
        plain.zero_grad()
    for one, other in zip(*gradients):
        torch.testing.assert_close(one, other)


def test_fixed_batch_norm_by_hand():
    plain = torch.nn.BatchNorm1d(1, eps=1.0)
    plain.running_mean.fill_(2.0)
    plain.running_var.fill_(3.0)
    plain.weight.data.fill_(10.0)
    plain.bias.data.fill_(1.0)
    norm = FixedBatchNorm1d.from_batch_norm(plain).train()
    assert norm.weight is plain.weight
    assert norm.state_dict().keys() == plain.state_dict().keys()
    # 10 (x - 2) / sqrt(3 + 1) + 1
    values = torch.tensor([[[2.0, 4.0]], [[0.0, 102.0]]])
    expected = torch.tensor([[[1.0, 11.0]], [[-9.0, 501.0]]])
    torch.testing.assert_close(norm(values), expected)
    norm(values).sum().backward()
    assert plain.bias.grad == 4 and plain.running_mean == 2 and plain.running_var == 3


def test_groups_of_channels_are_refused():
    with pytest.raises(ValueError, match="2 groups of 4 channels"):
        MaskedGroupNorm.from_group_norm(torch.nn.GroupNorm(2, 4))


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
