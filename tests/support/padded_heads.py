"""The toy base model with attention heads of 32 numbers in place of 24, for which vLLM has no kernel on a CPU."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM


def with_padded_heads(folder: Path, padded: Path, size: int = 32) -> None:
    """Write a model that computes what the one in `folder` computes, with zeros in each head up to `size`.

    A rotary embedding turns the number i together with the number i + size/2, by theta^(-2i/size): each half of a head
    is padded by itself, and theta is raised so that the angles stay. Queries take up the other scale, 1/sqrt(size).
    """
    model = AutoModelForCausalLM.from_pretrained(folder)
    config, heads, old = model.config, model.config.num_attention_heads, model.config.head_dim
    config.head_dim = size
    config.rope_parameters = config.rope_parameters | {
        "rope_theta": config.rope_parameters["rope_theta"] ** (size / old)
    }
    # Where the numbers of all heads, in order, lie among the padded ones.
    place = torch.arange(heads * size).view(heads, 2, size // 2)[:, :, : old // 2].flatten()
    weights = {}
    for name, tensor in model.state_dict().items():
        if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
            wider = tensor.new_zeros(heads * size, tensor.shape[1])
            wider[place] = tensor * (size / old) ** 0.5 if "q_proj" in name else tensor
            tensor = wider
        elif name.endswith("o_proj.weight"):
            wider = tensor.new_zeros(tensor.shape[0], heads * size)
            wider[:, place] = tensor
            tensor = wider
        weights[name] = tensor
    wide = LlamaForCausalLM(config)
    wide.load_state_dict(weights)
    wide.generation_config = model.generation_config
    wide.save_pretrained(padded)
    AutoTokenizer.from_pretrained(folder).save_pretrained(padded)
