"""A student step at real size, with random weights: nothing is downloaded, nothing is learned, every part is paid for.

    python benchmarks/gpu_student_step.py --device h200

Builds a model of a known shape (`resources/model_sizes.yaml`, or a config.json), trains it for a few RLOO steps with
the trainer of the pipeline, and prints where a step's time goes, tokens per second, the share of the device's peak,
peak memory, and the GPU-hours that the students of a SOAR run would take beside the paper's 1536 to 1920. Random
weights practically never end a completion: the longest step there is.
"""

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import yaml
from savings import PAPER_SOAR_GPU_HOURS
from student_step import ON_GPU, Clock, StepParts
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from soar_pipeline.config import GenerationConfig as Generation
from soar_pipeline.config import Prompts, SoarConfig, StudentConfig
from soar_pipeline.cost.speed import Device, read
from soar_pipeline.grading.grader import Grader
from soar_pipeline.policy.loading import Policy, load_policy
from soar_pipeline.policy.open_policy import OpenPolicy
from soar_pipeline.policy.weights import copy_weights
from soar_pipeline.questions import Question
from soar_pipeline.rl.schedules import constant_schedule
from soar_pipeline.rl.student import StudentTrainer
from soar_pipeline.runtime import set_up_process

PROJECT = Path(__file__).resolve().parent.parent


def random_policy(shape: dict, dtype: str, folder: Path) -> Policy:
    """A Llama of the shape with random weights; its tokens are the words t3, t4, …"""
    special = ("<eos>", "<pad>", "<unk>")
    words = {word: i for i, word in enumerate([*special, *(f"t{i}" for i in range(3, shape["vocab_size"]))])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )
    known = LlamaConfig().to_dict().keys()
    config = LlamaConfig(**{name: value for name, value in shape.items() if name in known})
    config.max_position_embeddings, config.eos_token_id, config.pad_token_id = 8192, 0, 1
    config.bos_token_id = None
    torch.manual_seed(0)
    with torch.device("cuda" if ON_GPU else "cpu"):
        torch.set_default_dtype(getattr(torch, dtype))
        model = LlamaForCausalLM(config)
        torch.set_default_dtype(torch.float32)
    model.generation_config = GenerationConfig(eos_token_id=0, pad_token_id=1)
    # The trainer makes its reference model from a folder.
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_policy(folder, dtype, trained=True)


def shape_of(name: str) -> dict:
    """A row of the table of model sizes, or a config.json."""
    if name.endswith(".json"):
        return json.loads(Path(name).read_text(encoding="utf-8"))
    table = yaml.safe_load((PROJECT / "resources" / "model_sizes.yaml").read_text(encoding="utf-8"))
    if name not in table:
        raise SystemExit(f"--shape {name}: give a config.json or one of {', '.join(table)}")
    return table[name]


def measure(options: argparse.Namespace, folder: Path) -> dict:
    """Seconds per step by part, and what follows from them."""
    policy = random_policy(shape_of(options.shape), options.dtype, folder)
    student = StudentConfig(
        batch_size=options.questions,
        group_size=options.group_size,
        micro_batch_size=options.micro_batch_size,
        gradient_checkpointing=options.gradient_checkpointing,
        pass_tokens=options.pass_tokens,
        offload_moments=options.offload_moments,
    )
    generation = Generation(
        engine=options.engine, student_max_new_tokens=options.new_tokens, vllm_stays_awake=options.stays_awake
    )
    words = random.Random(0).choices(range(3, len(policy.tokenizer)), k=options.prompt_tokens)
    prompts = Prompts(student="{question}", teacher="t3")
    question = Question("random", " ".join(f"t{word}" for word in words), "1")
    clock = Clock()
    with Grader() as grader:
        trainer = StudentTrainer(OpenPolicy.around(policy, prompts, generation, grader), student)
        base = copy_weights(policy.model)

        def steps(number: int) -> None:
            trainer.train(constant_schedule([question], number, options.questions, seed=0), seed=0, reference=base)

        steps(1)  # allocators and kernels warm up
        parts = StepParts(trainer.trainer, clock)
        if ON_GPU:
            torch.cuda.reset_peak_memory_stats()
        steps(options.steps)
    parameters = sum(parameter.numel() for parameter in policy.model.parameters())
    seconds = {name: clock.seconds[name] / options.steps for name in parts.NAMES}
    step = sum(seconds.values())
    rollouts = options.questions * options.group_size
    training = seconds["log-probabilities"] + seconds["backward"]
    flops = 2 * parameters * (parts.forward_positions + 2 * parts.trained_positions) / options.steps
    soar = SoarConfig()
    students = soar.outer_steps * soar.datasets_per_step * soar.repeats
    inner_steps = (soar.inner_steps, soar.inner_steps_after_promotion)
    result = {
        "device": torch.cuda.get_device_name() if ON_GPU else f"CPU, {torch.get_num_threads()} thread(s)",
        "torch": str(torch.__version__),
        "shape": options.shape,
        "parameters": parameters,
        "rollouts": rollouts,
        "new_tokens": options.new_tokens,
        "engine": options.engine,
        "seconds": seconds,
        "step_seconds": step,
        "generated_tokens_per_second": rollouts * options.new_tokens / seconds["generation"],
        "trained_tokens_per_second": rollouts * options.new_tokens / training,
        "training_flops_per_second": flops / training,
        "peak_memory_gb": torch.cuda.max_memory_allocated() / 1e9 if ON_GPU else None,
        "soar_run_gpu_hours": [students * number * step / 3600 for number in inner_steps],
    }
    if options.device:
        device = read(PROJECT / "resources" / "throughput" / f"{options.device}.yaml", Device)
        peak = device[f"peak_flops.{options.dtype}"]
        result["training_mfu"] = flops / training / peak
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="meta-llama/Llama-3.2-3B-Instruct", help="known name, or a config.json")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--engine", choices=("transformers", "vllm"), default="transformers")
    parser.add_argument("--questions", type=int, default=8, help="questions per step (default: 8)")
    parser.add_argument("--group-size", type=int, default=32, help="completions per question (default: 32)")
    parser.add_argument("--prompt-tokens", type=int, default=128, help="(default: 128)")
    parser.add_argument("--new-tokens", type=int, default=1024, help="(default: 1024)")
    parser.add_argument("--micro-batch-size", type=int, default=None, help="sequences per pass (default: all)")
    parser.add_argument("--pass-tokens", type=int, default=None, help="tokens of a part of them (default: all)")
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("--offload-moments", action="store_true")
    parser.add_argument("--stays-awake", action="store_true", help="vLLM keeps its memory while the model trains")
    parser.add_argument("--steps", type=int, default=2, help="measured steps, after one to warm up (default: 2)")
    parser.add_argument("--device", help="a file of resources/throughput, for the share of the device's peak")
    options = parser.parse_args()
    set_up_process()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options, Path(folder))
    print(yaml.safe_dump(result, sort_keys=False))
    hours, papers = ("{:.4g} to {:.4g}".format(*span) for span in (result["soar_run_gpu_hours"], PAPER_SOAR_GPU_HOURS))
    print(f"The students of a SOAR run: {hours} GPU-hours on this device; the paper: {papers}, whole runs.")


if __name__ == "__main__":
    main()
