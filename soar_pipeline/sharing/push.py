"""Exported folders to the Hub, by its own client; its settings (HF_TOKEN, HF_ENDPOINT) are that client's."""

from pathlib import Path

from soar_pipeline.config import ConfigError


def push(folder: Path, name: str, kind: str, *, public: bool) -> str:
    """Upload a folder as a repository, which is made if it is not there; its address.

    kind: `dataset` or `model`. ConfigError in one line if the Hub refuses or cannot be reached.
    """
    from httpx import HTTPError
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        address = api.create_repo(name, repo_type=kind, private=not public, exist_ok=True)
        api.upload_folder(repo_id=name, repo_type=kind, folder_path=folder, commit_message="Export of a SOAR run")
    # HfHubHTTPError is an HTTPError; ValueError: a name that the Hub does not allow; OSError: no connection.
    except (HTTPError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        hint = "`hf auth login`, or HF_TOKEN, says who you are"
        raise ConfigError(f"{name}: could not be uploaded: {reason}; {hint}") from None
    return str(address)
