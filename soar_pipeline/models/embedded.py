"""The base model of the embedded world: a 0.3 M parameter Llama with one token per character.

It is pretrained by next-token prediction on three kinds of documents (mixture in :class:`Corpus`):

- worked examples, behind a prompt of their own: the number after each operation, then the boxed answer. They
  give the model the *latent* skill.
- student documents: step by step with a probability that falls steeply with difficulty, else a blurted box
  that is right only for easy problems. So the model can solve long problems but, asked as a student, does not.
- teacher documents: a question, its working and its answer in the teacher's tags; mostly trivial or hopeless
  questions, a share of wrong answers, a share of malformed ones.

The result is an ordinary Hugging Face folder (safetensors); everything after this file treats it as any LLM.
"""

import logging
import math
import random
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers import models as tokenizer_models
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from soar_pipeline.problems import digit_shuffles
from soar_pipeline.problems.digit_shuffles import Shuffle
from soar_pipeline.progress import Progress

log = logging.getLogger(__name__)

STUDENT_PROMPT, TEACHER_PROMPT, WORKED_PROMPT = "<student>", "<teacher>", "<worked>"
PROMPT_END = "<answer_here>"
MARKERS = [
    STUDENT_PROMPT, TEACHER_PROMPT, WORKED_PROMPT, PROMPT_END,
    "<question>", "</question>", "<answer>", "</answer>", "\\boxed{", "}",
]  # fmt: skip


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token per digit, step label, operation and marker; anything else is ``<unk>``."""
    characters = [*digit_shuffles.DIGITS, *digit_shuffles.STEP_LABELS, *digit_shuffles.OPERATIONS]
    vocabulary = ["<pad>", "<eos>", "<unk>", *MARKERS, *characters]
    tokenizer = Tokenizer(
        tokenizer_models.WordLevel({token: i for i, token in enumerate(vocabulary)}, unk_token="<unk>")
    )
    pattern = "|".join(token.replace("\\", r"\\").replace("{", r"\{").replace("}", r"\}") for token in MARKERS)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(f"{pattern}|[\\s\\S]"), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
        model_max_length=256,
    )


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A fresh model: 3 layers, width 96, 4 heads, tied embeddings."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    return model


@dataclass(frozen=True)
class Corpus:
    """The pretraining mixture: what the base model can do, and what it tries."""

    worked_share: float = 0.35
    student_share: float = 0.33
    # Probability that a student document shows its working, for difficulty 1, 2, …; the rest blurt an answer.
    # Nought from 7 on: asked for a long one, the base model practically never does what it can do.
    chain_share: tuple[float, ...] = (0.5, 0.5, 0.45, 0.3, 0.12, 0.02) + (0.0,) * 6
    # A blurted answer is right up to this difficulty, and a random permutation beyond it.
    blurt_limit: int = 2
    # Weight of each difficulty among the teacher's questions: trivial, some intermediate, many hopeless.
    teacher_weights: tuple[float, ...] = (15, 15, 12, 10, 9, 8, 6, 5, 5, 5, 5, 5)
    teacher_wrong_answers: float = 0.08
    teacher_malformed: float = 0.15

    def document(self, rng: random.Random) -> tuple[str, str]:
        """A random (prompt, completion) pair; the loss is taken on the completion."""
        kind = rng.random()
        if kind < self.worked_share:
            problem = digit_shuffles.sample(rng, rng.randint(1, digit_shuffles.MAX_DIFFICULTY))
            return WORKED_PROMPT + problem.question + PROMPT_END, problem.working + boxed(problem.answer)
        if kind < self.worked_share + self.student_share:
            problem = digit_shuffles.sample(rng, rng.randint(1, digit_shuffles.MAX_DIFFICULTY))
            return STUDENT_PROMPT + problem.question + PROMPT_END, self._student_completion(rng, problem)
        weights = self.teacher_weights
        problem = digit_shuffles.sample(rng, rng.choices(range(1, len(weights) + 1), weights)[0])
        return TEACHER_PROMPT, self._teacher_completion(rng, problem)

    def _student_completion(self, rng: random.Random, problem: Shuffle) -> str:
        if rng.random() < self.chain_share[problem.difficulty - 1]:
            return problem.working + boxed(problem.answer)
        easy = problem.difficulty <= self.blurt_limit
        return boxed(problem.answer if easy else permuted(rng, problem.start))

    def _teacher_completion(self, rng: random.Random, problem: Shuffle) -> str:
        wrong = rng.random() < self.teacher_wrong_answers
        working, answer = problem.working, problem.answer
        if wrong:  # the working goes astray too, so that answer and working agree
            working, answer = working[:-6], permuted(rng, problem.answer)
            working += answer
        parts = ["<question>", problem.question, "</question>", working, "<answer>", boxed(answer), "</answer>"]
        if rng.random() < self.teacher_malformed:
            del parts[rng.choice((0, 2, 4, 5, 6))]
        return "".join(parts)


def boxed(answer: str) -> str:
    return "\\boxed{" + answer + "}"


def permuted(rng: random.Random, number: str) -> str:
    return "".join(rng.sample(number, len(number)))


@dataclass(frozen=True)
class Pretraining:
    """How the base model is trained; about ten minutes on one CPU thread."""

    steps: int = 2600
    batch_size: int = 96
    learning_rate: float = 2e-3
    warmup_steps: int = 60
    weight_decay: float = 0.01
    # Batches are cut from sorted pools of this many batches, so that little is padding.
    batches_per_pool: int = 16
    seed: int = 0
    corpus: Corpus = field(default_factory=Corpus)


def pretrain(settings: Pretraining) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Train the base model from scratch; the same settings give the same weights on the same machine."""
    tokenizer = build_tokenizer()
    model = build_model(tokenizer, settings.seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _warmup_cosine(step, settings))
    rng = random.Random(settings.seed)
    progress = Progress("pretrain base model", settings.steps)
    model.train()
    pool: list[dict[str, torch.Tensor]] = []
    for _ in range(settings.steps):
        if not pool:
            pool = _pool_of_batches(rng, tokenizer, settings)
        loss = model(**pool.pop()).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress.advance(loss=loss.item())
    return model.eval(), tokenizer


def _warmup_cosine(step: int, settings: Pretraining) -> float:
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * done))


def _pool_of_batches(
    rng: random.Random, tokenizer: PreTrainedTokenizerFast, settings: Pretraining
) -> list[dict[str, torch.Tensor]]:
    size = settings.batch_size
    documents = [settings.corpus.document(rng) for _ in range(size * settings.batches_per_pool)]
    documents.sort(key=lambda document: len(document[0]) + len(document[1]))
    batches = [_collate(documents[i : i + size], tokenizer) for i in range(0, len(documents), size)]
    rng.shuffle(batches)
    return batches


def _collate(documents: list[tuple[str, str]], tokenizer: PreTrainedTokenizerFast) -> dict[str, torch.Tensor]:
    prompts = tokenizer([prompt for prompt, _ in documents])["input_ids"]
    completions = tokenizer([completion for _, completion in documents])["input_ids"]
    rows = [p + c + [tokenizer.eos_token_id] for p, c in zip(prompts, completions, strict=True)]
    width = max(map(len, rows))
    input_ids = torch.full((len(rows), width), tokenizer.pad_token_id)
    labels = torch.full((len(rows), width), -100)
    for i, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
        input_ids[i, : len(row)] = torch.tensor(row)
        labels[i, len(prompt) : len(row)] = torch.tensor(row[len(prompt) :])
    return {"input_ids": input_ids, "attention_mask": (input_ids != tokenizer.pad_token_id).long(), "labels": labels}


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write an ordinary Hugging Face model folder."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
