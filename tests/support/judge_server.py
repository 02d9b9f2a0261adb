"""A real HTTP server that stands for a judge's endpoint, and the files that a judging stage reads and writes."""

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from soar_pipeline.artifacts.files import read_rows, table, write_parquet
from soar_pipeline.artifacts.provenance import Provenance
from soar_pipeline.artifacts.schemas import QUESTION_SET, TAXONOMY
from soar_pipeline.config import DatasetGrading, GenerationConfig, QuestionSet, Settings
from soar_pipeline.stages.command import call_stage
from soar_pipeline.stages.judge_questions import judge_questions

ROOT = Path(__file__).parent.parent.parent
PROMPT = (ROOT / "resources" / "prompts" / "judge.txt").read_text(encoding="utf-8")
RUN = QuestionSet("shuffles", "soar_pq", 1)
_QUESTION = re.compile(r"Problem:\n(.*)\n\nStated answer:\n", re.DOTALL)


def verdict(error_type: str = "none", **changes: Any) -> dict[str, Any]:
    """A consistent verdict as a model would write it, then changed."""
    well_posed = error_type not in ("ill_posed", "ambiguous")
    said = {
        "working": "3 and 4 make 7",
        "well_posed": well_posed,
        "correct": error_type == "none",
        "error_type": error_type,
        "correct_answer": "7" if well_posed else None,
    }
    return said | changes


def completion(content: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    } | changes


@dataclass
class Answer:
    """What the server sends: after `delay` seconds, and with `drip` one byte per so many seconds."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    delay: float = 0
    drip: float = 0


def says(content: str | dict[str, Any], **changes: Any) -> Answer:
    """A chat completion with this text (a dict: as JSON)."""
    text = json.dumps(content) if isinstance(content, dict) else content
    return Answer(json.dumps(completion(text)).encode(), **changes)


@dataclass
class Asked:
    """One request as the server saw it."""

    question: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float
    path: str


class JudgeServer:
    """Answers each request by `answer(question, times)`: how often this question has been asked, from 1."""

    def __init__(self, answer: Callable[[str, int], Answer]):
        self.answer, self.asked, self.sent = answer, [], []
        self.most_in_flight = self._in_flight = 0
        self._lock, self._closing = threading.Lock(), threading.Event()
        judge = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                judge._serve(self)

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def questions(self) -> list[str]:
        return [asked.question for asked in self.asked]

    def __enter__(self) -> "JudgeServer":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers.get("Content-Length", 0))) or b"{}")
        prompt = body["messages"][0]["content"] if body else ""
        found = _QUESTION.search(prompt)
        question = found[1] if found else prompt
        with self._lock:
            self.asked.append(Asked(question, dict(handler.headers), body, time.monotonic(), handler.path))
            times = self.questions.count(question)
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            self._send(handler, self.answer(question, times))
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True
        finally:
            with self._lock:
                self._in_flight -= 1

    def _send(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        self._closing.wait(answer.delay)
        handler.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        size = 1 if answer.drip else 1 << 16
        sent = 0
        for start in range(0, len(answer.body), size):
            handler.wfile.write(answer.body[start : start + size])
            sent += size
            self.sent.append(size)
            self._closing.wait(answer.drip)


@dataclass
class Judging:
    """One question file of arm `soar_pq`, teacher seed 1, and the stage that judges it."""

    folder: Path
    judge: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    concurrency: int = 4
    policy: list[Path] = field(default_factory=list)

    @property
    def questions(self) -> Path:
        return self.folder / "pool/questions/soar_pq/t1.parquet"

    @property
    def taxonomy(self) -> Path:
        return self.folder / "pool/taxonomy/soar_pq/t1.parquet"

    @property
    def cache(self) -> Path:
        return self.taxonomy.parent / "cache"

    @property
    def values(self) -> dict[str, Any]:
        """The job's settings, as JSON."""
        given = {
            "prompt": PROMPT,
            "attempts": 3,
            "questions_per_file": None,
            "model": None,
            "grading": {},
        } | self.settings
        verdicts = {"attempts": given["attempts"], "questions_per_file": given["questions_per_file"]}
        values = {
            "seed": 0,
            "taxonomy": {"judge": self.judge, "concurrency": self.concurrency, **verdicts},
            "judge_prompt": given["prompt"],
            "judge_model": given["model"],
            "generation": GenerationConfig(batch_size=4).model_dump(mode="json"),
            "grading": DatasetGrading(**given["grading"]).model_dump(mode="json"),
        }
        # With every key of each section, as the workflow writes them.
        return Settings.model_validate(values).model_dump(mode="json", include=set(values))

    def write(self, *cases: tuple[str, str]) -> None:
        rows = [
            {
                "question_id": f"q{i}",
                "outer_step": 1,
                "dataset_index": 0,
                "question": question,
                "answer": answer,
                "completion": "",
                "dataset_reward": None,
                "rejected_before": 0,
            }
            for i, (question, answer) in enumerate(cases)
        ]
        write_parquet(self.questions, table(rows, QUESTION_SET, **RUN.columns()), Provenance("made", {}))

    def run(self) -> list[dict[str, Any]]:
        call_stage(
            judge_questions,
            Settings.holding(self.values, {}),
            RUN,
            questions=self.questions,
            policy=self.policy,
            taxonomy=self.taxonomy,
        )
        return read_rows(self.taxonomy, TAXONOMY)

    def command(self) -> list[str]:
        """The same as a command line, behind the interpreter."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, values in (("settings", self.values), ("speed", {})):
            (self.folder / f"{name}.json").write_text(json.dumps(values), encoding="utf-8")
        return [
            *("-m", "soar_pipeline.stages.judge_questions", "--settings", str(self.folder / "settings.json")),
            *("--speed", str(self.folder / "speed.json"), "--log", str(self.folder / "stage.log")),
            *("--dataset", RUN.dataset, "--arm", RUN.arm, "--teacher-seed", str(RUN.teacher_seed)),
            *("--questions", str(self.questions), "--policy", "--taxonomy", str(self.taxonomy)),
        ]

    def replies_kept(self) -> int:
        return len(list(self.cache.glob("*.json")))
