"""The judge behind an endpoint, against a real HTTP server: good replies and every kind of bad one."""

import gzip
import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from forks import run_python
from judge_server import PROMPT, Answer, JudgeServer, Judging, completion, says, verdict

from soar_pipeline.artifacts.files import read_rows
from soar_pipeline.artifacts.provenance import digest, read_provenance
from soar_pipeline.artifacts.schemas import TAXONOMY
from soar_pipeline.config import ConfigError
from soar_pipeline.evaluation.judges.endpoint import EndpointError, _retry_after

KEY = "sk-Planted-0123456789ABCdef"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The key that configurations here name, and no proxy between us and our own server."""
    monkeypatch.setenv("JUDGE_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def judging(folder: Path, server: JudgeServer, **judge: object) -> Judging:
    quick = {"timeout_seconds": 5, "backoff_seconds": 0.01, "retries": 3}
    values = {"kind": "endpoint", "base_url": server.url, "model": "judge-1", "api_key_variable": "JUDGE_KEY"}
    return Judging(folder, values | quick | judge)


def cases(count: int) -> list[tuple[str, str]]:
    return [(f"What is 3 + 4, number {i}?", "7") for i in range(count)]


def test_good_replies_become_rows_in_the_order_of_the_questions(tmp_path):
    kinds = ["none", "arithmetic", "logical_fallacy", "ill_posed", "ambiguous"]
    with JudgeServer(lambda question, _: says(verdict(kinds[int(question[-2])]))) as server:
        run = judging(tmp_path, server)
        run.write(*cases(5))
        rows = run.run()
    assert [row["question_id"] for row in rows] == ["q0", "q1", "q2", "q3", "q4"]
    assert [row["error_type"] for row in rows] == kinds
    assert [row["well_posed"] for row in rows] == [True, True, True, False, False]
    assert [row["correct"] for row in rows] == [True, False, False, False, False]
    assert [row["correct_answer"] for row in rows] == ["7", "7", "7", None, None]
    assert {(row["dataset"], row["arm"], row["teacher_seed"]) for row in rows} == {("shuffles", "soar_pq", 1)}
    assert {(row["attempts"], row["reason"], row["prompt_tokens"], row["completion_tokens"]) for row in rows} == {
        (1, None, 100, 20)
    }


def test_request_is_that_of_a_chat_completion(tmp_path):
    with JudgeServer(lambda *_: says(verdict())) as server:
        run = judging(tmp_path, server, parameters={"temperature": 0.5, "response_format": {"type": "json_object"}})
        run.write(*cases(1))
        run.run()
    [asked] = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.body["model"] == "judge-1"
    assert (asked.body["temperature"], asked.body["response_format"]) == (0.5, {"type": "json_object"})
    [message] = asked.body["messages"]
    assert message["role"] == "user"
    assert "Stated answer:\n7\nEND OF CASE" in message["content"]


def test_no_key_is_sent_where_none_is_named(tmp_path):
    with JudgeServer(lambda *_: says(verdict())) as server:
        run = judging(tmp_path, server, api_key_variable=None)
        run.write(*cases(1))
        run.run()
    assert "Authorization" not in server.asked[0].headers


@pytest.mark.parametrize(
    ("value", "reason"), [(None, "JUDGE_KEY is not set"), (" ", "is not set"), ("sk-schlüssel", "holds")]
)
def test_a_key_that_is_missing_or_none_is_refused_before_any_request(tmp_path, monkeypatch, value, reason):
    monkeypatch.delenv("JUDGE_KEY")
    if value is not None:
        monkeypatch.setenv("JUDGE_KEY", value)
    with JudgeServer(lambda *_: says(verdict())) as server:
        run = judging(tmp_path, server)
        run.write(*cases(1))
        with pytest.raises(ConfigError, match=reason) as caught:
            run.run()
    assert "schlüssel" not in str(caught.value)
    assert server.asked == []


def test_malformed_replies_are_asked_for_again_and_paid_for(tmp_path):
    replies = [says("I think it is fine."), says(verdict(correct=False)), says(verdict())]
    with JudgeServer(lambda _, times: replies[times - 1]) as server:
        run = judging(tmp_path, server)
        run.write(*cases(1))
        [row] = run.run()
    assert (row["error_type"], row["attempts"], row["reason"]) == ("none", 3, None)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (300, 60)


def test_a_question_without_verdict_after_all_attempts_says_why_and_is_not_asked_again(tmp_path):
    with JudgeServer(lambda *_: says("Sure! " + json.dumps(verdict()))) as server:
        run = judging(tmp_path, server)
        run.write(*cases(1))
        [row] = run.run()
        assert [row[name] for name in ("well_posed", "correct", "error_type", "correct_answer")] == [None] * 4
        assert row["attempts"] == len(server.asked) == 3
        assert row["reason"].startswith("not a JSON object")
        assert run.run() == [row]
        assert len(server.asked) == 3


def test_a_reply_cut_off_at_the_token_limit_says_so(tmp_path):
    choice = {"message": {"content": '{"working": "3 and'}, "finish_reason": "length"}
    with JudgeServer(lambda *_: Answer(json.dumps(completion("", choices=[choice])).encode())) as server:
        run = judging(tmp_path, server)
        run.write(*cases(1))
        assert "cut off at the token limit" in run.run()[0]["reason"]


def test_tokens_that_the_endpoint_does_not_count_are_unknown(tmp_path):
    with JudgeServer(lambda *_: Answer(json.dumps(completion(json.dumps(verdict()), usage=None)).encode())) as server:
        run = judging(tmp_path, server)
        run.write(*cases(1))
        [row] = run.run()
    assert (row["error_type"], row["prompt_tokens"], row["completion_tokens"]) == ("none", None, None)


NO_COMPLETION = {
    "HTML": (Answer(b"<html>Sign in</html>", headers={"Content-Type": "text/html"}), "text/html"),
    "no content type": (Answer(json.dumps(completion("{}")).encode(), headers={}), "content type missing"),
    "broken JSON": (Answer(b'{"choices": ['), "not a chat completion"),
    "no choices": (Answer(json.dumps(completion("", choices=[])).encode()), "not a chat completion"),
    "another API": (Answer(b'{"result": "fine"}'), "not a chat completion: Field required"),
    "lone surrogate": (Answer(rb'{"choices": [{"message": {"content": "\ud800"}}]}'), "not a chat completion"),
    "compressed": (
        Answer(
            gzip.compress(b" " * 1_000_000),
            headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
        ),
        "a compressed reply",
    ),
    "no content": (Answer(b"", status=204), "status 204"),
}


@pytest.mark.parametrize("kind", NO_COMPLETION)
def test_what_is_no_chat_completion_is_no_verdict_and_is_not_kept(tmp_path, kind):
    answer, reason = NO_COMPLETION[kind]
    with JudgeServer(lambda question, _: answer if "number 0" in question else says(verdict())) as server:
        run = judging(tmp_path, server)
        run.write(*cases(2))
        bad, good = run.run()
    assert (bad["error_type"], bad["attempts"]) == (None, 0)
    assert reason in bad["reason"]
    assert good["error_type"] == "none"
    assert server.questions.count("What is 3 + 4, number 0?") == 3
    assert run.replies_kept() == 1


def test_a_huge_body_is_not_read_to_its_end(tmp_path):
    huge = Answer(b" " * (96 << 20))
    with JudgeServer(lambda question, _: huge if "number 0" in question else says(verdict())) as server:
        run = judging(tmp_path, server)
        run.settings["attempts"] = 1
        run.write(*cases(2))
        bad, good = run.run()
    assert "more than 4194304 bytes" in bad["reason"]
    assert good["error_type"] == "none"
    assert sum(server.sent) < 48 << 20


@pytest.mark.parametrize("slow", [{"delay": 60}, {"drip": 0.05}], ids=["silent", "dripping"])
def test_a_hanging_reply_is_given_up_on_and_the_others_go_on(tmp_path, slow):
    def answer(question: str, _: int) -> Answer:
        return says(verdict(), **slow) if "number 0" in question else says(verdict())

    with JudgeServer(answer) as server:
        run = judging(tmp_path, server, timeout_seconds=0.4)
        run.settings["attempts"] = 2
        run.write(*cases(3))
        start = time.monotonic()
        bad, *good = run.run()
        assert time.monotonic() - start < 10
    assert (bad["error_type"], bad["attempts"], bad["reason"]) == (None, 0, "no complete reply within 0.4 s")
    assert [row["error_type"] for row in good] == ["none", "none"]


@pytest.mark.parametrize("count", [1, 40])
def test_an_endpoint_that_only_hangs_is_one_error_and_no_file(tmp_path, count):
    with JudgeServer(lambda *_: says(verdict(), delay=60)) as server:
        run = judging(tmp_path, server, timeout_seconds=0.3)
        run.settings["attempts"] = 1
        run.write(*cases(count))
        start = time.monotonic()
        with pytest.raises(
            EndpointError, match=r"no chat completion.*no complete reply within 0\.3 s.*timeout_seconds"
        ):
            run.run()
        assert time.monotonic() - start < 10
    assert len(server.asked) <= 12
    assert not run.taxonomy.exists()


def test_too_many_requests_waits_as_long_as_the_endpoint_says(tmp_path):
    busy = Answer(b"{}", status=429, headers={"Retry-After": "1"})
    with JudgeServer(lambda _, times: busy if times == 1 else says(verdict())) as server:
        run = judging(tmp_path, server)
        run.write(*cases(1))
        [row] = run.run()
    first, second = server.asked
    assert 1 <= second.at - first.at < 4
    assert (row["error_type"], row["attempts"]) == ("none", 1)


def test_a_longer_wait_than_allowed_ends_the_job_at_once(tmp_path):
    busy = Answer(b"{}", status=429, headers={"Retry-After": "86400"})
    with JudgeServer(lambda *_: busy) as server:
        run = judging(tmp_path, server)
        run.write(*cases(1))
        with pytest.raises(EndpointError, match=r"asks to wait 86400 s, more than taxonomy\.judge\.max_wait_seconds"):
            run.run()
    assert len(server.asked) == 1


def test_retry_after_is_seconds_or_a_date():
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 25 < _retry_after(soon) <= 30
    assert _retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == 0
    assert _retry_after("7") == 7
    assert [_retry_after(value) for value in (None, "", "soon", "-1", "nan", "1e9")] == [None] * 6


def test_server_errors_are_retried(tmp_path):
    broken = Answer(b"upstream died", status=503, headers={})
    with JudgeServer(lambda _, times: broken if times < 3 else says(verdict())) as server:
        run = judging(tmp_path, server)
        run.write(*cases(1))
        assert run.run()[0]["error_type"] == "none"
    assert len(server.asked) == 3


def test_an_endpoint_that_stays_broken_ends_the_job_and_keeps_what_it_said(tmp_path):
    down = [False]

    def answer(question: str, _: int) -> Answer:
        if down[0] or "number 3" in question:
            down[0] = True
            return Answer(b"upstream died\x1b[2J\n" + b"x" * 5000, status=500, headers={})
        return says(verdict())

    with JudgeServer(answer) as server:
        run = judging(tmp_path, server)
        run.concurrency = 1
        run.write(*cases(6))
        with pytest.raises(EndpointError, match=r"answered 500: upstream died.*after 4 requests") as caught:
            run.run()
        assert run.replies_kept() == 3
        assert not run.taxonomy.exists()
        asked = len(server.asked)
        server.answer = lambda *_: says(verdict())
        assert len(run.run()) == 6
        assert len(server.asked) == asked + 3
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_no_connection_is_retried_and_then_one_error(tmp_path):
    with JudgeServer(lambda *_: says(verdict())) as server:
        run = judging(tmp_path, server)
        run.write(*cases(1))
    with pytest.raises(EndpointError, match=r"no connection.*after 4 requests"):
        run.run()


def test_a_refusal_is_one_clear_error_after_one_request(tmp_path):
    said = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()
    with JudgeServer(lambda *_: Answer(said, status=401)) as server:
        run = judging(tmp_path, server)
        run.concurrency = 1
        run.write(*cases(5))
        with pytest.raises(
            EndpointError, match=r"refused with 401: .*Incorrect API key.*the key in JUDGE_KEY"
        ) as caught:
            run.run()
    assert len(server.asked) == 1
    assert KEY not in str(caught.value)


def test_a_redirect_is_not_followed(tmp_path):
    with JudgeServer(lambda *_: says(verdict())) as elsewhere:
        place = Answer(b"", status=307, headers={"Location": f"{elsewhere.url}/chat/completions"})
        with JudgeServer(lambda *_: place) as server:
            run = judging(tmp_path, server)
            run.write(*cases(1))
            with pytest.raises(EndpointError, match=r"redirects to http://127\.0\.0\.1.*set taxonomy\.judge\.base_url"):
                run.run()
    assert elsewhere.asked == []
    assert len(server.asked) == 1


def test_no_more_requests_are_in_flight_than_allowed(tmp_path):
    with JudgeServer(lambda *_: says(verdict(), delay=0.05)) as server:
        run = judging(tmp_path, server)
        run.concurrency = 3
        run.write(*cases(20))
        assert len(run.run()) == 20
    assert server.most_in_flight == 3


def test_equal_questions_are_asked_once_and_paid_for_once(tmp_path):
    with JudgeServer(lambda *_: says(verdict())) as server:
        run = judging(tmp_path, server)
        run.write(("What is 3 + 4?", "7"), ("What is 3 + 4?", "8"), ("What is 3 + 4?", "7"))
        rows = run.run()
    assert len(server.asked) == 2
    assert [row["error_type"] for row in rows] == ["none"] * 3
    assert [(row["attempts"], row["prompt_tokens"]) for row in rows] == [(1, 100), (1, 100), (0, 0)]


def test_a_sample_of_the_file_is_the_same_each_time_and_in_its_order(tmp_path):
    with JudgeServer(lambda *_: says(verdict())) as server:
        run = judging(tmp_path, server)
        run.settings["questions_per_file"] = 5
        run.write(*cases(30))
        rows = run.run()
        assert run.run() == rows
    ids = [int(row["question_id"][1:]) for row in rows]
    assert len(ids) == len(server.asked) == 5
    assert ids == sorted(ids)
    assert ids != list(range(5))


def test_no_question_makes_an_empty_file_and_no_request(tmp_path):
    with JudgeServer(lambda *_: says(verdict())) as server:
        run = judging(tmp_path, server)
        run.write()
        assert run.run() == []
    assert server.asked == []


def test_a_damaged_kept_reply_is_asked_for_again(tmp_path):
    with JudgeServer(lambda *_: says(verdict())) as server:
        run = judging(tmp_path, server)
        run.write(*cases(2))
        rows = run.run()
        damaged = sorted(run.cache.glob("*.json"))[0]
        damaged.write_bytes(damaged.read_bytes()[:40])
        assert run.run() == rows
    assert len(server.asked) == 3


@pytest.mark.parametrize("change", ["model", "prompt", "parameters", "question", "answer"])
def test_a_kept_reply_belongs_to_its_model_prompt_and_case(tmp_path, change):
    with JudgeServer(lambda *_: says(verdict())) as server:
        run = judging(tmp_path, server)
        run.write(("What is 3 + 4?", "7"))
        run.run()
        if change == "prompt":
            run.settings["prompt"] = PROMPT + "\nBe strict."
        elif change in ("question", "answer"):
            run.write(("What is 3 + 5?", "7") if change == "question" else ("What is 3 + 4?", "8"))
        else:
            run.judge[change] = {"model": "judge-2", "parameters": {"temperature": 0.0}}[change]
        run.run()
    assert len(server.asked) == 2


def test_after_a_kill_nothing_that_was_answered_is_asked_again(tmp_path):
    count, concurrency = 30, 2
    with JudgeServer(lambda *_: says(verdict(), delay=0.1)) as server:
        run = judging(tmp_path, server)
        run.concurrency = concurrency
        run.write(*cases(count))
        process = subprocess.Popen([sys.executable, *run.command()], stderr=subprocess.DEVNULL)
        while run.replies_kept() < 8 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not run.taxonomy.exists()
        assert run.replies_kept() < count
        rows = run.run()
        assert len(rows) == count
        # Only what was in flight when the kill came may have been asked twice.
        assert count <= len(server.asked) <= count + concurrency
        asked, first = len(server.asked), digest(run.taxonomy)
        run.run()
        assert len(server.asked) == asked
        assert digest(run.taxonomy) == first


def test_the_key_is_nowhere_but_in_the_request(tmp_path):
    echoes = {
        "number 0": says(verdict(working=f"You sent {KEY}", correct_answer=KEY)),
        "number 1": says(f"Bearer {KEY}"),
        "number 2": Answer(json.dumps(completion("{}", choices=[KEY])).encode(), headers={"Content-Type": KEY}),
    }

    def answer(question: str, times: int) -> Answer:
        if times == 1:
            return Answer(f"overloaded, {KEY}".encode(), status=503)
        return next(echo for name, echo in echoes.items() if name in question)

    with JudgeServer(answer) as server:
        run = judging(tmp_path, server, prompt_price=1.0, completion_price=10.0)
        run.write(*cases(3))
        done = run_python(*run.command())
        server.answer = lambda *_: Answer(f"no {KEY}".encode(), status=403)
        run.write(*cases(3), ("Another?", "1"))
        failed = run_python(*run.command())
    assert done.returncode == 0, done.stderr
    assert failed.returncode == 1
    log = (run.folder / "stage.log").read_text(encoding="utf-8")
    assert "refused with 403: no [key]" in log
    assert "Traceback" not in log + failed.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".parquet", ".json", ".log"}
    texts = [path.read_bytes() for path in files] + [text.encode() for text in (done.stderr, failed.stderr)]
    # Parquet is compressed: its values and its metadata are read as such.
    texts += [json.dumps(read_provenance(run.taxonomy)).encode(), repr(read_rows(run.taxonomy, TAXONOMY)).encode()]
    assert b"JUDGE_KEY" in b"".join(texts)
    assert KEY.lower().encode() not in b"".join(texts).lower()
    assert {asked.headers["Authorization"] for asked in server.asked} == {f"Bearer {KEY}"}


def test_the_cost_is_told_whether_replies_are_new_or_kept(tmp_path):
    with JudgeServer(lambda *_: says(verdict())) as server:
        run = judging(tmp_path, server, prompt_price=2.0, completion_price=30.0)
        run.write(*cases(5))
        said = [run_python(*run.command(), check=True) for _ in range(2)]
    # 5 × (100 × 2 + 20 × 30) per million.
    for done in said:
        assert (
            "5 questions: 5 with a verdict, 0 without; 5 replies, 500 prompt and 100 completion tokens" in done.stderr
        )
        assert "at the configured prices: 0.0040" in done.stderr
    assert "5 requests, and 0 replies from the cache" in said[0].stderr
    assert "0 requests, and 5 replies from the cache" in said[1].stderr
