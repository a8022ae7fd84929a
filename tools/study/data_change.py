"""What a student's transcribed speech is, where it is not all of it."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class DataChange:
    """A change of the transcribed speech, the same for the same seed."""

    languages: tuple[str, ...] = ()
    """Languages that are left; all of them by default."""
    keep: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Share of the training utterances that is left, by language."""
    shuffle: bool = False
    """Whether training utterances get transcripts of others of their language."""
    translate: bool = False
    """Whether there are translations beside the transcripts."""

    def __post_init__(self) -> None:
        """Check the shares.

        Raises:
            ValueError: Naming language and share.
        """
        for lang, share in self.keep.items():
            if not 0.0 < share <= 1.0:
                raise ValueError(f"keep of {lang} must be above 0, at most 1: {share}")
        if self.shuffle and self.translate:
            raise ValueError("shuffle does not go with translate")

    @property
    def is_none(self) -> bool:
        """Whether nothing is changed."""
        return self == DataChange()

    def options(self) -> list[str]:
        """Return the options of local/study_data.py."""
        options: list[str] = []
        if self.languages:
            options += ["--languages", " ".join(self.languages)]
        for lang, share in sorted(self.keep.items()):
            options += ["--keep", f"{lang}={share}"]
        for name in ("shuffle", "translate"):
            if getattr(self, name):
                options += [f"--{name}", "true"]
        return options

    def to_dict(self) -> dict[str, Any]:
        """Return what is changed."""
        fields = {
            "languages": list(self.languages),
            "keep": dict(self.keep),
            "shuffle": self.shuffle,
            "translate": self.translate,
        }
        return {name: value for name, value in fields.items() if value}
