"""Run an ESPnet command with the plug-in present.

``python -m espnet_samu.launch -m espnet2.bin.asr_train --frontend samu ...`` is
``python -m espnet2.bin.asr_train ...`` in which ``samu``, ``passthrough`` and
``mbart`` are known; ``espnet2.bin.{st_train,st_inference,pack}`` are
replaced by ours of the same arguments. ``st.sh --python "python -m
espnet_samu.launch"`` therefore brings the plug-in to an unmodified recipe.

The finder is installed when this module is imported, not only when it is run:
ESPnet starts GPU workers with ``spawn``, and such a child imports the main module
of its parent, i.e. this one, under the name ``__mp_main__``. Nothing heavy is
imported here, since st.sh runs many small commands through it.
"""

import os
import runpy
import sys
from collections.abc import Sequence

from espnet_samu import registry

registry.install()

_USAGE = "usage: python -m espnet_samu.launch -m MODULE [ARGUMENT ...]"


def main(cmd: Sequence[str] | None = None) -> None:
    """Run ``-m MODULE ARGUMENT ...`` as ``python`` itself would."""
    args = list(sys.argv[1:] if cmd is None else cmd)
    if len(args) < 2 or args[0] != "-m":
        is_help = args[:1] in (["-h"], ["--help"])
        print(__doc__ if is_help else _USAGE, file=sys.stderr)
        raise SystemExit(0 if is_help else 2)
    module = registry.BINS.get(args[1], args[1])
    sys.argv = [module, *args[2:]]
    # `python -m` looks in the current directory first; so does a recipe's local/.
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    # alter_sys=False keeps sys.modules["__main__"] this module, which is what a
    # spawned child imports.
    runpy.run_module(module, run_name="__main__", alter_sys=False)


if __name__ == "__main__":
    main()
