"""Vendi score of every set of questions (spec section 8)."""

from pathlib import Path

from soar_pipeline import seeds
from soar_pipeline.artifact_paths import teacher_run
from soar_pipeline.artifacts import DIVERSITY, QUESTIONS, Provenance, read_parquet, table, write_parquet
from soar_pipeline.evaluation.vendi import embed, vendi_bootstrap
from soar_pipeline.progress import Progress
from soar_pipeline.slices import DiversitySlice
from soar_pipeline.stages.command import run_stage


def measure_diversity(config: DiversitySlice, questions: list[Path], diversity: Path) -> None:
    """One row per arm and teacher seed; sets of fewer than two questions have no score."""
    settings, rows = config.diversity, []
    progress = Progress("diversity", len(questions))
    for path in questions:
        run = teacher_run(path)
        texts = read_parquet(path, QUESTIONS)["question"].to_pylist()
        mean = sd = None
        if len(texts) > 1:
            seed = seeds.derive(config.seed, "vendi", *run)
            vectors = embed(texts, settings.embedder)
            mean, sd = vendi_bootstrap(vectors, sample_size=settings.sample_size, draws=settings.draws, seed=seed)
        rows.append(
            {
                "dataset": run.dataset,
                "arm": run.name,
                "teacher_seed": run.teacher_seed,
                "questions": len(texts),
                "subsample": min(len(texts), settings.sample_size),
                "vendi_mean": mean,
                "vendi_sd": sd,
            }
        )
        progress.advance()
    write_parquet(diversity, table(rows, DIVERSITY), Provenance("measure_diversity", config.model_dump(mode="json")))


if __name__ == "__main__":
    run_stage(measure_diversity)
