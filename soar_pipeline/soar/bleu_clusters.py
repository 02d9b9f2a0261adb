"""Questions that say nearly the same: clusters by pairwise BLEU, as in R-Zero (arXiv 2508.05004)."""

from collections import Counter
from itertools import combinations
from typing import Literal

from sacrebleu.metrics import BLEU
from scipy.cluster.hierarchy import fcluster, linkage


def cluster_shares(questions: list[str], unit: Literal["words", "characters"], distance: float) -> list[float]:
    """For each of two or more questions, the size of its cluster as a share of all of them, in (0, 1].

    Average-linkage clustering, cut at `distance` (clusters as far apart as that or nearer are joined), of 1 − BLEU-4;
    the earlier question of a pair is the hypothesis, the later one the reference. N-grams are of `unit`s; a precision
    of nought counts as 0.1 over the number of n-grams (Chen & Cherry 2014, method 1). The released code's figures,
    except that equal questions are at distance 0 and n-grams longer than the hypothesis are left out [ours]: there,
    even copies of a question of three words fall into different clusters.
    """
    bleu = BLEU(
        tokenize="none" if unit == "words" else "char",
        smooth_method="floor",
        smooth_value=0.1,
        effective_order=True,
    )
    # In the order of SciPy's condensed distance matrix.
    distances = [
        0.0 if earlier == later else 1 - bleu.sentence_score(earlier, [later]).score / 100
        for earlier, later in combinations(questions, 2)
    ]
    clusters = fcluster(linkage(distances, method="average"), distance, criterion="distance")
    sizes = Counter(clusters.tolist())
    return [sizes[cluster] / len(questions) for cluster in clusters.tolist()]
