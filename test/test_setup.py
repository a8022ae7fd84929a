"""What setup.py puts into a wheel, and says of it."""

import os
from pathlib import Path

import pytest
import setuptools  # noqa: F401  # it brings distutils
from packaging.requirements import Requirement

import espnet_samu

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def distribution():
    """The distribution as setuptools sees it; nothing is built."""
    from distutils.core import run_setup

    before = os.getcwd()
    os.chdir(ROOT)  # where setup.py looks for packages
    try:
        distribution = run_setup("setup.py", stop_after="init")
        build = distribution.get_command_obj("build_py")
        build.build_lib = "lib"
        build.ensure_finalized()
        distribution.files = {Path(name) for name in build.get_outputs(False)}
    finally:
        os.chdir(before)
    return distribution


def tracked(folder: str) -> set[Path]:
    """Return the files below a folder, relative to it."""
    return {
        path.relative_to(ROOT / folder)
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_wheel_has_the_package_its_pages_and_the_recipe_template(distribution):
    package = {Path("lib/espnet_samu") / path for path in tracked("espnet_samu")}
    template = {
        Path("lib/espnet_samu/template") / path
        for path in tracked("egs2/TEMPLATE/samu_st1")
    }
    assert Path("lib/espnet_samu/template/conf/tuning/train_st_lora.yaml") in template
    assert any(path.suffix == ".html" for path in package)
    assert distribution.files == package | template


def test_metadata(distribution):
    data = distribution.metadata
    assert (data.name, data.version) == ("espnet_samu", espnet_samu.__version__)
    assert data.description and "\n" not in data.description
    assert data.long_description == (ROOT / "README.md").read_text("utf-8")
    assert data.url.startswith("https://") and data.license
    assert "Programming Language :: Python :: 3.12" in data.classifiers


def test_versions_are_ranges(distribution):
    requirements = [Requirement(line) for line in distribution.install_requires]
    assert {"espnet", "torch", "transformers"} <= {r.name for r in requirements}
    for requirement in requirements:
        operators = {specifier.operator for specifier in requirement.specifier}
        assert ">=" in operators and operators <= {">=", "<"}, str(requirement)
