import torch


def test_positional_batch_norm(build, noise, plain_model):
    """HuBERT's conv_pos_batch_norm makes something of padded zeros."""
    frontend = build("hubert", {"conv_pos_batch_norm": True})
    norm = frontend.model.encoder.pos_conv_embed.batch_norm
    torch.nn.init.normal_(norm.bias)
    assert "encoder.pos_conv_embed.conv.weight" in frontend.model.state_dict()
    speech, lengths = noise(2999, 5000)
    frames, out_lengths = frontend(speech, lengths)
    alone, _ = frontend(speech[:1, :2999], lengths[:1])
    torch.testing.assert_close(frames[:1, : out_lengths[0]], alone, rtol=0, atol=1e-5)
    with torch.no_grad():
        expected = plain_model(frontend)(speech[:1, :2999]).last_hidden_state
    torch.testing.assert_close(alone, expected, rtol=0, atol=1e-5)
