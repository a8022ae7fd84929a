"""ESPnet tasks: the distillation, and speech translation that starts from it."""

from espnet_samu.registry import check_espnet

# Before a module imports what an older ESPnet lacks.
check_espnet()
