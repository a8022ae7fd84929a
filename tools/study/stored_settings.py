"""Settings that were fixed before the runs, and what differs from them."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from espnet_samu.utils.atomic import atomic_write
from study.plan import Plan

HASH_LENGTH = 8
"""Hexadecimal digits of a hash."""


def settings_hash(flat: Mapping[str, Any]) -> str:
    """Return a hash of settings; their order does not count.

    Args:
        flat: Settings by name, as JSON knows them.
    """
    text = json.dumps(flat, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:HASH_LENGTH]


def differences(flat: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that are not the stored ones.

    Args:
        flat: Settings by name.
        stored: Those to compare with; of what is only there the value is None.
    """
    names = sorted({*flat, *stored})
    return {
        name: flat.get(name)
        for name in names
        if name not in stored or name not in flat or flat[name] != stored[name]
    }


@dataclasses.dataclass(frozen=True)
class StoredSettings:
    """All settings of every arm and student, flat."""

    arms: Mapping[str, Mapping[str, Any]]
    """Settings by arm."""
    students: Mapping[str, Mapping[str, Any]]
    """Settings by student."""

    @classmethod
    def of(cls, plan: Plan, recipe: Path, share: float = 1.0) -> "StoredSettings":
        """Return the settings of a plan as they are now.

        Args:
            plan: The plan.
            recipe: Folder of the recipe, with the YAML files.
            share: Share of the updates that are made.
        """
        arms = plan.arms.values()
        students = [arm.student for arm in arms if arm.student is not None]
        return cls(
            {arm.name: plan.arm_settings(arm, recipe, share) for arm in arms},
            {s.name: plan.student_settings(s, recipe, share) for s in students},
        )

    def difference(self, stored: "StoredSettings", arm: str) -> dict[str, Any]:
        """Return what differs from the stored settings of an arm, and the hash.

        Args:
            stored: The stored settings.
            arm: Name of the arm.

        Raises:
            ValueError: The arm is not stored.
        """
        if arm not in stored.arms:
            raise ValueError(
                f"arm '{arm}' has no stored settings: ./run_study.sh --store true"
            )
        flat = self.arms[arm]
        changed = differences(flat, stored.arms[arm])
        return {**changed, "hash": settings_hash(flat)}

    def arm_name(self, stored: "StoredSettings", arm: str) -> str:
        """Return the name that runs get: with a hash where settings differ.

        Args:
            stored: The stored settings.
            arm: Name of the arm.

        Raises:
            ValueError: The arm is not stored.
        """
        changed = self.difference(stored, arm)
        return arm if len(changed) == 1 else f"{arm}+{changed['hash']}"

    def student_name(self, stored: "StoredSettings", student: str) -> str:
        """Return the name of a student's folder: with a hash where settings differ.

        Args:
            stored: The stored settings.
            student: Name of the student.
        """
        flat = self.students[student]
        if flat == stored.students.get(student):
            return student
        return f"{student}+{settings_hash(flat)}"


def read_stored(path: str | os.PathLike[str]) -> StoredSettings:
    """Read stored settings; none where there is no file.

    Args:
        path: The file.

    Raises:
        ValueError: Naming the file, for what `write_stored` did not write.
    """
    if not Path(path).exists():
        return StoredSettings({}, {})
    with open(path, encoding="utf-8") as f:
        try:
            return StoredSettings(**json.load(f))
        except (ValueError, TypeError) as e:
            raise ValueError(f"{path}: not stored settings: {e}") from None


def write_stored(path: str | os.PathLike[str], stored: StoredSettings) -> None:
    """Write settings, one a line.

    Args:
        path: The file.
        stored: The settings.
    """
    with atomic_write(path) as f:
        json.dump(dataclasses.asdict(stored), f, indent=1, sort_keys=True)
        f.write("\n")
