import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from espnet2.torch_utils.initialize import initialize
from espnet2.torch_utils.load_pretrained_model import load_pretrained_model
from transformers import (
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForCTC,
    AutoModelForPreTraining,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2FeatureExtractor,
)

from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.frontend.waveform_family import WaveformFamily
from espnet_samu.utils.init_param import check_init_param
from espnet_samu.utils.waveform import UnusableWaveforms

FAMILIES = (
    "wav2vec2-layer",
    "wav2vec2-group",
    "hubert",
    "wavlm",
    "wav2vec2-bert",
    "whisper",
)
family = pytest.mark.parametrize("family", FAMILIES)


@family
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"layer": 1},
        {"layer_mix": True},
        {"layer_mix": True, "layer_mix_norm": True},
        {"average_frames": 4},
    ],
)
def test_batch_equals_alone(build, noise, family, kwargs):
    check_batch_equals_alone(build(family, **kwargs), noise)


@pytest.mark.parametrize("family", ["wav2vec2-layer", "wav2vec2-group", "wavlm"])
def test_normalised_batch_equals_alone(build, noise, family):
    check_batch_equals_alone(build(family, normalize_waveform=True), noise)


def check_batch_equals_alone(frontend, noise):
    speech, lengths = noise(2999, 5000, 1601)
    before = speech.clone()
    frames, out_lengths = frontend(speech, lengths)
    torch.testing.assert_close(speech, before, rtol=0, atol=0)
    assert frames.shape == (3, int(out_lengths.max()), frontend.output_size())
    assert out_lengths.dtype == torch.long
    for i, n in enumerate(lengths.tolist()):
        alone, alone_lengths = frontend(speech[i : i + 1, :n], lengths[i : i + 1])
        assert alone.size(1) == alone_lengths[0] == out_lengths[i]
        torch.testing.assert_close(
            frames[i, : out_lengths[i]], alone[0], rtol=0, atol=1e-5
        )


@family
def test_output_lengths_are_the_frames(build, noise, family):
    frontend = build(family)
    plain = AutoModel.from_config(frontend.model.config).eval()
    # samples around those where a frame is added
    for n in (1039, 1040, 1044, 1045, 1084, 1085, 1199, 1200, 1360):
        speech, lengths = noise(n)
        with torch.no_grad():
            if family == "wav2vec2-bert":
                expected = ((n - 400) // 160 + 1) // 2
            elif family == "whisper":
                expected = math.ceil(n / 320)
            else:
                expected = plain(speech).last_hidden_state.size(1)
            assert frontend.output_lengths(lengths).tolist() == [expected]
            frames, out_lengths = frontend(speech, lengths)
        assert frames.size(1) == out_lengths[0] == expected


def test_averaged_frames(build, noise):
    """Means of 4 in a row, the last one of the rest: 9 and 5 frames make 3 and 2."""
    plain, averaged = build("whisper"), build("whisper", average_frames=4)
    averaged.load_state_dict(plain.state_dict())
    speech, lengths = noise(9 * 320, 5 * 320)
    frames, n_frames = plain(speech, lengths)
    means, n_means = averaged(speech, lengths)
    assert (n_frames.tolist(), n_means.tolist()) == ([9, 5], [3, 2])
    expected = [frames[0, :4], frames[0, 4:8], frames[0, 8:9]]
    expected += [frames[1, :4], frames[1, 4:5]]
    found = torch.cat([means[0], means[1, :2]])
    torch.testing.assert_close(found, torch.stack([x.mean(0) for x in expected]))
    assert (means[1, 2] == 0).all()
    assert averaged.output_lengths(lengths).tolist() == [3, 2]


@pytest.mark.parametrize("family", ["wav2vec2-group", "hubert", "wavlm"])
def test_group_norm_equals_plain_model(build, noise, family):
    frontend = build(family)
    plain = AutoModel.from_config(frontend.model.config).eval()
    plain.load_state_dict(frontend.model.state_dict())
    speech, lengths = noise(3000)
    with torch.no_grad():
        expected = plain(speech).last_hidden_state
    torch.testing.assert_close(frontend(speech, lengths)[0], expected)
    # which a padded batch of the plain model is not
    padded = torch.nn.functional.pad(speech, (0, 2000))
    with torch.no_grad():
        wrong = plain(padded).last_hidden_state[:, : expected.size(1)]
    assert (wrong - expected).abs().max() > 1e-2


@pytest.mark.parametrize("do_normalize", [False, True])
@pytest.mark.parametrize("family", ["wav2vec2-layer", "wavlm"])
def test_pretrained_waveform(save, noise, family, do_normalize):
    extractor = Wav2Vec2FeatureExtractor(do_normalize=do_normalize)
    folder, plain = save(family, extractor)
    frontend = SamuFrontend(model=folder).eval()
    assert frontend.family.normalize is do_normalize
    speech, lengths = noise(3000)
    speech = speech + 0.3  # a mean that normalisation removes
    inputs = extractor(speech[0].numpy(), sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        expected = plain(inputs.input_values).last_hidden_state
    torch.testing.assert_close(
        frontend(speech, lengths)[0], expected, rtol=0, atol=1e-5
    )
    # the user's word counts more than the folder's
    other = SamuFrontend(model=folder, normalize_waveform=not do_normalize).eval()
    assert (other(speech, lengths)[0] - expected).abs().max() > 1e-4


def test_pretrained_log_mel(save, noise):
    extractor = SeamlessM4TFeatureExtractor(padding_value=1)
    folder, plain = save("wav2vec2-bert", extractor)
    frontend = SamuFrontend(model=folder).eval()
    speech, lengths = noise(8000)
    inputs = extractor(
        speech[0].numpy(),
        sampling_rate=16000,
        return_tensors="pt",
        pad_to_multiple_of=None,
    )
    with torch.no_grad():
        expected = plain(**inputs).last_hidden_state
    frames, out_lengths = frontend(speech, lengths)
    assert out_lengths.tolist() == [24]
    torch.testing.assert_close(frames, expected[:, :24], rtol=0, atol=1e-3)


def test_folder_without_extractor(save, noise, caplog):
    folder, _ = save("wav2vec2-layer", Wav2Vec2FeatureExtractor(do_normalize=True))
    assert SamuFrontend(model=folder).family.normalize
    (Path(folder) / "preprocessor_config.json").unlink()
    with caplog.at_level("WARNING"):
        # As XLS-R, whose convolutions have layer norms.
        assert SamuFrontend(model=folder).family.normalize
    assert "no preprocessor_config.json says whether" in caplog.text


def test_failed_request_is_not_taken_for_a_missing_file(monkeypatch):
    def fail(*_, **__):
        raise OSError("429 Client Error")

    monkeypatch.setattr(AutoFeatureExtractor, "from_pretrained", fail)
    with pytest.raises(ValueError, match="preprocessor_config.json of a/b cannot be"):
        WaveformFamily(source="a/b")
    assert WaveformFamily(True, "a/b").normalize


def test_vector_of_masks_may_be_new_or_left_over(build, tmp_path):
    masks = {"mask_time_prob": 0.5, "mask_time_length": 2}
    none = {"mask_time_prob": 0.0, "mask_feature_prob": 0.0}
    for first, then in ((masks, none), (none, masks)):
        student, start = build("wav2vec2-layer", first), build("wav2vec2-layer", then)
        wanted = {k: v for k, v in student.state_dict().items() if "masked" not in k}
        model = torch.nn.Module()
        model.frontend = start
        spec = f"{tmp_path}/student.pth:frontend:frontend"
        state = {f"frontend.{k}": v for k, v in student.state_dict().items()}
        torch.save(state, tmp_path / "student.pth")
        check_init_param([spec], model)
        load_pretrained_model(
            spec, model, ignore_init_mismatch=False, map_location="cpu"
        )
        for key, value in wanted.items():
            assert torch.equal(start.state_dict()[key], value), key


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@family
def test_half_precision_as_a_whole(build, noise, family, dtype):
    speech, lengths = noise(2999, 5000)
    frontend = build(family)
    expected, _ = frontend(speech, lengths)
    frames, _ = frontend.to(dtype)(speech.to(dtype), lengths)
    assert frames.dtype == dtype
    difference = (frames.float() - expected).norm() / expected.norm()
    assert difference < (0.2 if dtype == torch.bfloat16 else 0.05)


@family
def test_portable(save, translate, noise, family):
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True)
    folder, _ = save(family, extractor)
    model_conf = translate(family, {"hidden_dropout": 0.3})
    kwargs = {
        "model_conf": model_conf,
        "freeze": True,
        "keep_layers": 1,
        "layer": 1,
        "gradient_checkpointing": True,
        "attn_implementation": "eager",
    }
    first = SamuFrontend(fs="16k", model=folder, **kwargs).eval()
    conf = yaml.safe_load(yaml.safe_dump(first.portable_conf()))
    shutil.rmtree(folder)
    second = SamuFrontend(**conf).eval()
    assert second.portable_conf() == conf
    for key, value in model_conf.items():
        assert getattr(second.model.config, key) == value
    assert conf["model_conf"].get("num_hidden_layers", 1) == 1
    assert second.model.config.num_hidden_layers == 1
    second.load_state_dict(first.state_dict())
    assert not any(p.requires_grad for p in second.parameters())
    speech, lengths = noise(3000, 2500)
    torch.testing.assert_close(
        second(speech, lengths)[0], first(speech, lengths)[0], rtol=0, atol=0
    )


@family
@pytest.mark.parametrize("how", ["freeze", "freeze_param"])
def test_frozen_is_deterministic(build, noise, family, how):
    conf = {"layerdrop": 0.5, "mask_time_prob": 0.5, "mask_time_length": 2}
    frontend = build(family, conf, freeze=how == "freeze")
    if how == "freeze_param":
        frontend.requires_grad_(False)
    model = torch.nn.ModuleDict({"frontend": frontend, "head": torch.nn.Linear(1, 1)})
    model.train()
    assert model.training
    assert not any(module.training for module in frontend.modules())
    speech, lengths = noise(3000, 2500)
    first, second = frontend(speech, lengths)[0], frontend(speech, lengths)[0]
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not first.requires_grad


@pytest.mark.parametrize("family", FAMILIES[:4])
def test_freeze_feature_encoder(build, noise, family):
    frontend = build(family, {"hidden_dropout": 0.5})
    frontend.train()
    assert not any(m.training for m in frontend.model.feature_extractor.modules())
    assert all(m.training for m in frontend.model.encoder.modules())
    speech, lengths = noise(3000, 2500)
    first, second = frontend(speech, lengths)[0], frontend(speech, lengths)[0]
    assert (first - second).abs().max() > 1e-2
    first.sum().backward()
    for name, parameter in frontend.model.named_parameters():
        if name.startswith("feature_extractor."):
            assert not parameter.requires_grad and parameter.grad is None
    assert frontend.model.feature_projection.projection.weight.grad.abs().sum() > 0

    whole = build(family, freeze_feature_encoder=False).train()
    assert all(m.training for m in whole.modules())
    whole(speech, lengths)[0].square().sum().backward()
    first = whole.model.feature_extractor.conv_layers[0]
    assert first.conv.weight.grad.abs().sum() > 0


@family
def test_bfloat16(build, noise, family):
    speech, lengths = noise(3000, 2500)
    expected, _ = build(family)(speech, lengths)
    with torch.autocast("cpu", enabled=False):
        frames, _ = build(family, dtype="bfloat16")(speech, lengths)
    assert frames.dtype == torch.float32
    difference = (frames - expected)[1, : 2500 // 400].abs().max()
    assert 0 < difference < 0.2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_parameters_of_another_type(build, noise, dtype):
    """As model.to(dtype=...) of st_inference makes them."""
    speech, lengths = noise(3000, 2500)
    for family in ("wav2vec2-group", "wav2vec2-bert"):
        frontend = build(family)
        expected, _ = frontend(speech, lengths)
        frames, _ = frontend.to(dtype)(speech.to(dtype), lengths)
        torch.testing.assert_close(frames[0].float(), expected[0], rtol=0, atol=1e-4)


@family
def test_too_short(build, noise, family):
    frontend = build(family)
    first = {"wav2vec2-bert": 560, "whisper": 1}.get(
        family, 105
    )  # samples of the first frame
    assert frontend(*noise(3000, first))[1][1] == 1
    message = f"^row 1 of the batch: {first - 1} samples are too short for a frame of"
    with pytest.raises(UnusableWaveforms, match=message):
        frontend(*noise(3000, first - 1))


@family
def test_training_on_a_batch_shorter_than_a_mask(build, noise, family):
    conf = {"mask_time_prob": 0.9, "mask_time_length": 10, "hidden_dropout": 0.0}
    frontend = build(family, conf).train()
    n = {"wav2vec2-bert": 1200}.get(family, 225)
    frames, out_lengths = frontend(*noise(n, n - 40))
    assert frames.size(1) == out_lengths.max() < 10
    assert frames.isfinite().all()
    frames.sum().backward()
    frontend.eval()
    assert frontend(*noise(n, n - 40))[0].shape == frames.shape


@family
def test_model_conf_over_a_folder(save, exact, translate, noise, family):
    """Fields of the user count more than the folder's, and do something."""
    folder, _ = save(family)
    speech, lengths = noise(8000, 7000)

    def build(**conf):
        conf = translate(family, {**exact(family), **conf})
        torch.manual_seed(0)
        np.random.seed(0)
        frontend = SamuFrontend(model=folder, model_conf=conf, layer_mix=True)
        for key, value in conf.items():
            assert getattr(frontend.model.config, key) == value
        return frontend.train()

    expected = build()(speech, lengths)[0]
    assert torch.equal(build()(speech, lengths)[0], expected)
    for conf in (
        {"mask_time_prob": 0.5, "mask_time_length": 4},
        {"mask_feature_prob": 0.5, "mask_feature_length": 4},
        {"layerdrop": 1.0},
        {"hidden_dropout": 0.5},
    ):
        frontend = build(**conf)
        frames = frontend(speech, lengths)[0]
        assert frames.isfinite().all()
        assert (frames - expected).abs().max() > 1e-4, conf
        torch.testing.assert_close(frontend.eval()(speech, lengths)[0], expected)
    with pytest.raises(ValueError, match="model_conf: layer_drop is not a field of"):
        build(layer_drop=0.1)
    with pytest.raises(ValueError, match="model_conf: to_dict is not a field of"):
        build(to_dict=0.1)


@family
def test_keep_layers(save, noise, hidden_states, family):
    folder, _ = save(family)
    full = SamuFrontend(model=folder).eval()
    frontend = SamuFrontend(model=folder, keep_layers=1).eval()
    names = [n for n in full.state_dict() if ".layers.1." not in n]
    assert list(frontend.state_dict()) == names
    for name in names:
        assert torch.equal(frontend.state_dict()[name], full.state_dict()[name])

    speech, lengths = noise(3000)
    expected = hidden_states(full, speech, lengths)[1]
    norm = frontend.family.final_norm(frontend.model)
    expected = expected if norm is None else norm(expected)
    frames, _ = frontend(speech, lengths)
    torch.testing.assert_close(frames, expected, rtol=0, atol=1e-5)
    again = SamuFrontend(**frontend.portable_conf())
    assert list(again.state_dict()) == names

    for n in (0, 3):
        with pytest.raises(ValueError, match=f"keep_layers is {n}, but .* 1 to 2"):
            SamuFrontend(model=folder, keep_layers=n)
    with pytest.raises(ValueError, match="layer is 2, .* to 1 "):
        SamuFrontend(model=folder, keep_layers=1, layer=2)


@family
def test_gradient_checkpointing(build, noise, family):
    """Gradients of two batches at once, as of a task with two losses."""
    conf = {"layerdrop": 0.3, "hidden_dropout": 0.1, "mask_time_prob": 0.3}
    gradients = []
    for checkpointing in (False, True):
        frontend = build(
            family,
            {**conf, "mask_time_length": 4},
            freeze_feature_encoder=False,
            gradient_checkpointing=checkpointing,
            layer_mix=True,
        ).train()
        runs = []
        layers = frontend.family.encoder(frontend.model).layers
        for layer in layers:
            inner = [m for m in layer.modules() if isinstance(m, torch.nn.LayerNorm)]
            inner[0].register_forward_hook(lambda *_: runs.append(1))
        np.random.seed(0)
        torch.manual_seed(1)
        one, _ = frontend(*noise(3000, 2000))
        two, _ = frontend(*noise(2500, 2600))
        before = len(runs)
        assert before > 0
        (one.square().sum() + two.square().sum()).backward()
        assert len(runs) == (2 if checkpointing else 1) * before
        gradients.append({n: p.grad for n, p in frontend.named_parameters()})
    for name, gradient in gradients[0].items():
        if gradient is None:
            assert gradients[1][name] is None
        else:
            torch.testing.assert_close(
                gradients[1][name],
                gradient,
                rtol=1e-5,
                atol=1e-5,
                msg=lambda m: f"{name}: {m}",
            )


@family
def test_attn_implementation(build, noise, family):
    speech, lengths = noise(3000, 2000)
    expected, out_lengths = build(family, attn_implementation="eager")(speech, lengths)
    kinds = {None: "eager"} if family == "wavlm" else {None: "sdpa", "sdpa": "sdpa"}
    for kind, used in kinds.items():
        frontend = build(family, attn_implementation=kind)
        assert frontend.model.config._attn_implementation == used
        frames, _ = frontend(speech, lengths)
        for i, n in enumerate(out_lengths):
            torch.testing.assert_close(
                frames[i, :n], expected[i, :n], rtol=0, atol=1e-5
            )
    for kind in ("flash", *(["sdpa"] if family == "wavlm" else [])):
        with pytest.raises(ValueError, match=f"attn_implementation '{kind}' is not"):
            build(family, attn_implementation=kind)


@family
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_samples_that_are_not_finite(build, noise, family, value):
    speech, lengths = noise(3000, 3000, 2500)
    speech[0, 5] = speech[2, 2000] = float(value)
    # Finite, though their sum is not.
    speech[1, :4] = 3e38
    with pytest.raises(UnusableWaveforms) as info:
        build(family)(speech, lengths)
    reason = "samples are NaN or infinite"
    assert info.value.reasons == {0: reason, 2: reason}


@pytest.mark.parametrize(
    "family, normalize",
    [(family, None) for family in FAMILIES] + [("wav2vec2-layer", True)],
)
def test_silence(build, exact, noise, family, normalize):
    speech, lengths = noise(3000, 3000)
    speech[0] = 0
    conf = exact(family)
    frontend = build(family, conf, normalize_waveform=normalize).train()
    frames, _ = frontend(speech, lengths)
    assert frames.isfinite().all()
    frames.square().sum().backward()
    for parameter in frontend.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()
    # the other one does not change
    alone, _ = frontend.eval()(speech[1:], lengths[1:])
    torch.testing.assert_close(frames[1:], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "family, auto_class, prefix",
    [
        ("wav2vec2-layer", AutoModelForPreTraining, "wav2vec2"),
        ("wav2vec2-group", AutoModelForCTC, "wav2vec2"),
        ("hubert", AutoModelForCTC, "hubert"),
        ("wavlm", AutoModelForCTC, "wavlm"),
        ("wav2vec2-bert", AutoModelForCTC, "wav2vec2_bert"),
    ],
)
def test_checkpoint_of_a_task(save, noise, family, auto_class, prefix):
    extra = {"num_codevectors_per_group": 4, "codevector_dim": 16, "vocab_size": 8}
    extra = extra if auto_class is AutoModelForPreTraining else {"vocab_size": 8}
    folder, plain = save(family, auto_class=auto_class, **extra)
    expected = getattr(plain, prefix).state_dict()
    state = SamuFrontend(model=folder).model.state_dict()
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(state[name], value)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"fs": 8000}, "fs is 8000, but speech encoders take 16000"),
        ({"fs": "8k"}, "fs is 8000, but"),
        ({"average_frames": 0}, "average_frames is 0; 1 or more"),
        ({"dtype": "int8"}, "dtype 'int8' is not one of float32, bfloat16"),
        ({"model_conf": {"hiden_size": 16}}, "hiden_size is not a field of Wav2Vec2"),
        ({"model_conf": {"model_type": "wave"}}, "model_type 'wave' is not known"),
    ],
)
def test_refused(speech_models, kwargs, message):
    conf = {**speech_models["wav2vec2-layer"], **kwargs.pop("model_conf", {})}
    with pytest.raises(ValueError, match=message):
        SamuFrontend(model_conf=conf, **kwargs)


@family
def test_init_spares_what_is_pretrained(save, family):
    folder, _ = save(family)
    holder = torch.nn.Module()
    holder.frontend = SamuFrontend(model=folder, layer_mix=True).eval()
    before = {k: v.clone() for k, v in holder.frontend.state_dict().items()}
    trained = [p.requires_grad for p in holder.parameters()]
    initialize(holder, "xavier_uniform")
    assert holder.frontend.state_dict().keys() == before.keys()
    for key, value in holder.frontend.state_dict().items():
        # it may not be in the checkpoint, and is random in any case
        if not key.endswith("masked_spec_embed"):
            assert torch.equal(value, before[key]), key
    assert [p.requires_grad for p in holder.parameters()] == trained
    # what is not pre-trained is initialised
    conf = holder.frontend.portable_conf()
    holder.frontend = SamuFrontend(**conf)
    key = next(k for k, v in holder.frontend.state_dict().items() if v.dim() > 1)
    before = holder.frontend.state_dict()[key].clone()
    initialize(holder, "xavier_uniform")
    assert not torch.equal(holder.frontend.state_dict()[key], before)


def test_option_of_another_family(speech_models):
    for name, option in (
        ("whisper", {"normalize_waveform": True}),
        ("wav2vec2-bert", {"normalize_waveform": True}),
        ("wav2vec2-layer", {"log_mel_conf": {"n_mels": 80}}),
        ("wav2vec2-layer", {"window_seconds": 8}),
    ):
        message = f"{next(iter(option))} is for .*, but the model is "
        with pytest.raises(ValueError, match=message):
            SamuFrontend(model_conf=speech_models[name], **option)


def test_refused_without_model_type(speech_models):
    with pytest.raises(ValueError, match="model_conf: .* needs 'model_type'"):
        SamuFrontend()
    with pytest.raises(ValueError, match="needs 'model_type'"):
        SamuFrontend(model_conf={"hidden_size": 16})
    with pytest.raises(ValueError, match="model_type 'bert' is not one of wav2vec2"):
        SamuFrontend(model_conf={"model_type": "bert"})


def test_log_mel_sizes(build):
    conf = {"feature_projection_input_dim": 120}
    frontend = build("wav2vec2-bert", conf, log_mel_conf={"n_mels": 30, "stack": 4})
    assert frontend.output_lengths(torch.tensor([880, 879])).tolist() == [1, 0]
    with pytest.raises(ValueError, match="log_mel_conf: 30 bins x 2 .*_dim 120"):
        build("wav2vec2-bert", conf, log_mel_conf={"n_mels": 30, "stack": 2})
    with pytest.raises(ValueError, match="log_mel_conf: 80 bins x 1 .*_dim 120"):
        build("wav2vec2-bert", conf)
