"""Every arm of the study makes a model that trains what the arm is about."""

from pathlib import Path

import pytest
import torch
import yaml

from espnet_samu.study.plan import Plan, read_plan
from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.tasks.st import STTask

RECIPE = Path(__file__).parents[3] / "egs2" / "mini_asterisk" / "samu_st1"
PLAN: Plan = read_plan(RECIPE / "study" / "arms.yaml")


def build(task, conf: dict, folder: Path) -> torch.nn.Module:
    """Build the model that a training of these settings begins with."""
    (folder / "train.yaml").write_text(yaml.safe_dump(conf), encoding="utf-8")
    tokens = ["<blank>", "<unk>", *(f"t{i}" for i in range(137)), "<sos/eos>"]
    (folder / "tokens.txt").write_text("\n".join(tokens), encoding="utf-8")
    options = ["--config", folder / "train.yaml", "--output_dir", folder / "exp"]
    if task is STTask:
        options += ["--token_list", folder / "tokens.txt", "--token_type", "char"]
        options += ["--src_token_list", "none", "--src_token_type", "none"]
    args = task.get_parser().parse_args([str(option) for option in options])
    return task.build_model(args)


def trained_share(part: torch.nn.Module) -> float:
    """Return the share of the parameters that are trained."""
    counts = [(p.numel(), p.numel() * p.requires_grad) for p in part.parameters()]
    total, trained = map(sum, zip(*counts))
    return trained / total


@pytest.mark.parametrize("name", PLAN.arms)
def test_arm(name: str, tmp_path: Path):
    arm = PLAN.arms[name]
    model = build(STTask, arm.translation.load(RECIPE), tmp_path)
    assert trained_share(model.decoder) == 1
    share = trained_share(model.frontend)
    if arm.frozen:
        assert share == 0
    elif name == "c_lna":
        assert 0.05 < share < 0.6
    elif name == "c_adapters":
        assert 0 < share < 0.1
    else:
        assert share == 1
    controls = ("a", "b", "b_masks", "l")
    assert (getattr(model, "st_ctc", None) is not None) == (name in controls)
    assert (model.specaug is not None) == (name not in ("a", "b", "l"))


@pytest.mark.parametrize(
    "name", {a.student.name: 0 for a in PLAN.arms.values() if a.student}
)
def test_student(name: str, tmp_path: Path):
    students = (arm.student for arm in PLAN.arms.values() if arm.student)
    student = next(s for s in students if s.name == name)
    conf = student.step.load(RECIPE)
    if student.kind == "distillation":
        model = build(SAMUTask, conf, tmp_path)
        pooling = type(model.pooling).__name__.lower()
        assert pooling.startswith(name if name in ("mean", "max") else "attention")
    # CTC's is ESPnet's own task, with the same frontend.
    assert (
        conf["frontend_conf"]
        == yaml.safe_load(
            (RECIPE / "conf" / "train_samu.yaml").read_text(encoding="utf-8")
        )["frontend_conf"]
    )
