"""`billingwatch replay`: files, standard input, gzip, bad lines, and the alerts as JSON lines."""

import gzip
import json
import subprocess

import pytest

from support.server import bare_environment, binary, output_of, run
from support.stripe_events import charge_succeeded, event, invoice

START = 1_709_599_200  # 2024-03-05 00:40:00 UTC: recorded time, nothing to do with today.
FIELDS = {
    "at",
    "detector",
    "severity",
    "status",
    "subject",
    "subjects",
    "key",
    "title",
    "message",
    "currency",
    "amount_at_stake",
    "evidence",
}


def story():
    """A duplicate charge and a wrong invoice among ordinary charges."""
    events = [charge_succeeded(f"cus_{n}", amount=1_000 + n, created=START + 60 * n) for n in range(20)]
    events.insert(9, charge_succeeded("cus_twice", created=START + 530))
    events.insert(12, charge_succeeded("cus_twice", created=START + 650))
    events.append(event("invoice.finalized", invoice("cus_wrong", -9_900, created=START + 1_300), created=START + 1_300))
    return [one.fields for one in events]


STORY = story()


def as_lines(fields):
    return "".join(json.dumps(one) + "\n" for one in fields).encode()


def replay(tmp_path, *files, input=None):
    """Runs replay and returns the completed process and its alert lines."""
    out = tmp_path / "alerts.jsonl"
    done = run("replay", *files, "--alerts-out", out, cwd=tmp_path, input=input)
    return done, [json.loads(line) for line in out.read_text().splitlines()]


@pytest.fixture
def expected(tmp_path):
    """The alerts of the story, from a plain file."""
    path = tmp_path / "story.jsonl"
    path.write_bytes(as_lines(STORY))
    done, found = replay(tmp_path, path)
    assert done.returncode == 0, output_of(done)
    return found


def test_the_alert_lines_have_the_promised_fields(expected):
    fired = {(line["detector"], line["subject"]) for line in expected if line["status"] == "firing"}
    detectors = {detector for detector, _ in fired}
    assert {"duplicate_charge", "negative_invoice"} <= detectors
    for line in expected:
        assert FIELDS <= set(line), FIELDS - set(line)
        assert line["severity"] in {"low", "medium", "high", "critical"}
        assert line["status"] in {"firing", "escalated", "resolved"}
        assert START <= line["at"] < START + 40 * 86_400
        assert line["subject"] is None or line["subject"] in line["subjects"]
        assert isinstance(line["evidence"], dict)
        assert line["currency"] is None or line["currency"] == "usd"
        assert line["amount_at_stake"] is None or type(line["amount_at_stake"]) is int
    assert [line["at"] for line in expected] == sorted(line["at"] for line in expected)
    duplicate = next(line for line in expected if line["detector"] == "duplicate_charge")
    assert "cus_twice" in duplicate["subjects"]
    assert duplicate["currency"] == "usd" and duplicate["amount_at_stake"] == 4_900


def test_every_way_in_gives_the_same_alerts(tmp_path, expected):
    (tmp_path / "story.jsonl.gz").write_bytes(gzip.compress(as_lines(STORY)))
    (tmp_path / "first.jsonl").write_bytes(as_lines(STORY[:10]))
    (tmp_path / "second.jsonl.gz").write_bytes(gzip.compress(as_lines(STORY[10:])))
    page = {"object": "list", "data": STORY, "has_more": False, "url": "/v1/events"}
    (tmp_path / "page.json").write_bytes(json.dumps(page).encode())
    (tmp_path / "crlf.jsonl").write_bytes(as_lines(STORY).replace(b"\n", b"\r\n").rstrip())
    wrapped = [{"received_at": one["created"], "event": one} for one in STORY]
    (tmp_path / "wrapped.jsonl").write_bytes(as_lines(wrapped))
    for files, input in (
        (["story.jsonl.gz"], None),
        (["-"], as_lines(STORY)),
        (["-"], gzip.compress(as_lines(STORY))),
        (["first.jsonl", "second.jsonl.gz"], None),
        (["page.json"], None),
        (["crlf.jsonl"], None),
        (["wrapped.jsonl"], None),
    ):
        done, found = replay(tmp_path, *files, input=input)
        assert done.returncode == 0, (files, output_of(done))
        assert found == expected, files


def test_a_bad_line_is_named_and_the_rest_is_read(tmp_path, expected):
    lines = as_lines(STORY).splitlines(keepends=True)
    lines.insert(4, b'{"id": "evt_torn", "type": "charge.succ\n')
    lines.insert(15, b"[1, 2, 3]\n")
    path = tmp_path / "torn.jsonl"
    path.write_bytes(b"".join(lines))
    done, found = replay(tmp_path, path)
    assert done.returncode == 3, output_of(done)
    text = output_of(done)
    assert "5" in text and "16" in text and "torn.jsonl" in text, text
    assert found == expected


def test_a_missing_file_is_an_error(tmp_path):
    done = run("replay", "nowhere.jsonl", cwd=tmp_path)
    assert done.returncode == 1
    assert "nowhere.jsonl" in output_of(done)


def test_an_empty_input_is_no_error(tmp_path):
    done, found = replay(tmp_path, "-", input=b"")
    assert done.returncode == 0, output_of(done)
    assert found == []


def test_a_person_gets_a_table_and_a_summary(tmp_path):
    done = run("replay", "-", cwd=tmp_path, input=as_lines(STORY))
    assert done.returncode == 0
    text = done.stdout.decode()
    assert "duplicate_charge" in text and "negative_invoice" in text and "cus_twice" in text, text


def test_a_reader_that_leaves_early_is_no_crash(tmp_path):
    (tmp_path / "story.jsonl").write_bytes(as_lines(STORY * 50))
    reader = subprocess.Popen(["head", "-c", "1"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    writer = subprocess.Popen(
        [binary(), "replay", "story.jsonl"], cwd=tmp_path, env=bare_environment(), stdout=reader.stdin, stderr=subprocess.PIPE
    )
    reader.stdin.close()
    complaint = writer.communicate(timeout=60)[1].decode(errors="replace")
    reader.wait(10)
    assert "panicked" not in complaint, complaint
