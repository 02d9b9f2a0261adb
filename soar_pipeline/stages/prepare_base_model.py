"""The base model as a local folder of safetensors: teacher and student both start as it."""

from pathlib import Path

from soar_pipeline.models.sources import write_base_model
from soar_pipeline.slices import BaseModelSlice
from soar_pipeline.stages.command import run_stage


def prepare_base_model(config: BaseModelSlice, base_model: Path) -> None:
    """Copy, download, convert or pretrain the model of the configuration."""
    write_base_model(config.model, config.seed, base_model)


if __name__ == "__main__":
    run_stage(prepare_base_model)
