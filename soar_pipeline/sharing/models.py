"""The promoted students and trained teachers of a run as model folders with a card."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from soar_pipeline.artifacts.atomic import write_text
from soar_pipeline.artifacts.files import read_rows
from soar_pipeline.artifacts.schemas import PROMOTIONS, STEPS
from soar_pipeline.config import Config, SoarRun
from soar_pipeline.reporting.frames import rows
from soar_pipeline.reporting.long_tables import PASSK, read_table
from soar_pipeline.sharing.cards import PAPER, card, made_with, sources, table
from soar_pipeline.sharing.finished import FinishedRun

ROLES = {
    "student": "the promoted student: trained by RL on questions that its teacher wrote, and promoted for what it then "
    "solved of the hard training problems",
    "teacher": "the teacher: trained by RL to write questions from which students learn",
}


def export_models(run: FinishedRun, folder: Path, licence: str) -> list[Path]:
    """Write a folder for every promoted student and every teacher; a SOAR run without promotion has no student."""
    written = []
    for one in run.plan.soar_runs:
        promotions = read_rows(run.of_soar_run(one, "promotions.parquet"), PROMOTIONS)
        for role in ROLES:
            if role == "student" and not promotions:
                continue
            target = folder / f"{one.dataset}-{one.objective}-t{one.teacher_seed}-{role}"
            # Weights are private files in a run: what is shared is not.
            shutil.copytree(
                run.of_soar_run(one, role), target, ignore=shutil.ignore_patterns(".*"), copy_function=shutil.copyfile
            )
            write_text(target / "README.md", _card(run, one, role, len(promotions), licence))
            written.append(target)
    return written


def _card(run: FinishedRun, one: SoarRun, role: str, promotions: int, licence: str) -> str:
    record = run.provenance(run.of_soar_run(one, "steps.parquet"))
    recipe: dict[str, Any] = record["config"]
    head: dict[str, Any] = {"license": licence, "library_name": "transformers", "pipeline_tag": "text-generation"}
    if base := run.hub_id(one.dataset):
        head |= {"base_model": base, "base_model_relation": "finetune"}
    head["tags"] = ["soar", "reinforcement-learning", "rloo", role]
    steps = len(read_rows(run.of_soar_run(one, "steps.parquet"), STEPS))
    name = f"{run.name}: {role} of {one.dataset}, {one.objective}, teacher seed {one.teacher_seed}"
    return card(
        head,
        f"# {name}",
        f"This model is {ROLES[role]} (SOAR, arXiv 2601.18778). It started as `{run.base_model(one.dataset)}`. Its run "
        f"had {steps} outer steps and {promotions} promotions. It is a piece of research: what it writes may be wrong.",
        "## How to use it",
        _example(role, recipe),
        "## Results",
        _results(run, one, role),
        "## Recipe",
        f"The keys of the configuration that decide these weights (`soar_pipeline`, rule `train_soar`):\n\n"
        f"~~~yaml\n{yaml.safe_dump(recipe, sort_keys=True, allow_unicode=True)}~~~",
        f"{made_with(record['versions'])} Digests of what it was trained from: "
        + ", ".join(f"`{path}` {digest[:16]}" for path, digest in record["inputs"].items())
        + ".",
        sources(run.licences([one.dataset])),
        "## Citation",
        PAPER,
    )


def _example(role: str, recipe: dict[str, Any]) -> str:
    """Python that answers a question, or that writes one."""
    prompt, limit = recipe["prompts"][role], recipe["generation"][f"{role}_max_new_tokens"]
    asked = 'PROMPT.replace("{question}", "YOUR QUESTION")' if role == "student" else "PROMPT"
    template = bool(recipe["model"]["chat_template"])
    if template:
        asked = f'tokenizer.apply_chat_template([{{"role": "user", "content": {asked}}}], tokenize=False, '
        asked += "add_generation_prompt=True)"
    sampling = f"do_sample=True, temperature={recipe['generation']['temperature']}, max_new_tokens={limit}"
    return f"""~~~python
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPT = {prompt!r}

tokenizer = AutoTokenizer.from_pretrained("PATH OR NAME")
model = AutoModelForCausalLM.from_pretrained("PATH OR NAME")
prompt = {asked}
inputs = tokenizer(prompt, return_tensors="pt", add_special_tokens={not template})
output = model.generate(**inputs, {sampling})
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
~~~"""


def _results(run: FinishedRun, one: SoarRun, role: str) -> str:
    """pass@k of every arm on the data set, as in the report."""
    passk = read_table(run.table("passk"), PASSK)
    passk = passk[passk.dataset == one.dataset]
    shown = [
        (
            ("**{}**" if _uses(run.config, row.arm, one, role) else "{}").format(row.label),
            f"pass@{row.k}",
            _interval(row) if row.mean_percent is not None else row.status,
            row.teacher_seeds,
            row.student_runs,
        )
        for row in rows(passk[passk.k.isin([passk.k.min(), passk.k.max()])])
    ]
    return (
        f"On the hard test problems of `{one.dataset}`, none of which the base model solved when they were chosen. In "
        "brackets: 95 % intervals over the runs of an arm. Bold: arms of this model, or of its questions.\n\n"
        + table(("arm", "metric", "solved", "teachers", "students"), shown)
    )


def _interval(row: Any) -> str:
    if row.interval_low_percent is None:
        return f"{row.mean_percent:.1f} %"
    return f"{row.mean_percent:.1f} % ({row.interval_low_percent:.1f} to {row.interval_high_percent:.1f})"


def _uses(config: Config, name: str, one: SoarRun, role: str) -> bool:
    """Whether an arm is of this model: the promoted student itself, or what a teacher wrote or answered."""
    arm = config.arms[name]
    if arm.soar_objective != one.objective:
        return False
    student = arm.policy == "promoted_student"
    return student if role == "student" else not student
