"""RLOO's own line: an advantage is the reward less the mean of the others' (Ahmadian et al. 2024).

TRL computes the advantages of students and of the teacher, SeRL those of its own; a test holds TRL's to the function
that stands here.
"""

import torch


def leave_one_out_advantages(rewards: torch.Tensor) -> torch.Tensor:
    """A_i = r_i − mean of the other rewards of its group.

    rewards: shape (groups, rollouts), NaN if a rollout could not be scored. Returns the same shape, NaN for what could
    not be scored and for what is alone in its group; such a rollout does not count for the others either.
    """
    others = (~rewards.isnan()).sum(1, keepdim=True) - 1
    return rewards - (rewards.nansum(1, keepdim=True) - rewards) / others


def zero_std_fraction(rewards: torch.Tensor) -> float:
    """Share of groups that teach nothing: no two of their rewards differ.

    rewards: the task's, without the KL (which differs nearly always once the policy has moved); shape and NaN as in
    `leave_one_out_advantages`.
    """
    largest, smallest = rewards.nan_to_num(-torch.inf).amax(1), rewards.nan_to_num(torch.inf).amin(1)
    return float((largest <= smallest).float().mean())


def advantage_scale(datasets: int, questions_per_dataset: int) -> float:
    """(gn − 1) / (n(g − 1)): times which rewards give the advantages of g datasets in one group of g·n rollouts.

    Every rollout of dataset k has the reward R_k. Among the g datasets its advantage is A_k = R_k − (S − R_k)/(g − 1),
    where S = Σ_j R_j. Among all g·n rollouts it is R_k − (nS − R_k)/(gn − 1) = A_k · n(g − 1)/(gn − 1).
    """
    g, n = datasets, questions_per_dataset
    return (g * n - 1) / (n * (g - 1))
