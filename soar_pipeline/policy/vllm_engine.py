"""The `vllm` engine: one vLLM in this process, which takes the weights of whichever policy samples.

It serves the generators of all policies of the process (teacher and student) and the rollouts of their trainers, and
lives as long as the process. TRL's own vLLM support is not used: it makes an engine for each trainer, which could
serve none of our generators, and seeds the engine once, so that a student's rollouts would depend on the students
before it; here every completion has a seed of its own.
"""

import os

import torch
from vllm import LLM, RequestOutput
from vllm import SamplingParams as VllmParams
from vllm.inputs import TokensPrompt

from soar_pipeline.artifacts.files import ArtifactError
from soar_pipeline.config import ConfigError, EngineConfig
from soar_pipeline.policy.loading import DivergedError, Policy
from soar_pipeline.policy.sampling import Completion, Generator, SamplingParams
from soar_pipeline.runtime import derive

PROBE_SEQUENCES, PROBE_TOKENS = 4, 16
# Of the mean difference of log-probabilities. Rounding alone: 2e-6 and 0.03 on a CPU; weights that missed one step of
# a student of the toy task: 0.14 to 0.004 (docs/vllm.md).
PROBE_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1}
# Completions wait if the cache has no room.
CPU_CACHE_BYTES = 2**30


class SyncError(ArtifactError):
    """vLLM does not compute what the trainer's model computes."""


class VllmGenerator(Generator):
    """Completes prompts with the policy's current weights, each with a seed of its own, derived from the call's.

    The weights are pushed, and the push is checked, before each sampling: nothing has to know when they changed.
    The caller's random state is left alone.
    """

    def __init__(self, policy: Policy, config: EngineConfig):
        self.policy, self.batch_size = policy, config.batch_size
        self.engine = _engine_of_process(policy, config)

    def complete(self, prompt_ids: list[list[int]], params: SamplingParams) -> list[Completion]:
        settings = [
            VllmParams(
                max_tokens=params.max_new_tokens,
                temperature=params.temperature,
                top_p=params.top_p,
                presence_penalty=params.presence_penalty,
                seed=derive(params.seed, i),
                # Exactly the policy's tokens end a completion, whatever the engine has read in the model's folder.
                ignore_eos=True,
                stop_token_ids=self.policy.eos_token_ids,
                stop=params.stop,
                detokenize=params.stop is not None,
            )
            for i in range(len(prompt_ids))
        ]
        generated = self.engine.generate(self.policy, prompt_ids, settings)
        return [self._completion(token_ids, params.stop) for token_ids in generated]


class _Engine:
    """vLLM with the weights of one policy at a time, all of them of one architecture and type."""

    def __init__(self, policy: Policy, config: EngineConfig):
        self.parameters = _parameters(policy)
        on_gpu = policy.model.device.type == "cuda"
        if not on_gpu:
            _check_heads(policy)
        # vLLM cannot let go of a CPU's memory.
        self.sleeps = on_gpu and not config.vllm_stays_awake
        # In this process, so that weights are copied and not sent; and vLLM reports its use to nobody.
        os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1"}
        # The training's threads keep their cores.
        os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
        if config.deterministic:
            # What a completion is does not depend on those that are decoded with it.
            os.environ["VLLM_BATCH_INVARIANT"] = "1"
        several = torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1
        self.llm = LLM(
            model=policy.model.name_or_path,
            # Weights are pushed before anything is sampled.
            load_format="dummy",
            dtype=str(policy.dtype).removeprefix("torch."),
            generation_config="vllm",
            # The model's context, or what of it the cache has room for.
            max_model_len=-1,
            max_num_seqs=config.batch_size,
            gpu_memory_utilization=config.vllm_memory_share,
            kv_cache_memory_bytes=None if on_gpu else CPU_CACHE_BYTES,
            enable_sleep_mode=self.sleeps,
            # A prompt is read once for all completions of its group.
            enable_prefix_caching=True,
            # Compiling takes longer than it saves for what a CPU can do; graphs of a GPU need not repeat themselves.
            enforce_eager=config.deterministic or not on_gpu,
            # Processes that train one student together have an engine each, in the group that torchrun made.
            distributed_executor_backend="external_launcher" if several else None,
            log_level="ERROR",
        )
        if self.sleeps:
            self.llm.sleep(level=2)
        chosen = torch.Generator().manual_seed(0)
        shape = (PROBE_SEQUENCES, PROBE_TOKENS)
        self.probe = torch.randint(policy.model.config.vocab_size, shape, generator=chosen)

    def generate(self, policy: Policy, prompt_ids: list[list[int]], settings: list[VllmParams]) -> list[list[int]]:
        """The token ids of one completion of each prompt, its end token included.

        Raises SyncError if vLLM does not compute what the policy does.
        """
        if self.sleeps:
            # What the training has let go of and torch still holds.
            torch.cuda.empty_cache()
            self.llm.wake_up(tags=["weights"])
        self.push(policy)
        if self.sleeps:
            self.llm.wake_up(tags=["kv_cache"])
        self.check(policy)
        # On a CPU vLLM uses the caller's generator too, to no effect.
        with torch.random.fork_rng(devices=[policy.model.device] if policy.model.device.type == "cuda" else []):
            finished = self._run(prompt_ids, settings)
        if self.sleeps:
            self.llm.sleep(level=2)
        return [list(request.outputs[0].token_ids) for request in finished]

    def push(self, policy: Policy) -> None:
        """Give vLLM the policy's weights, in place."""
        # Not the model's own `load_weights`: on a CPU, layers compute with packed copies, which a reload renews.
        weights = ((name, tensor.detach().to(policy.dtype)) for name, tensor in policy.model.named_parameters())
        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})
        if policy.model.config.tie_word_embeddings:
            self.llm.apply_model(_renew_tied_head)
        self.llm.reset_prefix_cache()

    def check(self, policy: Policy) -> None:
        """Compare log-probabilities of fixed sequences with the policy's own."""
        expected = log_probabilities(policy, self.probe)
        if not expected.isfinite().all():
            raise DivergedError(
                "the weights are not finite: the training diverged; lower its learning_rate or max_grad_norm, or set "
                "the model's dtype to float32"
            )
        drift = (self.log_probabilities(self.probe) - expected).abs().mean().item()
        tolerance = PROBE_TOLERANCE[policy.dtype]
        # Not `>`: it may be no number.
        if not drift <= tolerance:
            raise SyncError(
                f"generation.engine: vLLM's log-probabilities differ from the model's by {drift:.2g} on average, and "
                f"rounding explains {tolerance:g}: it does not have the weights that were pushed, or computes "
                "otherwise with them; set the engine transformers"
            )

    def log_probabilities(self, sequences: torch.Tensor) -> torch.Tensor:
        """What the function of this name gives, by vLLM."""
        settings = VllmParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
        finished = self._run(sequences.tolist(), [settings] * len(sequences))
        return torch.tensor(
            [
                [chances[token].logprob for token, chances in zip(ids[1:], request.prompt_logprobs[1:], strict=True)]
                for ids, request in zip(sequences.tolist(), finished, strict=True)
            ]
        )

    def _run(self, prompt_ids: list[list[int]], settings: list[VllmParams]) -> list[RequestOutput]:
        prompts = [TokensPrompt(prompt_token_ids=ids) for ids in prompt_ids]
        return self.llm.generate(prompts, settings, use_tqdm=False)


def _renew_tied_head(model: torch.nn.Module) -> None:
    # A head that shares the embedding's weights is not part of a reload; on a CPU it has a packed copy of them.
    model.lm_head.quant_method.process_weights_after_loading(model.lm_head)


@torch.no_grad()
def log_probabilities(policy: Policy, sequences: torch.Tensor) -> torch.Tensor:
    """Of each token but the first, given those before it: shape (sequences, tokens - 1), float32, on the CPU."""
    model = policy.model
    was_training = model.training
    model.eval()
    ids = sequences.to(model.device)
    with policy.autocast():
        logits = model(ids).logits[:, :-1].float()
    model.train(was_training)
    return logits.log_softmax(-1).gather(2, ids[:, 1:, None]).squeeze(2).cpu()


def _parameters(policy: Policy) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """What policies must share to be served by one engine."""
    return {name: (tensor.shape, policy.dtype) for name, tensor in policy.model.named_parameters()}


def _check_heads(policy: Policy) -> None:
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    config = policy.model.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    known = CPUAttentionBackend.get_supported_head_sizes()
    if size not in known:
        raise ConfigError(
            f"generation.engine: on a CPU vLLM has kernels for attention heads of {', '.join(map(str, known))}, and "
            f"{policy.model.name_or_path} has heads of {size}; set the engine transformers"
        )


_engine: _Engine | None = None


def _engine_of_process(policy: Policy, config: EngineConfig) -> _Engine:
    """The one engine: vLLM keeps state of its own per process, and a device has room for one."""
    global _engine
    if _engine is None:
        _engine = _Engine(policy, config)
    if _parameters(policy) != _engine.parameters:
        raise ConfigError(
            "generation.engine: vLLM samples from policies of one architecture in a process, and "
            f"{policy.model.name_or_path} has another than the one before it; set the engine transformers"
        )
    return _engine
