import torch

from espnet_samu.utils.autocast import without_autocast


def test_without_autocast():
    model = torch.nn.Module()
    model.frontend, model.decoder = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    model.encoder = torch.nn.Linear(2, 2)
    model.frontend.dtype = torch.bfloat16
    assert without_autocast(model) is model
    assert model.frontend.dtype == torch.float32
    assert not hasattr(model.decoder, "dtype") and not hasattr(model.encoder, "dtype")
