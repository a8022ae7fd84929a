"""A student, and trainings of translation that keep its distillation on."""

import pytest

# Means over tokens, and not sums, go with the other loss.
MODEL_CONF = {"report_bleu": False, "length_normalized_loss": True}


@pytest.fixture(scope="session")
def student(samu_cmd, tmp_path_factory):
    """Checkpoint of a student of one update with two losses."""
    from espnet_samu.tasks.samu import SAMUTask

    folder = tmp_path_factory.mktemp("student")
    losses = {"cosine": {"weight": 2.0}, "contrastive": {"weight": 0.5}}
    SAMUTask.main(cmd=samu_cmd(folder, losses=losses))
    return folder / "1epoch.pth"


@pytest.fixture(scope="session")
def keeping_cmd(st_cmd, student):
    """Makes arguments of st_train that begins from the student, and keeps it."""

    def make(folder, *args, **conf):
        conf = {
            "init_from_samu": True,
            "samu_weight": 3.0,
            "model_conf": MODEL_CONF,
            **conf,
        }
        return st_cmd(folder, "--samu_model", str(student), *args, **conf)

    return make
