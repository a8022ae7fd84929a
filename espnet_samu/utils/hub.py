"""Location of pre-trained models and datasets: folder, hub or the hub's cache."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from espnet_samu.utils.safe_reading import check_no_pointer

# Seconds until the hub must have answered.
_TIMEOUT = 4.0


def is_path(name: str) -> bool:
    """Return whether a name can only be a path; hub ids are ``user/name``."""
    return name[:1] in (".", "/", "~") or name.count("/") > 1


def locate(
    model: str, revision: str | None = None, cache_dir: str | Path | None = None
) -> str:
    """Return where a model is read from, or raise a clear error.

    The hub is asked once, so that a wrong name or a missing network is known within
    seconds; transformers would try again for half a minute, file by file.

    Args:
        model: Hub id or folder.
        revision: Branch, tag or commit on the hub.
        cache_dir: Of the hub. None: its default place.

    Returns:
        The folder, or the hub id. Where the hub cannot be reached: the folder of the
        model in the hub's cache.

    Raises:
        FileNotFoundError: There is no such folder, or no such model or revision on the
            hub.
        ConnectionError: The hub cannot be reached, and its cache does not have the
            model.
        ValueError: A file of the folder is a pointer of git-lfs.
    """
    from huggingface_hub import (
        errors,
        get_hf_file_metadata,
        hf_hub_url,
        snapshot_download,
    )

    cause: Exception
    if os.path.isdir(model):
        for name in os.listdir(model):
            check_no_pointer(os.path.join(model, name))
        return model
    if os.path.exists(model):
        raise FileNotFoundError(f"{model} is a file; name the folder that it lies in")
    if is_path(model):
        raise FileNotFoundError(f"{model}: no such folder")
    named = model if revision is None else f"{model} (revision {revision})"
    try:
        url = hf_hub_url(model, "config.json", revision=revision)
        get_hf_file_metadata(url, timeout=_TIMEOUT)
        return model
    except errors.HFValidationError as error:
        raise FileNotFoundError(
            f"{model}: no such folder, and no hub id, which has the form user/name"
        ) from error
    except errors.RemoteEntryNotFoundError:
        return model
    except errors.RevisionNotFoundError as error:
        raise FileNotFoundError(f"{named}: the hub has no such revision") from error
    except errors.GatedRepoError as error:
        raise FileNotFoundError(
            f"{model} needs its terms to be accepted on its page of the hub, and a "
            "login: 'hf auth login'"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"{named}: no such folder, and no such model on the hub; one that is "
            "private needs 'hf auth login'"
        ) from error
    except errors.OfflineModeIsEnabled as error:
        reason, cause = "HF_HUB_OFFLINE is set", error
    except errors.HTTPError as error:
        reason, cause = "the hub cannot be reached", error
    try:
        folder = snapshot_download(
            model, revision=revision, cache_dir=cache_dir, local_files_only=True
        )
    except errors.LocalEntryNotFoundError:
        raise ConnectionError(
            f"{named}: no such folder, {reason}, and it is not in the hub's cache "
            f"(HF_HOME); run 'hf download {model}' where there is a network"
        ) from cause
    logging.info(f"{named}: {reason}; taken from the hub's cache, {folder}")
    return folder


def download_dataset(name: str, patterns: Sequence[str]) -> Path:
    """Download files of a dataset into the hub's cache, with progress.

    What is there already is not loaded again; a download that was stopped goes on.
    With ``HF_HUB_OFFLINE`` the cache alone is asked.

    Args:
        name: Hub id.
        patterns: Of the files, such as ``fr_en/*.parquet``.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: The hub has no such dataset, or none of the files.
        ConnectionError: The hub cannot be reached, and its cache does not have the
            dataset; or the download was stopped.
    """
    import httpx
    from huggingface_hub import constants, errors, snapshot_download

    offline = constants.HF_HUB_OFFLINE
    try:
        folder = snapshot_download(
            name,
            repo_type="dataset",
            allow_patterns=[*patterns],
            etag_timeout=_TIMEOUT,
        )
    except errors.HFValidationError as error:
        raise FileNotFoundError(
            f"{name}: no such folder, and no hub id, which has the form user/name"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise FileNotFoundError(
            f"{name}: no such folder, and no such dataset on the hub; one that is "
            "private or needs its terms to be accepted needs 'hf auth login'"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        reason = "HF_HUB_OFFLINE is set" if offline else "the hub cannot be reached"
        raise ConnectionError(
            f"{name}: no such folder, {reason}, and it is not in the hub's cache "
            f"(HF_HOME); run 'hf download --repo-type dataset {name}' where there is a "
            "network"
        ) from error
    except (errors.HfHubHTTPError, httpx.HTTPError, ConnectionError) as error:
        raise ConnectionError(
            f"{name}: the download was stopped ({error}); the same command goes on "
            "where it ended"
        ) from error
    if not any(next(Path(folder).glob(pattern), None) for pattern in patterns):
        where = "the hub's cache (HF_HUB_OFFLINE is set)" if offline else "the dataset"
        raise FileNotFoundError(f"{name}: {where} has no {' or '.join(patterns[:2])}")
    return Path(folder)
