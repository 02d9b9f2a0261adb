"""Problems from a data set on the Hugging Face hub. Only data files are read: scripts of a data set never run."""

from typing import Any

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.config import PoolConfig
from soar_pipeline.problems.files import NumberedRow


def hub_rows(dataset: PoolConfig) -> list[NumberedRow]:
    """The rows of `dataset.hub`, numbered from 1; ArtifactError if they cannot be loaded."""
    return list(enumerate(_download(dataset), start=1))


def _download(dataset: PoolConfig) -> list[dict[str, Any]]:
    # Imported only here: it takes seconds, and most runs read files.
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    try:
        rows = load_dataset(dataset.hub, dataset.subset, split=dataset.split, revision=dataset.revision)
    except (OSError, ValueError, DatasetsError, HfHubHTTPError) as error:
        raise ArtifactError(
            f"{dataset.hub}: could not be downloaded from the Hub ({_first_line(error)}); check `hub`, `subset`, "
            "`split`, `revision` and the network, or download the file elsewhere and give `path` in place of `hub`"
        ) from None
    # As Arrow: images in other columns are not decoded.
    return rows.with_format("arrow")[:].to_pylist()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
