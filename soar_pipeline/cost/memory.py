"""What the training of a student holds in a device's memory, from shapes and keys.

Arithmetic, which no GPU has confirmed; tests hold its parts against what a small model really holds on a CPU.
"""

from dataclasses import dataclass

from soar_pipeline.cost.model_size import BYTES, ModelSize

FLOAT32 = 4
# Tiles in which TRL's head computes logits: tokens at a time, vocabulary at a time.
TILE_TOKENS, TILE_VOCABULARY = 4096, 32768


@dataclass(frozen=True)
class Setting:
    """The keys that memory depends on, for one device.

    rollouts: of a step, all devices together; tokens of a prompt and (at most) of a completion; micro_batch: sequences;
    reference: whether there is a KL term; lora_rank: none trains all parameters; sharded: over `devices` by FSDP.
    """

    dtype: str = "bfloat16"
    rollouts: int = 256
    prompt_tokens: int = 200
    new_tokens: int = 1024
    micro_batch: int = 8
    checkpointing: bool = True
    reference: bool = True
    lora_rank: int | None = None
    devices: int = 1
    sharded: bool = False


@dataclass(frozen=True)
class Memory:
    """Bytes on each device, by what they are for."""

    weights: float
    reference: float
    moments: float
    gradients: float
    buckets: float
    activations: float
    head: float
    cache: float
    # To run a sharded reference TRL gathers it whole.
    gathered_reference: float = 0

    @property
    def held(self) -> float:
        """From the first step to the last."""
        return self.weights + self.reference + self.moments

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
        return self.held + self.buckets + self.gradients + self.activations + self.head

    @property
    def peak(self) -> float:
        return max(self.sampling, self.scoring, self.training)


def student_memory(size: ModelSize, setting: Setting) -> Memory:
    """The memory of a device that trains a student (its share, where several train one together)."""
    of_each = setting.devices if setting.sharded else 1
    width, lora = BYTES[setting.dtype], setting.lora_rank is not None
    # peft keeps adapters of a bfloat16 model in float32.
    adapters = lora_parameters(size, setting.lora_rank) * FLOAT32 if lora else 0
    trained = adapters if lora else size.parameters * width
    tokens = setting.micro_batch * (setting.prompt_tokens + setting.new_tokens)
    # What is together of a sharded model: a layer, the one that is fetched meanwhile, and the head.
    together = (2 * layer_parameters(size) + size.vocabulary * size.hidden) * width if setting.sharded else 0
    # With adapters the reference is the policy without them.
    reference = size.parameters * width if setting.reference and not lora else 0
    return Memory(
        weights=(size.parameters * width + adapters) / of_each + together,
        reference=reference / of_each,
        moments=2 * trained / of_each,
        gradients=trained / of_each,
        # DistributedDataParallel averages gradients in buckets of its own.
        buckets=trained if setting.devices > 1 and not setting.sharded else 0,
        activations=tokens * activation_bytes(size, setting.dtype, setting.checkpointing, lora),
        head=head_bytes(size, setting.dtype, tokens, trained=not lora),
        cache=cache_bytes(size, setting),
        gathered_reference=reference if setting.sharded else 0,
    )


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
    heads, key_values = size.heads * size.head_dim, size.key_value_heads * size.head_dim
    # Both norms: the input in float32, and what the weight is multiplied with; for the projections their output.
    norms = 2 * hidden * (FLOAT32 + 2 * width)
    # Queries, keys, values and the output of attention, the output once more where it is laid out anew.
    attention = width * (3 * heads + 2 * key_values)
    # Gate, its activation, up, and their product.
    mlp = 4 * width * size.intermediate
    # The adapters' copies of what they are applied to, in float32: at q, k, v, o, gate, up and down.
    adapters = FLOAT32 * (5 * hidden + heads + size.intermediate) if lora else 0
    layer = norms + attention + mlp + adapters
    # The last norm.
    last = hidden * (FLOAT32 + 2 * width)
    return size.layers * width * hidden + layer + last if checkpointing else size.layers * layer + last


def head_bytes(size: ModelSize, dtype: str, tokens: int, trained: bool) -> float:
    """What TRL's head needs in the backward pass: the gradients of its weight and input in float32, and a tile."""
    tile = min(tokens, TILE_TOKENS) * min(size.vocabulary, TILE_VOCABULARY) * BYTES[dtype]
    weight = size.vocabulary * size.hidden * (FLOAT32 + BYTES[dtype]) if trained else 0
    return tile + weight + tokens * size.hidden * (FLOAT32 + BYTES[dtype])


def cache_bytes(size: ModelSize, setting: Setting) -> float:
    """Keys and values of a step's completions, which are drawn as one batch, and the logits of their last tokens."""
    sequences = setting.rollouts / setting.devices
    # Logits as the model gives them, in float32, and as probabilities.
    logits = size.vocabulary * (BYTES[setting.dtype] + 2 * FLOAT32)
    return sequences * ((setting.prompt_tokens + setting.new_tokens) * size.cache_bytes(setting.dtype) + logits)
