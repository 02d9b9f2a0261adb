"""The base model as a local folder of safetensors: teacher and student both start as it."""

from soar_pipeline.config import Model, Settings
from soar_pipeline.policy.base_models import write_base_model
from soar_pipeline.stages.command import Output, Sources, run_stage


def prepare_base_model(settings: Settings, run: Model, source: Sources, base_model: Output) -> None:
    """Copy, download, convert or pretrain the model; `source` is its folder, if it is copied."""
    write_base_model(settings.model, settings.seed, base_model, run.model)


if __name__ == "__main__":
    run_stage(prepare_base_model)
