"""Diversity (docs/method.md §8): Vendi scores of questions, and distances of each outer step's completions."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from soar_pipeline.artifacts.files import Artifacts, read_parquet
from soar_pipeline.artifacts.provenance import read_run
from soar_pipeline.artifacts.schemas import DIVERSITY, QUESTION_SET, SOAR_QUESTIONS, STEP_DIVERSITY
from soar_pipeline.config import QuestionSet, Settings
from soar_pipeline.evaluation.vendi import embed, mean_pairwise_distance, vendi_bootstrap
from soar_pipeline.runtime import Progress, derive
from soar_pipeline.stages.command import Inputs, Output, run_stage


def measure_diversity(
    settings: Settings,
    artifacts: Artifacts,
    questions: Inputs,
    soar_questions: Inputs,
    diversity: Output,
    steps: Output,
) -> None:
    """Write Vendi scores to `diversity`, distances to `steps`.

    diversity: one row per question set, and one per arm for all its sets together; fewer than two questions have no
    score. steps: one row per outer step of each SOAR run.
    """
    artifacts.write(steps, [row for path in soar_questions for row in _steps(settings, path)], STEP_DIVERSITY)
    texts = {
        QuestionSet(**read_run(path)): read_parquet(path, QUESTION_SET)["question"].to_pylist() for path in questions
    }
    arms: dict[QuestionSet, list[QuestionSet]] = {}
    for one in texts:
        arms.setdefault(one._replace(teacher_seed=0), []).append(one)
    progress, rows = Progress("diversity", len(arms)), []
    for arm, sets in arms.items():
        vectors = _embedded([text for one in sets for text in texts[one]], settings.diversity.embedder)
        ends = np.cumsum([len(texts[one]) for one in sets])
        rows += [
            {**one.columns(), "pooled": False, **_scores(settings, part, one)}
            for one, part in zip(sets, np.split(vectors, ends[:-1]), strict=True)
        ]
        # An arm with one set is that set, and has its draws.
        rows.append({**arm.columns(), "pooled": True, **_scores(settings, vectors, sets[0] if len(sets) == 1 else arm)})
        progress.advance()
    artifacts.write(diversity, rows, DIVERSITY)


def _steps(settings: Settings, path: Path) -> list[dict[str, Any]]:
    """The rows of one SOAR run's steps."""
    run, completions = read_run(path), defaultdict(list)
    for row in read_parquet(path, SOAR_QUESTIONS, ["outer_step", "completion"]).to_pylist():
        completions[row["outer_step"]].append(row["completion"])
    progress, rows = Progress(f"diversity of the steps of {path.parent}", len(completions)), []
    for step, texts in sorted(completions.items()):
        texts = texts[: settings.diversity.step_completions]
        distance = mean_pairwise_distance(embed(texts, settings.diversity.embedder))
        rows.append({**run, "outer_step": step, "completions": len(texts), "diversity": distance})
        progress.advance()
    return rows


def _embedded(texts: list[str], embedder: str) -> np.ndarray:
    return embed(texts, embedder) if texts else np.empty((0, 1))


def _scores(settings: Settings, vectors: np.ndarray, seed_of: QuestionSet) -> dict[str, float | int | None]:
    size, seed = settings.diversity.sample_size, derive(settings.seed, "vendi", *seed_of)
    mean, sd = vendi_bootstrap(vectors, sample_size=size, draws=settings.diversity.draws, seed=seed)
    return {"questions": len(vectors), "subsample": min(len(vectors), size), "vendi_mean": mean, "vendi_sd": sd}


if __name__ == "__main__":
    run_stage(measure_diversity)
