"""espnet_samu: SAMU-XLS-R speech translation as a plug-in for ESPnet2."""

__version__ = "0.1.0"
