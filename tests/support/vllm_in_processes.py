"""One of several processes that train together, each with a vLLM of its own: completes prompts, after a push.

… vllm_in_processes.py BASE_MODEL FOLDER
"""

import json
import sys
from pathlib import Path

import torch

from soar_pipeline.config import GenerationConfig
from soar_pipeline.policy.engines import generator_of
from soar_pipeline.policy.loading import load_policy
from soar_pipeline.rl.distributed import init_distributed, processes

PROMPTS = [f"<student>{number}aLbV<answer_here>" for number in (482917, 123456, 987654)]


def main(base_model: Path, folder: Path) -> None:
    init_distributed()
    policy, index = load_policy(base_model, "float32"), processes().process_index
    generation = GenerationConfig(engine="vllm", batch_size=8)
    generator = generator_of(policy, generation)
    # Other weights in each process: the engines must not mix them up.
    with torch.no_grad():
        policy.model.lm_head.weight.mul_(1 + index / 10)
    found = [completion.text for completion in generator.greedy(PROMPTS, max_new_tokens=20)]
    expected = generator_of(policy, GenerationConfig(batch_size=8)).greedy(PROMPTS, max_new_tokens=20)
    same = found == [completion.text for completion in expected]
    (folder / f"{index}.json").write_text(json.dumps([same, found]), encoding="utf-8")
    processes().wait_for_everyone()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
