"""What a run showed, said in sentences that are computed from its tables and never claim more than they hold."""

from soar_pipeline.config import Config
from soar_pipeline.reporting.tables import PasskRow, SizeRow, SoarRunRow


def finding(config: Config, dataset: str, passk: list[PasskRow], sizes: list[SizeRow], runs: list[SoarRunRow]) -> str:
    """A few sentences about a dataset: headline arms against the baseline at the largest k."""
    rows = _rows_at_largest_k(config, dataset, passk)
    headlines = [rows[name] for name in config.report.headline_arms if name in rows]
    baseline = rows.get(config.report.baseline_arm)
    base = _base_model(config, rows)
    references = [row for row in (baseline, base) if row is not None]
    soar = [run for run in runs if run.dataset == dataset and config.objectives[run.objective].promotion]
    promotions = sum(run.promotions for run in soar)
    test = next(row.test for row in sizes if row.dataset == dataset)
    count = min(test, config.evaluation.test_limit or test)
    place = f"On {counted(count, f'hard {dataset} test problem')}, pass@{config.pass_at_k[-1]} is"

    sentences = []
    if soar and promotions == 0:
        sentences.append(
            f"No promotion in {counted(len(soar), 'SOAR run')} on {dataset}: this run shows no SOAR effect."
        )
        if not any(run.steps_with_signal for run in soar):
            sentences.append("No outer step had a reward that differed between datasets.")
    elif not headlines:
        sentences.append(f"No headline arm was evaluated on {dataset}: this run shows no SOAR effect.")
    if headlines:
        against = f", against {_listed([_solved(row) for row in references])}" if references else ""
        ours = _listed([_solved(row) for row in headlines])
        made = f"; {counted(promotions, 'promotion')} in {counted(len(soar), 'SOAR run')}" if soar else ""
        sentences.append(f"{place} {ours}{against}{made}.")
        if baseline:
            sentences += comparisons(headlines, baseline)
    elif references:
        sentences.append(f"{place} {_listed([_solved(row) for row in references])}.")
    return " ".join(sentences)


def comparisons(rows: list[PasskRow], baseline: PasskRow) -> list[str]:
    """How the 95 % intervals of arms lie to the baseline's, one sentence per relation that occurs."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(_relation(row, baseline), []).append(row.label)
    return [
        f"{_listed(labels)}: {relation.format(baseline=baseline.label)}." for relation, labels in sorted(groups.items())
    ]


def _relation(row: PasskRow, baseline: PasskRow) -> str:
    if row.interval_low_percent is None or baseline.interval_low_percent is None:
        return "too few seeds for an interval, so no claim about the difference to {baseline}"
    if row.interval_low_percent > baseline.interval_high_percent:
        return "95 % interval above that of {baseline}, without overlap"
    if row.interval_high_percent < baseline.interval_low_percent:
        return "95 % interval below that of {baseline}, without overlap"
    return "95 % interval overlaps that of {baseline}, so no difference is shown"


def notes(config: Config, passk: list[PasskRow], runs: list[SoarRunRow]) -> list[str]:
    """What a reader must know before believing the figures."""
    silent = [run for run in runs if run.steps_with_signal == 0]
    unpromoted = [run for run in runs if run.promotions == 0 and config.objectives[run.objective].promotion]
    lines = _about_runs(silent, "no outer step had a reward that differed between datasets, so there was no signal")
    lines += _about_runs(unpromoted, "no promotion")
    for dataset in config.datasets:
        rows = _rows_at_largest_k(config, dataset, passk)
        for row in rows.values():
            if row.status:
                lines.append(f"{dataset}, {row.label}: {row.status}; its figures are of the other runs only.")
        hard_only, base = rows.get(config.report.baseline_arm), _base_model(config, rows)
        if hard_only and base:
            gain = hard_only.mean_percent - base.mean_percent
            side = "above" if gain >= 0 else "below"
            lines.append(
                f"{dataset}: {hard_only.label} is {abs(gain):.1f} points {side} {base.label} at pass@{base.k}: "
                + _relation(hard_only, base).format(baseline=base.label)
                + "."
            )
        lone = [row.label for row in rows.values() if row.teacher_seeds == 1]
        if lone:
            lines.append(
                f"{dataset}: one teacher seed for {_listed(lone)}; the intervals cover students, not another teacher."
            )
    if config.filter.keep_all:
        lines.append("The filter's verdict was switched off (filter.keep_all): the problems are not all hard ones.")
    lines.append("Intervals are over seeds, on one fixed set of test problems.")
    return lines


def _about_runs(runs: list[SoarRunRow], what: str) -> list[str]:
    seeds: dict[str, list[str]] = {}
    for run in runs:
        seeds.setdefault(f"{run.dataset}, {run.objective}", []).append(str(run.teacher_seed))
    noun = "teacher seed"
    return [f"{where}, {noun if len(of) == 1 else noun + 's'} {_listed(of)}: {what}." for where, of in seeds.items()]


def seeds_of(row: PasskRow) -> str:
    """How many seeds a row rests on: `2 teacher × 3 student seeds`, `3 seeds` for arms without a teacher."""
    if not row.teacher_seeds:
        return counted(row.student_runs, "seed")
    students, rest = divmod(row.student_runs, row.teacher_seeds)
    if rest:
        return f"{counted(row.student_runs, 'student')} of {counted(row.teacher_seeds, 'teacher')}"
    return f"{row.teacher_seeds} teacher × {students} student seeds"


def _solved(row: PasskRow) -> str:
    details = seeds_of(row)
    if row.interval_low_percent is not None:
        # Equal seeds make an interval of no width, which would look like certainty.
        same = row.interval_low_percent == row.interval_high_percent
        interval = f"{row.interval_low_percent:.1f}–{row.interval_high_percent:.1f}"
        details = f"the same in {details}" if same else f"95 % interval {interval}, {details}"
    return f"{row.mean_percent:.1f} % for {row.label} ({details})"


def _rows_at_largest_k(config: Config, dataset: str, passk: list[PasskRow]) -> dict[str, PasskRow]:
    """By arm, those that have figures."""
    k = config.pass_at_k[-1]
    return {row.arm: row for row in passk if (row.dataset, row.k) == (dataset, k) and row.mean_percent is not None}


def _base_model(config: Config, rows: dict[str, PasskRow]) -> PasskRow | None:
    bases = [row for name, row in rows.items() if config.arms[name].policy == "base"]
    return next((row for row in bases if row.arm != config.report.baseline_arm), None)


def counted(count: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + f" and {items[-1]}"
