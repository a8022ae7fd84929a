import pytest
import torch

from espnet_samu.projector.identity import IdentityProjector


def test_by_hand():
    projector = IdentityProjector(input_size=2, output_size=2)
    assert projector.output_size() == 2 and list(projector.parameters()) == []
    pooled = torch.tensor([[3.0, -4.0], [0.0, 0.5]])
    expected = torch.tensor([[0.6, -0.8], [0.0, 1.0]])
    torch.testing.assert_close(projector(pooled), expected)


def test_another_size():
    with pytest.raises(ValueError, match="output_size is 3, but .* keeps the 2"):
        IdentityProjector(input_size=2, output_size=3)
