"""What a trainer's step is held against: its gradients, and log-probabilities in a few lines."""

import torch
from transformers import TrainerCallback

from soar_pipeline.policy.weights import full_copy


class GradientCatcher(TrainerCallback):
    """Keeps the gradients of the last optimizer step, of all parameters that are trained."""

    def on_pre_optimizer_step(self, args, state, control, model=None, **_):
        trained = ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)
        self.gradients = {name: full_copy(parameter.grad) for name, parameter in trained}


def sequence_log_probability(policy, prompt: str, token_ids: tuple[int, ...]) -> torch.Tensor:
    prompt_ids = policy.tokenizer(prompt)["input_ids"]
    ids = torch.tensor([prompt_ids + list(token_ids)])
    log_probabilities = torch.log_softmax(policy.model(ids).logits[0, :-1], dim=-1)
    chosen = log_probabilities.gather(1, ids[0, 1:, None]).squeeze(1)
    return chosen[len(prompt_ids) - 1 :].sum()
