"""Configurations of experiments, which hold token lists of up to 250,054 lines."""

from pathlib import Path
from typing import Any, Dict, Optional, Union

import yaml

# Ten times as fast, where PyYAML was built with libyaml.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def read_yaml(path: Union[Path, str]) -> Dict[str, Any]:
    """Read a configuration.

    Raises:
        ValueError: It is no YAML file of options and values; names the file.
    """
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.load(file, Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is no YAML file: {reason}") from error
    if not isinstance(content, dict):
        kind = "empty" if content is None else f"a {type(content).__name__}"
        raise ValueError(f"{path} is no configuration (`option: value`) but {kind}")
    return content


def dump_yaml(content: Dict[str, Any]) -> str:
    """A configuration as the text of a file."""
    return yaml.dump(content, Dumper=_Dumper, allow_unicode=True, sort_keys=True)


def decoder_of(path: Union[Path, str]) -> Optional[str]:
    """What a config.yaml says for ``decoder``, without reading its token lists."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("decoder:"):
                return yaml.safe_load(line)["decoder"]
    return None


def map_strings(function, value: Any) -> Any:
    """Apply a function to all strings in a configuration but those of token lists."""
    if isinstance(value, dict):
        return {
            k: v if str(k).endswith("token_list") else map_strings(function, v)
            for k, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [map_strings(function, v) for v in value]
    return function(value) if isinstance(value, str) else value
