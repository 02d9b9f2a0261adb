"""The base model of the toy task: a 0.3 M parameter Llama with one token per character.

It is pretrained by next-token prediction in phases (PHASES), each with a mixture of documents of its own
(:mod:`soar_pipeline.policy.toy_corpus`). The result is an ordinary Hugging Face folder (safetensors); everything after
this file treats it as any LLM.
"""

import logging
import math
import random
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers import models as tokenizer_models
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from soar_pipeline.policy.toy_corpus import MARKERS, Corpus, Document
from soar_pipeline.problems import digit_shuffles
from soar_pipeline.runtime import Progress

log = logging.getLogger(__name__)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token per digit, step label, operation, unsaid step and marker; anything else is ``<unk>``."""
    operations = [*digit_shuffles.OPERATIONS, digit_shuffles.UNSAID]
    characters = [*digit_shuffles.DIGITS, *digit_shuffles.STEP_LABELS, *operations]
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
class Phase:
    """A part of the pretraining with a mixture, an optimizer and a cosine schedule of its own."""

    corpus: Corpus
    # Of all steps of the pretraining.
    share: float
    learning_rate: float
    warmup_steps: int


# First the skill: without it first, the other mixtures were not seen to teach it within as many steps.
SKILL = Corpus(worked_share=0.35, student_share=0.33)
# Then the habits: what a teacher of this size asks, and that a student boxes its answer to a long problem at once.
HABITS = Corpus(
    worked_share=0.25,
    student_share=0.33,
    student_ambiguous=0.15,
    teacher_weights=(18, 18, 4, 4, 3, 2, 2, 2, 2, 2, 2, 2),
    teacher_ambiguous=0.38,
    teacher_wrong_answers=0.10,
)
RELUCTANCE = replace(
    HABITS,
    worked_share=0.45 * HABITS.worked_share,
    student_share=0.45 * HABITS.student_share,
    stepping_stone_share=0.15,
    first_token_share=0.4,
)
PHASES = (
    Phase(SKILL, share=0.65, learning_rate=2e-3, warmup_steps=60),
    Phase(HABITS, share=0.175, learning_rate=1e-3, warmup_steps=40),
    Phase(RELUCTANCE, share=0.175, learning_rate=6e-4, warmup_steps=40),
)
BATCH_SIZE = 96
WEIGHT_DECAY = 0.01
# Batches are cut from sorted pools of this many batches, so that little is padding.
BATCHES_PER_POOL = 16


def pretrain(steps: int, seed: int) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Train the base model from scratch; the same steps and seed give the same weights on the same machine.

    About a quarter of an hour on one CPU thread with the 4,000 steps of the configuration's default.
    """
    tokenizer = build_tokenizer()
    model = build_model(tokenizer, seed)
    rng = random.Random(seed)
    progress = Progress("pretrain base model", steps)
    for phase in PHASES:
        train_phase(model, tokenizer, phase, round(phase.share * steps), rng, progress)
    return model.eval(), tokenizer


def train_phase(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    phase: Phase,
    steps: int,
    rng: random.Random,
    progress: Progress,
) -> None:
    """Train the model further on the phase's documents."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=phase.learning_rate, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _warmup_cosine(step, phase.warmup_steps, steps)
    )
    model.train()
    pool: list[dict[str, torch.Tensor]] = []
    for _ in range(steps):
        if not pool:
            pool = _pool_of_batches(rng, tokenizer, phase.corpus)
        loss = model(**pool.pop()).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress.advance(loss=loss.item())


def _warmup_cosine(step: int, warmup_steps: int, steps: int) -> float:
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * done))


def _pool_of_batches(
    rng: random.Random, tokenizer: PreTrainedTokenizerFast, corpus: Corpus
) -> list[dict[str, torch.Tensor]]:
    documents = [corpus.document(rng) for _ in range(BATCH_SIZE * BATCHES_PER_POOL)]
    documents.sort(key=lambda document: len(document.prompt) + len(document.completion))
    batches = [_collate(documents[i : i + BATCH_SIZE], tokenizer) for i in range(0, len(documents), BATCH_SIZE)]
    rng.shuffle(batches)
    return batches


def _collate(documents: list[Document], tokenizer: PreTrainedTokenizerFast) -> dict[str, torch.Tensor]:
    prompts = tokenizer([document.prompt for document in documents])["input_ids"]
    completions = tokenizer([document.completion for document in documents])["input_ids"]
    ends = [[tokenizer.eos_token_id] if document.complete else [] for document in documents]
    rows = [prompt + completion + end for prompt, completion, end in zip(prompts, completions, ends, strict=True)]
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
