"""The memory of a training, by what it is for: arithmetic, which no GPU has confirmed (docs/memory.md).

Tests hold its parts against what a small model really holds on a CPU.
"""

from dataclasses import dataclass

from soar_pipeline.cost.model_size import BYTES, HELD, ModelSize

FLOAT32 = 4
# Tiles in which TRL's head computes logits: tokens at a time, vocabulary at a time.
TILE_TOKENS, TILE_VOCABULARY = 4096, 32768
# Of a GPU. The rest is for the CUDA context, libraries and what lies between blocks.
USABLE = 0.9


@dataclass(frozen=True)
class TrainingSetup:
    """The keys that memory depends on, for one device.

    rollouts: of a step, all devices together; batch: completions that are sampled together on a device; tokens of a
    prompt and (at most) of a completion; micro_batch: sequences; reference: whether there is a KL term; lora_rank: none
    trains all parameters; sharded: over `devices` by FSDP. pass_tokens: of a part of a micro-batch, of which all else
    keeps the inputs of its layers (none: a micro-batch is one part); group: completions of a prompt, which such a part
    takes once. offloaded: moments lie in the machine's memory. engine: bytes that vLLM holds, weights and cache, while
    it samples (none: the library's generate), or all the time if it stays `awake`.
    """

    dtype: str = "bfloat16"
    rollouts: int = 256
    batch: int = 256
    prompt_tokens: int = 200
    new_tokens: int = 1024
    micro_batch: int = 8
    checkpointing: bool = True
    reference: bool = True
    lora_rank: int | None = None
    devices: int = 1
    sharded: bool = False
    pass_tokens: int | None = None
    group: int = 32
    offloaded: bool = False
    engine: float | None = None
    awake: bool = False


@dataclass(frozen=True)
class Memory:
    """Bytes on each device, by what they are for."""

    weights: float
    reference: float
    moments: float
    gradients: float
    sampler: float
    casts: float
    buckets: float
    activations: float
    head: float
    cache: float
    # To run a sharded reference, TRL gathers all of it.
    gathered_reference: float = 0
    # Of a vLLM that stays awake; else its share counts as `cache`.
    engine: float = 0

    @property
    def held(self) -> float:
        """From the first step to the last."""
        return self.weights + self.reference + self.moments + self.sampler + self.engine

    @property
    def idle(self) -> float:
        """Between trainings, when AdamW's moments are let go."""
        return self.weights + self.reference + self.sampler + self.engine

    @property
    def sampling(self) -> float:
        """While completions are drawn; gradients are freed after each step."""
        return self.held + self.buckets + self.cache

    @property
    def scoring(self) -> float:
        """While the reference gives its log-probabilities."""
        return self.held + self.buckets + self.gathered_reference

    @property
    def training(self) -> float:
        """At the largest point of the backward pass."""
        return self.held + self.buckets + self.gradients + self.casts + self.activations + self.head

    @property
    def peak(self) -> float:
        return max(self.sampling, self.scoring, self.training)


def student_memory(size: ModelSize, setup: TrainingSetup) -> Memory:
    """The memory of a device that trains a student (its share, if several train one together)."""
    share, lora = setup.devices if setup.sharded else 1, setup.lora_rank is not None
    held = {name: size.parameters * width for name, width in HELD[setup.dtype].items()}
    # The reference's embedding stays float32, so that it gives the policy's numbers.
    embedding = size.vocabulary * size.hidden
    reference = held["reference"] + embedding * (FLOAT32 - BYTES[setup.dtype]) if setup.reference else 0
    # With checkpointing a layer's weights are cast when it is computed.
    casts = held["casts"] * (layer_parameters(size) / size.parameters if setup.checkpointing else 1)
    if lora:
        # The adapters are float32, all else is of the model's type, and is sampled from; the reference is the policy
        # without them.
        trained, reference, casts = lora_parameters(size, setup.lora_rank) * FLOAT32, 0, 0
        held |= {
            "weights": size.parameters * BYTES[setup.dtype] + trained,
            "moments": 2 * trained,
            "gradients": trained,
            "sampler": 0,
        }
    if setup.offloaded:
        held["moments"] = 0
    if setup.engine is not None:
        held["sampler"] = 0
    tokens = part = setup.micro_batch * (setup.prompt_tokens + setup.new_tokens)
    kept = 0.0
    if setup.pass_tokens is not None:
        prompts = -(-setup.micro_batch // setup.group) * setup.prompt_tokens
        tokens = setup.micro_batch * setup.new_tokens + prompts
        # A longer completion is a part by itself.
        part = min(tokens, max(setup.pass_tokens, setup.new_tokens))
        kept = (tokens - part) * kept_bytes(size, setup.dtype, setup.checkpointing, lora)
    # What is together of a sharded model: a layer, the one that is fetched meanwhile, and the head.
    together = 2 * layer_parameters(size) + embedding if setup.sharded else 0
    return Memory(
        weights=held["weights"] / share + together * FLOAT32,
        reference=reference / share,
        moments=held["moments"] / share,
        gradients=held["gradients"] / share,
        # Each process samples from a copy of its own.
        sampler=held["sampler"],
        casts=casts,
        # DistributedDataParallel averages gradients in buckets of its own.
        buckets=held["gradients"] if setup.devices > 1 and not setup.sharded else 0,
        activations=kept + part * activation_bytes(size, setup.dtype, setup.checkpointing, lora),
        head=head_bytes(size, setup.dtype, part, trained=not lora),
        cache=cache_bytes(size, setup) if setup.engine is None else 0 if setup.awake else setup.engine,
        gathered_reference=reference if setup.sharded else 0,
        engine=setup.engine if setup.engine is not None and setup.awake else 0,
    )


def kept_bytes(size: ModelSize, dtype: str, checkpointing: bool, lora: bool = False) -> float:
    """What is kept of one token of the parts that are not computed at the moment, the head's input included."""
    stream = BYTES[dtype] if lora else FLOAT32
    # With checkpointing the inputs of the layers, of the last norm and of the head.
    inputs = (size.layers + 3) * stream * size.hidden
    return inputs if checkpointing else activation_bytes(size, dtype, False, lora) + stream * size.hidden


def layer_parameters(size: ModelSize) -> int:
    """Parameters of one transformer layer."""
    heads, key_values = size.heads * size.head_dim, size.key_value_heads * size.head_dim
    return size.hidden * (2 * heads + 2 * key_values + 3 * size.intermediate + 2)


def lora_parameters(size: ModelSize, rank: int) -> int:
    """Parameters of adapters of this rank on every linear layer but the head."""
    heads, key_values = size.heads * size.head_dim, size.key_value_heads * size.head_dim
    ends = 2 * (size.hidden + heads) + 2 * (size.hidden + key_values) + 3 * (size.hidden + size.intermediate)
    return size.layers * rank * ends


def activation_bytes(size: ModelSize, dtype: str, checkpointing: bool, lora: bool = False) -> float:
    """What autograd keeps of one token for the backward pass, the head left out.

    With checkpointing: the input of every layer, and one layer in full while it is computed again.
    """
    width, hidden = BYTES[dtype], size.hidden
    # What runs between the layers; the norms of adapters' models compute in float32 and give the model's type.
    stream = width if lora else FLOAT32
    heads, key_values = size.heads * size.head_dim, size.key_value_heads * size.head_dim
    # Both norms: the input in float32, and what the weight is multiplied with; for the projections their output, which
    # autocast copies for each of the five.
    norms = hidden * (2 * (FLOAT32 + stream) + width * (2 if stream == width else 5))
    # Queries, keys, values and the output of attention, the output once more when it is laid out anew.
    attention = width * (3 * heads + 2 * key_values)
    # Gate, its activation, up, and their product.
    mlp = 4 * width * size.intermediate
    # The adapters' copies of what they are applied to: at q, k, v, o, gate, up and down.
    adapters = width * (5 * hidden + heads + size.intermediate) if lora else 0
    layer = norms + attention + mlp + adapters
    # The last norm.
    last = hidden * (FLOAT32 + stream + (width if stream == width else 0))
    return size.layers * stream * hidden + layer + last if checkpointing else size.layers * layer + last


def head_bytes(size: ModelSize, dtype: str, tokens: int, trained: bool) -> float:
    """What TRL's head needs in the backward pass: gradients of its weight and input in float32, and a tile."""
    tile = min(tokens, TILE_TOKENS) * min(size.vocabulary, TILE_VOCABULARY) * BYTES[dtype]
    weight = size.vocabulary * size.hidden * FLOAT32 if trained else 0
    return tile + weight + tokens * size.hidden * (FLOAT32 + BYTES[dtype])


def cache_bytes(size: ModelSize, setup: TrainingSetup) -> float:
    """Keys and values of the completions that are sampled together, and the logits of their last tokens."""
    sequences = min(setup.batch, setup.rollouts / setup.devices)
    # Logits as the model gives them, in float32, and as probabilities.
    logits = size.vocabulary * (BYTES[setup.dtype] + 2 * FLOAT32)
    return sequences * ((setup.prompt_tokens + setup.new_tokens) * size.cache_bytes(setup.dtype) + logits)
