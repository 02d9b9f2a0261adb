"""What a configured figure shows: its data sets, arms, objectives and k, and the files that it is drawn from."""

from dataclasses import dataclass

from soar_pipeline.config import ArmConfig, Config, FigureConfig, Plan, SoarRun

# What each kind of figure reads: a long table, curves of fresh students, or files of SOAR runs: their steps, questions,
# verdicts on these, and how diverse they were.
READS = {
    "learning_curves": ("curves", "passk"),
    "seed_curves": ("curves", "passk"),
    "improvement": ("passk",),
    "bars": ("passk",),
    "sweep": ("passk",),
    "teacher_reward": ("steps",),
    "teacher_overview": ("steps", "promoted", "questions", "verdicts"),
    "question_composition": ("steps", "questions", "verdicts"),
    "baseline_accuracy": ("steps", "promoted"),
    "question_difficulty": ("questions",),
    "question_evolution": ("steps", "questions", "verdicts"),
    "diversity": ("step_diversity", "vendi"),
}


@dataclass(frozen=True)
class Selection:
    """The figure called `name`; what its configuration leaves open is chosen from what the run has."""

    config: Config
    name: str

    @property
    def figure(self) -> FigureConfig:
        return self.config.figures[self.name]

    @property
    def about_students(self) -> bool:
        """Whether it shows arms; the others show SOAR runs."""
        return bool({"curves", "passk"} & set(READS[self.figure.kind]))

    @property
    def datasets(self) -> list[str]:
        """As named, else those that have anything to show, else all."""
        if self.figure.datasets is not None:
            return list(self.figure.datasets)
        if self.about_students or self.figure.kind == "diversity":
            datasets = [name for name in self.config.datasets if self._chosen_on(name)]
        else:
            datasets = list(dict.fromkeys(run[0] for run in Plan(self.config).soar_runs if self._wanted(run[1])))
        return datasets or list(self.config.datasets)

    @property
    def arms(self) -> dict[str, ArmConfig]:
        """Of all its data sets, in the order of the legend."""
        on_any = {name for dataset in self.datasets for name in self._chosen_on(dataset)}
        wanted = self.config.arms if self.figure.arms is None else self.figure.arms
        return {name: self.config.arms[name] for name in wanted if name in on_any}

    def arms_on(self, dataset: str) -> dict[str, ArmConfig]:
        """In the order of the legend."""
        on = self._chosen_on(dataset)
        return {name: arm for name, arm in self.arms.items() if name in on}

    @property
    def objectives(self) -> list[str]:
        """As named, else those that its data sets have SOAR runs of, else all."""
        if self.figure.objectives is not None:
            return list(self.figure.objectives)
        datasets = self.datasets
        run = {objective for dataset, objective, _ in Plan(self.config).soar_runs if dataset in datasets}
        objectives = [name for name in self.config.objectives if name in run] or list(self.config.objectives)
        return self._side_by_side(objectives) if self.figure.kind == "teacher_overview" else objectives

    @property
    def soar_runs(self) -> list[SoarRun]:
        datasets, objectives = self.datasets, self.objectives
        return [run for run in Plan(self.config).soar_runs if run[0] in datasets and run[1] in objectives]

    @property
    def ks(self) -> list[int]:
        ks = self.config.pass_at_k
        if self.figure.k is not None:
            return list(self.figure.k)
        if self.figure.kind == "improvement":
            return list(ks)
        return sorted({ks[0], ks[-1]}) if self.figure.kind == "learning_curves" else [ks[-1]]

    @property
    def trained_arms(self) -> dict[str, ArmConfig]:
        """The arms that have learning curves; per-seed curves stand against those of the baseline arm."""
        arms = self.arms
        if self.figure.kind == "seed_curves":
            baseline = self.config.report.baseline_arm
            arms = {baseline: self.config.arms[baseline], **arms}
        return {name: arm for name, arm in arms.items() if arm.policy in ("fresh_student", "serl")}

    def _chosen_on(self, dataset: str) -> list[str]:
        figure, arms = self.figure, self.config.arms_on(dataset)
        chosen = [name for name in arms if figure.arms is None or name in figure.arms]
        if figure.kind == "diversity":
            return [name for name in chosen if arms[name].questions is not None]
        if figure.against is not None:
            return [name for name in chosen if self.config.has_swept(name, figure.against)]
        return chosen

    def _side_by_side(self, objectives: list[str]) -> list[str]:
        """The first grounded one beside the first that rewards learnability, or else something other; else two."""
        grounded = [name for name in objectives if self.config.objectives[name].reward == "grounded"]
        others = sorted(
            (name for name in objectives if name not in grounded),
            key=lambda name: self.config.objectives[name].reward != "learnability",
        )
        return [*grounded[:1], *others[:1]] if grounded and others else objectives[:2]

    def _wanted(self, objective: str) -> bool:
        return self.figure.objectives is None or objective in self.figure.objectives
