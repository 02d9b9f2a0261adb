import sys
import warnings

import numpy as np
import pytest

from soar_pipeline.config import ConfigError
from soar_pipeline.evaluation import vendi
from soar_pipeline.evaluation.vendi import embed, mean_pairwise_distance, vendi_bootstrap, vendi_score


def _unit_rows(seed, count, dimensions):
    rows = np.random.default_rng(seed).normal(size=(count, dimensions))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_score_equals_entropy_of_squared_singular_values():
    rows = _unit_rows(0, 12, 5)
    shares = np.linalg.svd(rows, compute_uv=False) ** 2 / 12
    assert vendi_score(rows @ rows.T) == pytest.approx(np.prod(shares**-shares))


def test_score_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert vendi_score(np.eye(3)) == pytest.approx(3.0)


def test_identical_texts_count_once_and_orthogonal_ones_fully():
    same = embed(["1+1=?"] * 7, "character_ngrams")
    assert vendi_score(same @ same.T) == pytest.approx(1.0)
    assert vendi_score(np.eye(9)) == pytest.approx(9.0)


def test_ngram_cosine_of_known_texts():
    # Between its end marks, "ab" has nine 1-, 2- and 3-grams; it shares start, a, end and start-a with "ac".
    vectors = embed(["ab", "ac"], "character_ngrams")
    assert vectors[0] @ vectors[1] == pytest.approx(4 / 9)


def test_embeddings_have_unit_length_even_for_empty_text():
    np.testing.assert_allclose(np.linalg.norm(embed(["", "a", "123"], "character_ngrams"), axis=1), 1.0)


def test_subsets_are_drawn_without_replacement():
    # All different: every subset of 20 scores 20; one repeated item would score less.
    mean, sd = vendi_bootstrap(np.eye(50), sample_size=20, draws=10, seed=0)
    assert (mean, sd) == (pytest.approx(20.0), pytest.approx(0.0, abs=1e-9))


def test_bootstrap_repeats_with_its_seed():
    rows = _unit_rows(2, 40, 6)
    first, again, other = (vendi_bootstrap(rows, sample_size=10, draws=5, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert first[1] > 0


def test_small_set_is_scored_whole_without_sd():
    rows = _unit_rows(3, 6, 4)
    assert vendi_bootstrap(rows, sample_size=128, draws=10, seed=0) == (pytest.approx(vendi_score(rows @ rows.T)), None)
    assert vendi_bootstrap(rows[:1], sample_size=128, draws=10, seed=0) == (None, None)


def test_mean_pairwise_distance_equals_loop_over_pairs():
    rows = _unit_rows(4, 9, 3)
    pairs = [1 - rows[i] @ rows[j] for i in range(9) for j in range(9) if i != j]
    assert mean_pairwise_distance(rows) == pytest.approx(np.mean(pairs))
    assert mean_pairwise_distance(rows[:1]) == 0.0


def test_missing_model_is_one_clear_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    vendi._sentence_model.cache_clear()
    with pytest.raises(ConfigError, match=r"diversity\.embedder: some/model needs the package sentence-transformers"):
        embed(["a"], "some/model")
