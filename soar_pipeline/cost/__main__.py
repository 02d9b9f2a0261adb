"""`python -m soar_pipeline.cost`: what a configuration costs before it runs (docs/cost.md)."""

import argparse
import json
import os
import sys
from pathlib import Path

from soar_pipeline.artifacts import ArtifactError
from soar_pipeline.config import Config, ConfigError, load
from soar_pipeline.cost.assumptions import Assumed, Assumptions
from soar_pipeline.cost.estimate import estimate
from soar_pipeline.cost.machine import Machine
from soar_pipeline.cost.model_size import model_size
from soar_pipeline.cost.speed import read_device, read_measured
from soar_pipeline.cost.stages import MODEL_RULES
from soar_pipeline.cost.text import as_text, as_values

PROJECT = Path(__file__).resolve().parents[2]
DEVICES = ("h100", "h200", "a100", "cpu")


def main(arguments: list[str] | None = None) -> int:
    """Print the estimate; 1, with one line on standard error, where the configuration or an option is wrong."""
    options = _parser().parse_args(arguments)
    try:
        machine = machine_of(options)
        result = estimate(machine)
        print(json.dumps(as_values(machine, result), indent=2) if options.json else as_text(machine, result))
    except (ConfigError, ArtifactError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def machine_of(options: argparse.Namespace) -> Machine:
    """The machine that the options describe, with the configuration it is asked to run."""
    config = load(options.configfile)
    measured = tuple(read_measured(path) for path in options.throughput)
    given = {name: value for name in Assumptions.model_fields if (value := getattr(options, name)) is not None}
    on_gpu = any(config.resources_of(rule).gpu for rule in MODEL_RULES)
    used = dict.fromkeys(dataset.model for dataset in config.datasets.values())
    device = read_device(options.device or ("h100" if on_gpu else "cpu"), PROJECT)
    kind = measured[0].kind if measured else device.kind
    gpus = _gpus(config, options.gpus) if kind == "gpu" else 1
    enough = gpus * max(config.resources_of(rule).threads for rule in MODEL_RULES)
    return Machine(
        config=config,
        project=PROJECT,
        assumed=Assumed.of(given, measured[0] if measured else None),
        device=device,
        measured=measured,
        engine=options.engine or config.generation.engine,
        gpus=gpus,
        cores=options.cores or (enough if kind == "gpu" else os.cpu_count() or 1),
        sizes={name: model_size(config.models[name], name, PROJECT, options.parameters) for name in used},
    )


def _gpus(config: Config, asked: int | None) -> int:
    """GPUs of the machine: at least as many as its largest job holds; ConfigError where fewer are asked for."""
    held = {rule: config.resources_of(rule).gpu * max(1, config.resources_of(rule).ray_nodes) for rule in MODEL_RULES}
    largest = max(held, key=held.__getitem__)
    if asked is not None and asked < held[largest]:
        raise ConfigError(f"--gpus {asked}: a job of {largest} holds {held[largest]} (resources.{largest})")
    return asked or max(1, held[largest])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m soar_pipeline.cost", description=__doc__)
    parser.add_argument("--configfile", type=Path, default=PROJECT / "config" / "config.yaml")
    parser.add_argument(
        "--throughput", type=Path, action="append", default=[], metavar="FILE",
        help="measured by benchmarks/throughput.py; once per model",
    )  # fmt: skip
    parser.add_argument(
        "--device", choices=DEVICES, help="stated figures (default: h100 where a rule asks for GPUs, else cpu)"
    )
    parser.add_argument("--engine", choices=("transformers", "vllm"), help="(default: generation.engine)")
    parser.add_argument("--gpus", type=_positive(int), help="GPUs of the machine (default: those of the largest job)")
    parser.add_argument("--cores", type=_positive(int), help="CPU cores (default: as here; on GPUs, enough)")
    parser.add_argument("--parameters", type=_positive(float), help="parameters of a model whose size is not known")
    parser.add_argument("--json", action="store_true", help="plain values instead of a table")
    for name, field in Assumptions.model_fields.items():
        kind = int if field.annotation is int else float
        parser.add_argument("--" + name.replace("_", "-"), type=kind, help=field.description)
    return parser


def _positive(kind: type):
    def number(text: str):
        value = kind(text)
        if not 0 < value < 1e15:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    number.__name__ = kind.__name__
    return number


if __name__ == "__main__":
    sys.exit(main())
