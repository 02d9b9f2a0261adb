"""How different a set of questions is: Vendi score, and mean pairwise cosine distance (docs/method.md §8)."""

import warnings
from collections import Counter
from functools import lru_cache
from typing import Any

import numpy as np

from soar_pipeline.config import ConfigError

CHARACTER_NGRAMS = "character_ngrams"
NGRAM_SIZES = (1, 2, 3)


def embed(texts: list[str], embedder: str) -> np.ndarray:
    """Embeddings of unit length, float64, shape (texts, dimensions).

    embedder: `character_ngrams`, or a sentence-transformers or Hugging Face model by name or folder.
    Raises ConfigError if that model cannot be loaded.
    """
    if not texts:
        raise ValueError("no text to embed")
    vectors = _ngram_counts(texts) if embedder == CHARACTER_NGRAMS else _model_embeddings(texts, embedder)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def vendi_score(kernel: np.ndarray) -> float:
    """exp of the entropy of the eigenvalues of K/n: the effective number of different items, in [1, n].

    kernel: symmetric, positive semi-definite, ones on the diagonal, shape (n, n).
    Source: Friedman & Dieng 2023, eq. 1, in their package.
    """
    # Imported here: it brings in scikit-learn, which a training that measures distances only does not need.
    from vendi_score.vendi import score_K

    with warnings.catch_warnings():
        # It asks for a name that SciPy has deprecated; no figure depends on that.
        warnings.simplefilter("ignore", DeprecationWarning)
        return float(score_K(kernel))


def vendi_bootstrap(
    embeddings: np.ndarray, *, sample_size: int, draws: int, seed: int
) -> tuple[float | None, float | None]:
    """Mean and SD of the Vendi score over random subsets of `sample_size` items, cosine kernel.

    Subsets are drawn without replacement: a repeated item would count as a copy and bias the score down. Where all
    items fit into one subset there is nothing to draw: their score, and no SD. Fewer than two items: (None, None).
    """
    count = len(embeddings)
    if count < 2:
        return None, None
    kernel = embeddings @ embeddings.T
    if count <= sample_size:
        return vendi_score(kernel), None
    rng = np.random.default_rng(seed)
    subsets = (rng.choice(count, sample_size, replace=False) for _ in range(draws))
    scores = [vendi_score(kernel[np.ix_(subset, subset)]) for subset in subsets]
    return float(np.mean(scores)), float(np.std(scores, ddof=1)) if draws > 1 else None


def mean_pairwise_distance(embeddings: np.ndarray) -> float:
    """Mean of 1 - cosine over all pairs of different rows, in [0, 2]; embeddings of unit length; 0 for one row."""
    count = len(embeddings)
    if count < 2:
        return 0.0
    # The sum of all cosines is the squared length of the summed vector; its diagonal part is one per row.
    pair_cosines = (np.sum(embeddings.sum(axis=0) ** 2) - count) / (count * (count - 1))
    return float(1.0 - pair_cosines)


def _ngram_counts(texts: list[str]) -> np.ndarray:
    # Marks at both ends: word boundaries count, and an empty text is a vector too.
    marked = [f"\x02{text}\x03" for text in texts]
    counts = [Counter(text[i : i + n] for n in NGRAM_SIZES for i in range(len(text) - n + 1)) for text in marked]
    columns = {ngram: column for column, ngram in enumerate(sorted(set().union(*counts)))}
    vectors = np.zeros((len(texts), len(columns)))
    for row, ngrams in enumerate(counts):
        vectors[row, [columns[ngram] for ngram in ngrams]] = list(ngrams.values())
    return vectors


def _model_embeddings(texts: list[str], embedder: str) -> np.ndarray:
    return np.asarray(_sentence_model(embedder).encode(texts, show_progress_bar=False), dtype=np.float64)


@lru_cache(maxsize=1)
def _sentence_model(embedder: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise ConfigError(
            f"diversity.embedder: {embedder} needs the package sentence-transformers; install it with "
            f"pip install 'soar-pipeline[embeddings]', or set `{CHARACTER_NGRAMS}`, which needs no model"
        ) from None
    try:
        return SentenceTransformer(embedder)
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"diversity.embedder: {embedder} cannot be loaded ({reason}); check the name or the folder"
        ) from None
