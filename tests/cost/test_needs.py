"""What a run asks of a machine, by where its students train."""

from pathlib import Path

import pytest

from soar_pipeline.config import Plan, load, validate
from soar_pipeline.cost.assumptions import Options
from soar_pipeline.cost.machine import Machine
from soar_pipeline.cost.model_size import BYTES
from soar_pipeline.cost.needs import PROCESS_BYTES, soar_run_memory, trainings


def laid_out(config: Path, **resources: int) -> Machine:
    """A shipped configuration with these resources of a SOAR run."""
    values = load(config).model_dump()
    return Machine(validate(values | {"resources": {"train_soar": resources}}, "here"), config.parents[1], Options())


def test_a_worker_of_ray_is_a_process_beside_the_teacher_even_if_it_is_the_only_one(project: Path):
    smoke = project / "config" / "smoke.yaml"
    without, of_ray = laid_out(smoke), laid_out(smoke, ray_nodes=1)
    model = load(smoke).models["base"]
    # The teacher's process has one model to train and one to measure baselines with; the worker has its own.
    evaluator = of_ray.sizes["base"].parameters * BYTES[model.dtype]
    assert max(trainings(of_ray, 0)) - max(trainings(without, 0)) == pytest.approx(PROCESS_BYTES + evaluator)


def test_a_worker_of_ray_shares_the_only_gpu_with_the_teacher(project: Path):
    def machine(**resources: int) -> Machine:
        return laid_out(project / "config" / "single_gpu.yaml", threads=8, **resources)

    def students(of: Machine) -> float:
        return soar_run_memory(of, Plan(of.config).soar_runs[0], 80e9)["students"]

    shared, apart = machine(gpu=1, ray_nodes=1), machine(gpu=2, ray_nodes=1)
    assert (shared.teacher_shares, apart.teacher_shares, machine(gpu=1).teacher_shares) == (True, False, False)
    # Two workers without Ray are one more beside the same teacher.
    assert students(shared) + students(apart) == pytest.approx(students(machine(gpu=1, workers=2)))
