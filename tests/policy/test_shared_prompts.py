"""Completions of one prompt, which goes through the model once: against each row computed by itself."""

import random

import pytest
import torch
from torch.nn.functional import pad
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    FalconH1Config,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
)
from trl.trainer.utils import add_fused_lm_head

from soar_pipeline.config import ConfigError
from soar_pipeline.policy.loading import Policy
from soar_pipeline.policy.sampling import SamplingParams
from soar_pipeline.policy.shared_prompts import SharedPrompts, cache_under_checkpointing, rows_can_be_selected
from soar_pipeline.policy.transformers_engine import TransformersGenerator
from soar_pipeline.rl.logprobs import Parts, completion_outputs

VOCABULARY, TEMPERATURE = 40, 0.7
SIZE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
CONFIGS = {
    "llama, fewer keys than queries": LlamaConfig(**SIZE, num_key_value_heads=2),
    "mistral, a window shorter than the prompts": MistralConfig(**SIZE, num_key_value_heads=2, sliding_window=4),
    "qwen2": Qwen2Config(**SIZE, num_key_value_heads=4),
    "gemma2, every other layer with a window": Gemma2Config(
        **SIZE, num_key_value_heads=2, head_dim=8, sliding_window=4, final_logit_softcapping=5.0
    ),
    "gpt2, absolute positions": GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2
    ),
}
# Of the completions of each prompt.
LENGTHS = (9, 1, 4)

Rows = list[tuple[list[int], list[int]]]


@pytest.fixture(params=CONFIGS, ids=lambda name: name.split(",")[0])
def model(request) -> PreTrainedModel:
    return of_config(CONFIGS[request.param])


def of_config(config: PreTrainedConfig) -> PreTrainedModel:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # As initialised, all tokens would be about as likely.
            parameter.add_(torch.randn_like(parameter) * 0.2)
    add_fused_lm_head(model, temperature=TEMPERATURE, outputs=("log_probs", "entropy"))
    return model


def rows_of_groups(prompt_lengths: tuple[int, ...] = (7, 12)) -> Rows:
    """Prompts, and completions of each, in random order."""
    rng = random.Random(0)

    def text(length: int) -> list[int]:
        return [rng.randrange(3, VOCABULARY) for _ in range(length)]

    prompts = [text(length) for length in prompt_lengths]
    rows = [(prompt, text(length)) for prompt in prompts for length in LENGTHS]
    rng.shuffle(rows)
    return rows


def padded(rows: Rows) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Token ids, mask and the width of the completions, as TRL pads them."""
    left, width = (max(map(len, side)) for side in zip(*rows, strict=True))
    ids, mask = torch.zeros(len(rows), left + width, dtype=torch.long), torch.zeros(len(rows), left + width)
    for i, (prompt, completion) in enumerate(rows):
        span = slice(left - len(prompt), left + len(completion))
        ids[i, span], mask[i, span] = torch.tensor(prompt + completion), 1
    return ids, mask, width


def by_itself(model: PreTrainedModel, prompt: list[int], completion: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and entropies of one completion, without padding, cache or TRL."""
    logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1] / TEMPERATURE
    chances = logits.log_softmax(dim=-1)
    return chances[range(len(completion)), completion], -(chances.exp() * chances).sum(dim=-1)


@pytest.mark.parametrize("parts", [Parts(1), Parts(2), Parts(tokens=20)])
@pytest.mark.parametrize("share_prompts", [True, False])
@pytest.mark.parametrize("checkpointed", [True, False])
def test_a_completion_is_scored_as_by_itself_and_so_is_its_gradient(model, parts, share_prompts, checkpointed):
    if checkpointed:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        cache_under_checkpointing(model)
        # No dropout, which would tell a training model from one that is not.
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        model.train()
    rows = rows_of_groups()
    ids, mask, width = padded(rows)
    # Another weight for every token, as advantages would be.
    weights = torch.rand(len(rows), width)
    names = ("log_probs", "entropy")
    logps, entropies = completion_outputs(
        model, ids, mask, width, names, parts=parts, share_prompts=share_prompts, checkpointed=checkpointed
    )
    (logps * weights).sum().backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    model.gradient_checkpointing_disable()
    loss = torch.tensor(0.0)
    for i, (prompt, completion) in enumerate(rows):
        expected, expected_entropies = by_itself(model, prompt, completion)
        length = len(completion)
        torch.testing.assert_close(logps[i, :length], expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(entropies[i, :length], expected_entropies, rtol=1e-4, atol=1e-5)
        assert not logps[i, length:].any() and not entropies[i, length:].any()
        loss = loss + (expected * weights[i, :length]).sum()
    loss.backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-3, atol=1e-4, msg=name)


def test_a_prompt_goes_through_the_model_once():
    model = of_config(CONFIGS["qwen2"])
    seen = []
    model.register_forward_pre_hook(lambda _, args, options: seen.append(options["input_ids"].shape), with_kwargs=True)
    ids, mask, width = padded(rows_of_groups())
    # The other micro-batches of a batch may have longer prompts.
    ids, mask = pad(ids, (5, 0)), pad(mask, (5, 0))
    for share_prompts in (True, False):
        completion_outputs(model, ids, mask, width, ("log_probs",), parts=Parts(3), share_prompts=share_prompts)
    # The last token of a prompt belongs to its completions; a part is as wide as its longest one.
    assert seen == [(2, 11), (2, 1), (2, 4), (2, 9), (2, 12), (2, 15), (2, 20)]


def test_parts_hold_as_many_rows_of_similar_length_as_have_no_more_tokens():
    widths = [1, 2, 2, 3, 5, 5, 9, 30]
    order = torch.arange(8)
    split = [rows.tolist() for rows in Parts(tokens=10).split(order, widths)]
    # The longest alone, however long it is; what does not fill a part is left for the shortest.
    assert split == [[0], [1, 2, 3], [4, 5], [6], [7]]
    assert [rows.tolist() for rows in Parts(2).split(order, widths)] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_prompts_of_one_token_have_nothing_to_share():
    model = of_config(CONFIGS["qwen2"])
    rows = rows_of_groups((1, 1))
    ids, mask, width = padded(rows)
    [logps] = completion_outputs(model, ids, mask, width, ("log_probs",), parts=Parts(2), share_prompts=True)
    for i, (prompt, completion) in enumerate(rows):
        torch.testing.assert_close(logps[i, : len(completion)], by_itself(model, prompt, completion)[0])


def test_rows_go_on_from_caches_of_their_own():
    model = of_config(CONFIGS["qwen2"])
    ids = torch.tensor([[5, 6, 7], [8, 9, 10], [5, 6, 7]])
    prompts = SharedPrompts(model, ids, torch.ones_like(ids))
    first, second = (prompts.cache_of(torch.tensor([0, 2, 1])) for _ in range(2))
    model(input_ids=ids[:, :1], past_key_values=first)
    assert (first.get_seq_length(), second.get_seq_length()) == (4, 3)
    keys = second.layers[0].keys
    assert torch.equal(keys[0], keys[1]) and not torch.equal(keys[0], keys[2])


def test_generation_from_shared_prompts_writes_what_it_writes_without(model, base_model):
    tokenizer = AutoTokenizer.from_pretrained(base_model, padding_side="left")
    policy = Policy(model, tokenizer, torch.float32)
    encoded = [prompt for prompt, _ in rows_of_groups((7, 12, 1))]
    greedy = SamplingParams(max_new_tokens=12, temperature=0.0)
    written, expected = (
        TransformersGenerator(policy, 64, segment_tokens).complete(encoded, greedy) for segment_tokens in (5, None)
    )
    assert [completion.token_ids for completion in written] == [completion.token_ids for completion in expected]
    assert len({completion.token_ids for completion in expected}) == 3


def test_recurrent_states_cannot_be_selected(base_model):
    config = FalconH1Config(**SIZE, num_key_value_heads=2, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8)
    assert not rows_can_be_selected(config)
    assert all(rows_can_be_selected(config) for config in CONFIGS.values())
    policy = Policy(of_config(config), AutoTokenizer.from_pretrained(base_model), torch.float32)
    TransformersGenerator(policy, 8)
    with pytest.raises(ConfigError, match=r"segment_tokens.*recurrent"):
        TransformersGenerator(policy, 8, segment_tokens=4)
