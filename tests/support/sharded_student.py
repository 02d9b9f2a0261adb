"""The stage of a fresh student whose model is sharded, on a CPU (tests/rl/test_resume.py)."""

from typing import Any

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType

from soar_pipeline.stages.command import run_stage
from soar_pipeline.stages.train_fresh_student import train_fresh_student


def shard_on_cpu() -> None:
    """Let accelerate shard here: FSDP runs on gloo, but accelerate asks for it on GPUs only."""
    original = AcceleratorState.__init__

    def with_fsdp(self, *arguments: Any, fsdp_plugin: Any = None, **options: Any) -> None:
        original(self, *arguments, fsdp_plugin=fsdp_plugin, **options)
        if fsdp_plugin is not None:
            self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, fsdp_plugin
            PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    AcceleratorState.__init__ = with_fsdp


if __name__ == "__main__":
    shard_on_cpu()
    run_stage(train_fresh_student)
