"""espnet_samu: SAMU-XLS-R speech translation as a plug-in for ESPnet2."""

from espnet_samu.utils import late_imports

__version__ = "0.1.0"

# Before anything of this package imports ESPnet or transformers.
late_imports.install()
