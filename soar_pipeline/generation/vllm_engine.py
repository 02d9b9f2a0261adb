"""The `vllm` engine: one vLLM in this process, which takes the weights of whichever policy is to draw.

It serves the generators of all policies of the process (teacher and student) and the rollouts of their trainers, and
lives as long as the process. TRL's own vLLM support is not used: it makes an engine for each trainer, which could
serve none of our generators, and seeds the engine once, so that a student's rollouts would depend on the students
before it; here every completion has a seed of its own.
"""

import os

import torch
from vllm import LLM, RequestOutput, SamplingParams
from vllm.inputs import TokensPrompt

from soar_pipeline.artifacts import ArtifactError
from soar_pipeline.config import ConfigError, EngineConfig
from soar_pipeline.generation.generator import Completion, Generator
from soar_pipeline.models.policy import DivergedError, Policy
from soar_pipeline.seeds import derive

PROBE_SEQUENCES, PROBE_TOKENS = 4, 16
# Of the mean difference of log-probabilities. Rounding alone: 2e-6 and 0.03 on a CPU; weights that missed one step of
# an embedded student: 0.14 to 0.004 (docs/vllm.md).
PROBE_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1}
# Completions wait where the cache has no room.
CPU_CACHE_BYTES = 2**30


class SyncError(ArtifactError):
    """vLLM does not compute what the trainer's model computes."""


class VllmGenerator(Generator):
    """Completes prompts with the policy's current weights, each with a seed of its own, derived from the call's.

    The weights are pushed, and the push is checked, before each draw: nothing has to know when they changed.
    The caller's random state is left alone.
    """

    def __init__(self, policy: Policy, config: EngineConfig):
        self.policy, self.batch_size = policy, config.batch_size
        self.engine = _engine_of_process(policy, config)

    def complete(
        self,
        prompt_ids: list[list[int]],
        *,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        top_p: float = 1.0,
        presence_penalty: float = 0.0,
    ) -> list[Completion]:
        settings = [
            SamplingParams(
                max_tokens=max_new_tokens,
                temperature=temperature,
                top_p=top_p,
                presence_penalty=presence_penalty,
                seed=derive(seed, i),
                # Exactly the policy's tokens end a completion, whatever the engine has read in the model's folder.
                ignore_eos=True,
                stop_token_ids=self.policy.eos_token_ids,
                detokenize=False,
            )
            for i in range(len(prompt_ids))
        ]
        return [self._completion(token_ids) for token_ids in self.engine.generate(self.policy, prompt_ids, settings)]

    def _completion(self, token_ids: list[int]) -> Completion:
        text = self.policy.tokenizer.decode(token_ids, skip_special_tokens=True)
        truncated = token_ids[-1] not in self.policy.eos_token_ids
        return Completion(text=text, tokens=len(token_ids), truncated=truncated, token_ids=tuple(token_ids))


class _Engine:
    """vLLM with the weights of one policy at a time, all of them of one architecture and type."""

    def __init__(self, policy: Policy, config: EngineConfig):
        self.parameters = _parameters(policy)
        on_gpu = policy.model.device.type == "cuda"
        if not on_gpu:
            _check_heads(policy)
        # vLLM cannot let go of a CPU's memory.
        self.sleeps = on_gpu
        # In this process, so that weights are copied and not sent; and nobody is told of its use.
        os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1"}
        # The training's threads stay where they are.
        os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
        self.llm = LLM(
            model=policy.model.name_or_path,
            # Weights are pushed before anything is drawn.
            load_format="dummy",
            dtype=str(policy.model.dtype).removeprefix("torch."),
            skip_tokenizer_init=True,
            generation_config="vllm",
            # The model's context, or what of it the cache has room for.
            max_model_len=-1,
            max_num_seqs=config.batch_size,
            gpu_memory_utilization=config.vllm_memory_share,
            kv_cache_memory_bytes=None if on_gpu else CPU_CACHE_BYTES,
            enable_sleep_mode=self.sleeps,
            # Compiling takes longer than it saves where a CPU is enough.
            enforce_eager=not on_gpu,
            log_level="ERROR",
        )
        if self.sleeps:
            self.llm.sleep(level=2)
        chosen = torch.Generator().manual_seed(0)
        shape = (PROBE_SEQUENCES, PROBE_TOKENS)
        self.probe = torch.randint(policy.model.config.vocab_size, shape, generator=chosen)

    def generate(self, policy: Policy, prompt_ids: list[list[int]], settings: list[SamplingParams]) -> list[list[int]]:
        """The token ids of one completion of each prompt, its end token included.

        Raises SyncError where vLLM does not compute what the policy does.
        """
        if self.sleeps:
            # What the training has let go of and torch still holds.
            torch.cuda.empty_cache()
            self.llm.wake_up(tags=["weights"])
        self.push(policy)
        if self.sleeps:
            self.llm.wake_up(tags=["kv_cache"])
        self.check(policy)
        # On a CPU vLLM draws from the caller's generator too, and throws it away.
        with torch.random.fork_rng(devices=[policy.model.device] if self.sleeps else []):
            finished = self._run(prompt_ids, settings)
        if self.sleeps:
            self.llm.sleep(level=2)
        return [list(request.outputs[0].token_ids) for request in finished]

    def push(self, policy: Policy) -> None:
        """Give vLLM the policy's weights, in place."""
        if _parameters(policy) != self.parameters:
            raise ConfigError(
                "generation.engine: vLLM draws from policies of one architecture in a process, and "
                f"{policy.model.name_or_path} has another than the one before it; take the engine transformers"
            )
        # Not the model's own `load_weights`: on a CPU, layers compute with packed copies, which a reload renews.
        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": policy.model.named_parameters()})
        if policy.model.config.tie_word_embeddings:
            self.llm.apply_model(_renew_tied_head)
        self.llm.reset_prefix_cache()

    def check(self, policy: Policy) -> None:
        """Compare log-probabilities of fixed sequences with the policy's own."""
        expected = log_probabilities(policy, self.probe)
        if not expected.isfinite().all():
            raise DivergedError(
                "the policy's log-probabilities are not numbers: its training has diverged; lower its learning_rate or "
                "max_grad_norm, or take float32 as dtype"
            )
        drift = (self.log_probabilities(self.probe) - expected).abs().mean().item()
        tolerance = PROBE_TOLERANCE[policy.model.dtype]
        # Not `>`: it may be no number.
        if not drift <= tolerance:
            raise SyncError(
                f"generation.engine: vLLM's log-probabilities differ from the model's by {drift:.2g} on average, where "
                f"rounding explains {tolerance:g}: it does not have the weights that were pushed, or computes "
                "otherwise with them; take the engine transformers"
            )

    def log_probabilities(self, sequences: torch.Tensor) -> torch.Tensor:
        """What the function of this name gives, by vLLM."""
        settings = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
        finished = self._run(sequences.tolist(), [settings] * len(sequences))
        return torch.tensor(
            [
                [chances[token].logprob for token, chances in zip(ids[1:], request.prompt_logprobs[1:], strict=True)]
                for ids, request in zip(sequences.tolist(), finished, strict=True)
            ]
        )

    def _run(self, prompt_ids: list[list[int]], settings: list[SamplingParams]) -> list[RequestOutput]:
        prompts = [TokensPrompt(prompt_token_ids=ids) for ids in prompt_ids]
        return self.llm.generate(prompts, settings, use_tqdm=False)


def _renew_tied_head(model: torch.nn.Module) -> None:
    # A head that shares the embedding's weights is no part of a reload; on a CPU it has a packed copy of them.
    model.lm_head.quant_method.process_weights_after_loading(model.lm_head)


@torch.no_grad()
def log_probabilities(policy: Policy, sequences: torch.Tensor) -> torch.Tensor:
    """Of each token but the first, given those before it: shape (sequences, tokens - 1), float32, on the CPU."""
    model = policy.model
    was_training = model.training
    model.eval()
    ids = sequences.to(model.device)
    logits = model(ids).logits[:, :-1].float()
    model.train(was_training)
    return logits.log_softmax(-1).gather(2, ids[:, 1:, None]).squeeze(2).cpu()


def _parameters(policy: Policy) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """What policies must share to be drawn from by one engine."""
    return {name: (tensor.shape, tensor.dtype) for name, tensor in policy.model.named_parameters()}


def _check_heads(policy: Policy) -> None:
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    config = policy.model.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    known = CPUAttentionBackend.get_supported_head_sizes()
    if size not in known:
        raise ConfigError(
            f"generation.engine: on a CPU vLLM has kernels for attention heads of {', '.join(map(str, known))}, and "
            f"{policy.model.name_or_path} has heads of {size}; take the engine transformers"
        )


_engine: _Engine | None = None


def _engine_of_process(policy: Policy, config: EngineConfig) -> _Engine:
    """The one engine: vLLM keeps state of its own per process, and a device has room for one."""
    global _engine
    if _engine is None:
        _engine = _Engine(policy, config)
    return _engine
