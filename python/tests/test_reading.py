"""Reading with the real libraries of data frames."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import annals
import pytest
from annals import Reader

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")

ACTIONS = ["BUY", "SELL", "HOLD"]


def record(path: Any, count: int = 30, model: str = "dqn_agent") -> list[Any]:
    """A journal with decisions of one model; their ids."""
    with annals.open(path) as journal:
        ids = [
            journal.log(
                model,
                "ETH/USDT",
                ACTIONS[number % 3],
                confidence=0.5 + 0.01 * (number % 50),
                features=np.array([number, 1.0], dtype=np.float32),
            )
            for number in range(count)
        ]
        journal.flush()
    return ids


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def reader(path):
    record(path)
    with Reader(path) as reader:
        yield reader


def test_pyarrow_takes_batches(reader):
    stream = reader.decisions(model="dqn_agent", outcomes=True).arrow()
    table = pa.RecordBatchReader.from_stream(stream).read_all()
    assert table.num_rows == 30
    assert table["action"].to_pylist()[:3] == ACTIONS
    assert table["event_time"].type == pa.timestamp("us", tz="UTC")
    assert table["confidence"].to_pylist()[1] == pytest.approx(0.51)
    assert table["reward"].null_count == 30
    table.validate(full=True)


def test_columns_are_chosen(reader):
    table = pa.table(reader.decisions().arrow(["model", "confidence"]))
    assert table.column_names == ["model", "confidence"]
    with pytest.raises(annals.InvalidInputError, match='no column "price"'):
        reader.decisions().arrow(["price"])
    # Of outcomes only where they were asked for.
    with pytest.raises(annals.InvalidInputError, match="reward"):
        reader.decisions().arrow(["reward"])


def test_polars_takes_them(reader):
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(reader.decisions(outcomes=True, inputs=True))
    assert frame.height == 30
    counts = frame.group_by(pl.col("action").cast(pl.String)).len().sort("action")
    assert counts["len"].to_list() == [10, 10, 10]
    assert pl.DataFrame(reader.decisions(limit=0)).height == 0


def test_duckdb_takes_them(reader):
    duckdb = pytest.importorskip("duckdb")
    decisions = reader.decisions(model="dqn_agent").arrow()
    rows = duckdb.sql(
        "SELECT action::VARCHAR AS a, COUNT(*), AVG(confidence) FROM decisions "
        "GROUP BY a ORDER BY a"
    ).fetchall()
    assert decisions is not None
    assert [row[:2] for row in rows] == [("BUY", 10), ("HOLD", 10), ("SELL", 10)]


def test_pandas_takes_them(reader):
    pytest.importorskip("pandas")
    frame = pa.table(reader.decisions()).to_pandas()
    assert len(frame) == 30
    assert str(frame["action"].dtype) == "category"
    assert frame["event_time"].dt.tz is not None


def test_a_long_answer_comes_in_batches(tmp_path):
    path = tmp_path / "data"
    with annals.open(path) as journal:
        for number in range(70_000):
            journal.log("m", "s", ACTIONS[number % 3], confidence=0.5)
            if number % 5_000 == 0:
                # The queue is never full, so none is dropped.
                journal.flush()
        journal.flush()
    with Reader(path) as reader:
        sizes = [batch.num_rows for batch in pa.RecordBatchReader.from_stream(reader.decisions())]
        assert sizes == [65_536, 4_464]


def test_decisions_are_objects(path):
    ids = record(path)
    with Reader(path) as reader:
        decisions = list(reader.decisions(newest_first=True, limit=2))
        assert [decision.id for decision in decisions] == ids[:-3:-1]
        first: Any = reader.get(ids[0])
        assert (first.model, first.symbol, first.action) == ("dqn_agent", "ETH/USDT", "BUY")
        assert first.confidence == 0.5
        assert abs(first.event_time - datetime.now(timezone.utc)) < timedelta(hours=1)
        assert first.reward is None
        assert first.outcome_values == {}
        assert first.attributes == {}
        assert first.input_state == "not_kept"
        assert first.features is None
        assert repr(reader.get(annals.id_text(ids[0]))) == repr(first)
        assert "dqn_agent ETH/USDT BUY, confidence=0.5" in repr(first)
        assert "dqn_agent" in first.line()
        assert reader.get(1 << 60) is None
        with pytest.raises(annals.InvalidInputError):
            reader.get("nonsense")


def test_inputs_and_outcomes_come_along(path):
    with annals.open(path) as journal:
        options: dict[str, Any] = {"keep": True, "checkpoint": "epoch_7", "propensity": 0.25}
        kept = journal.log("dqn", "pong", "up", features=np.float32([0.5, -1]), **options)
        wide = journal.log("dqn", "pong", "up", features=np.float64([0.1]), **options)
        text = journal.log("llm", "user", "call", keep_bytes=b"a prompt", attributes={"n": 1})
        journal.outcome(kept, reward=1.5, correct=True, label="won", slippage=0.25)
        journal.flush()
        reader = journal.reader()
        table = pa.table(reader.decisions(outcomes=True, inputs=True))
        assert table["input_f32"].to_pylist() == [[0.5, -1.0], None, None]
        assert table["input_f64"].to_pylist() == [None, [0.1], None]
        assert table["input_bytes"].to_pylist() == [None, None, b"a prompt"]
        assert table["input_state"].to_pylist() == ["kept"] * 3
        assert table["reward"].to_pylist() == [1.5, None, None]
        assert table["correct"].to_pylist() == [True, None, None]
        assert table["outcome_values"][0].as_py() == '{"slippage":0.25}'
        assert table["checkpoint"].to_pylist() == ["epoch_7", "epoch_7", None]
        assert table["propensity"].to_pylist() == [0.25, 0.25, None]
        assert table["attributes"].to_pylist() == [None, None, '{"n":1}']
        found: list[Any] = [reader.get(id) for id in (kept, wide, text) if id is not None]
        assert found[0].features.dtype == np.float32
        assert found[0].features.tolist() == [0.5, -1.0]
        assert found[1].features.dtype == np.float64
        assert found[2].features == b"a prompt"
        assert found[2].attributes == {"n": 1}
        assert (found[0].reward, found[0].correct, found[0].outcome_label) == (1.5, True, "won")
        assert found[0].outcome_values == {"slippage": 0.25}
        assert found[0].outcome_time.tzinfo is not None
        # The same as objects of a query.
        first: Any = next(iter(reader.decisions(outcomes=True, inputs=True, limit=1)))
        assert (first.reward, first.features.tolist()) == (1.5, [0.5, -1.0])
        outcomes = [entry for entry in reader.follow(timeout=0) if entry.kind == "outcome"]
        assert outcomes[0].data["outcome"]["reward"] == 1.5
        assert outcomes[0].decision is None


def test_times_are_bounds(reader):
    now = datetime.now(timezone.utc)
    assert reader.decisions(since="24h").count() == 30
    assert reader.decisions(since=timedelta(hours=1)).count() == 30
    assert reader.decisions(until=now - timedelta(hours=1)).count() == 0
    assert reader.decisions(since=now + timedelta(hours=1)).count() == 0
    assert reader.decisions(since="2020-01-01T00:00:00Z").count() == 30
    with pytest.raises(annals.InvalidInputError, match="time zone"):
        reader.decisions(since=datetime(2025, 7, 25))
    with pytest.raises(annals.InvalidInputError, match="until"):
        reader.decisions(until="yesterday")
    with pytest.raises(annals.InvalidInputError, match="limit"):
        reader.decisions(limit=-1)


def test_an_unknown_model_is_told(reader):
    with pytest.warns(UserWarning, match="no decisions of the model 'dqn'.*'dqn_agent'"):
        assert reader.decisions("dqn").count() == 0
    assert reader.stats("dqn")["known"] is False


def test_statistics_are_dictionaries(reader):
    stats = reader.stats("dqn_agent", since="24h")
    assert stats["count"] == 30
    assert stats["known"] is True
    counts = {row["action"]: row["recorded"] for row in stats["actions"]}
    assert counts == dict.fromkeys(ACTIONS, 10)
    assert "decisions: 30" in repr(stats)
    assert "<table>" in stats._repr_html_()
    rows = reader.stats(by=["model", "action"])
    assert len(rows) == 3
    assert {row["model"] for row in rows} == {"dqn_agent"}
    assert "<table>" in rows._repr_html_()
    assert "action" in repr(rows)
    assert reader.models() == ["dqn_agent"]
    with pytest.raises(annals.InvalidInputError):
        reader.stats(by="colour")


def test_tables_escape_text(path):
    record(path, 3, model="<b>bold</b>")
    with Reader(path) as reader:
        for html in (
            reader.decisions()._repr_html_(),
            reader.stats("<b>bold</b>")._repr_html_(),
            reader.sql("SELECT model FROM decisions")._repr_html_(),
        ):
            assert "<b>" not in html
            assert "&lt;b&gt;bold" in html


def test_following_goes_on_at_its_cursor(path):
    ids = record(path, 4)
    with Reader(path) as reader:
        follow = reader.follow(timeout=0)
        first: list[Any] = [next(follow).decision for _ in range(2)]
        assert [decision.id for decision in first] == ids[:2]
        cursor = follow.cursor
    with Reader(path) as reader:
        entries = list(reader.follow(cursor, timeout=0))
        decisions = [entry.decision.id for entry in entries if entry.decision]
        assert decisions == ids[2:]
        assert entries[0].kind == "inference"
        assert entries[0].data["model"] == "dqn_agent"
        assert list(reader.follow(reader.end, timeout=0)) == []
        with pytest.raises(annals.AnnalsError):
            reader.follow("annals:00000000000000000000000000000000:1")
        with pytest.raises(annals.InvalidInputError, match="timeout"):
            reader.follow(timeout=-1)


def test_a_follower_sees_what_is_logged_later(path):
    with annals.open(path) as journal:
        follow = journal.reader().follow()
        found: list[Any] = []
        waiting = threading.Thread(target=lambda: found.append(next(follow)))
        waiting.start()
        # The other thread waits without the interpreter, or this would never run.
        ids = [journal.log("m", "s", "BUY")]
        waiting.join(60)
        assert [entry.decision.id for entry in found] == ids


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize(
    "line",
    [
        "next(reader.follow(reader.end))",
        "reader.sql('WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
        "SELECT COUNT(*) FROM n')",
    ],
)
def test_control_c_ends_what_never_ends(path, line):
    record(path, 3)
    program = f"""
import annals
reader = annals.Reader({str(path)!r})
try:
    print("ready", flush=True)
    {line}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        assert child.stdout.read() == "interrupted\n"
        assert child.wait() == 0


def test_sql_gives_rows(reader):
    rows = reader.sql(
        "SELECT model_name, AVG(confidence), COUNT(*) FROM inference_records "
        "WHERE timestamp > datetime('now', '-24 hours') GROUP BY model_name"
    )
    assert rows.columns == ["model_name", "AVG(confidence)", "COUNT(*)"]
    assert rows.is_from_rollups
    assert len(rows) == 1
    assert rows[0][2] == 30
    assert rows[-1] == rows[0]
    assert rows.dicts()[0]["model_name"] == "dqn_agent"
    with pytest.raises(IndexError):
        rows[1]
    rows = reader.sql("SELECT NULL AS n, 1 AS i, 0.5 AS r, 'text' AS t, x'00ff' AS b")
    assert rows[0] == (None, 1, 0.5, "text", b"\x00\xff")
    kinds = [str(kind) for kind in pa.table(rows.arrow()).schema.types]
    assert kinds == ["string", "int64", "double", "string", "binary"]
    assert "text" in repr(rows)


def test_answers_are_frames(reader):
    pl = pytest.importorskip("polars")
    rows = reader.sql("SELECT action, confidence, reward FROM decisions ORDER BY sequence")
    frame = pl.DataFrame(rows.arrow())
    assert frame["action"].to_list()[:3] == ACTIONS
    assert frame["confidence"][1] == pytest.approx(0.51)


def test_wrong_statements_are_told(reader):
    with pytest.raises(annals.InvalidInputError, match="only be read"):
        reader.sql("DELETE FROM decisions")
    with pytest.raises(annals.InvalidInputError, match="no such table"):
        reader.sql("SELECT * FROM decision")
    with pytest.raises(annals.InvalidInputError, match="more than 10 rows"):
        reader.sql("SELECT * FROM decisions", max_rows=10)
    mixed = reader.sql("SELECT 1 AS odd UNION ALL SELECT 'two'")
    assert len(mixed) == 2
    with pytest.raises(annals.InvalidInputError, match='"odd" mixes'):
        pa.table(mixed.arrow())


def test_a_closed_reader_says_so(path):
    record(path, 3)
    reader = Reader(path)
    decisions = reader.decisions()
    reader.close()
    reader.close()
    assert "closed" in repr(reader)
    for call in (
        lambda: reader.decisions(),
        lambda: reader.get(1),
        lambda: reader.stats(),
        lambda: reader.follow(),
        lambda: reader.sql("SELECT 1"),
        lambda: reader.end,
    ):
        with pytest.raises(annals.EndedError, match="closed"):
            call()
    # A query that was made before has a handle of its own.
    assert decisions.count() == 3


def test_a_deleted_journal_is_an_error_or_read(path):
    record(path, 3)
    with pytest.raises(annals.AnnalsError):
        Reader(path.parent / "nowhere")
    with Reader(path) as reader:
        shutil.rmtree(path)
        # The open file may still be there for this handle.
        with contextlib.suppress(annals.AnnalsError):
            assert reader.decisions().count() == 3
        with pytest.raises(annals.AnnalsError):
            reader.sql("SELECT COUNT(*) FROM decisions")


def test_a_writer_and_a_reader_share_a_directory(path):
    with annals.open(path) as journal:
        reader = journal.reader()
        for number in range(3):
            journal.log("m", "s", ACTIONS[number])
            journal.flush()
            assert reader.decisions().count() == number + 1
        assert journal.sql("SELECT COUNT(*) FROM decisions")[0] == (3,)
        assert repr(reader).startswith("annals.Reader(")


def test_a_journal_in_memory_has_a_reader_but_no_sql():
    with annals.in_memory() as journal:
        journal.log("m", "s", "BUY")
        journal.flush()
        assert journal.reader().decisions().count() == 1
        with pytest.raises(annals.AnnalsError, match="directory"):
            journal.sql("SELECT 1")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
def test_a_forked_child_opens_its_own(path):
    record(path, 3)
    reader = Reader(path)
    assert reader.decisions().count() == 3
    child = os.fork()
    if child == 0:
        os._exit(0 if reader.decisions().count() == 3 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert reader.decisions().count() == 3
    reader.close()


def test_the_interpreter_is_free_while_sql_runs(path):
    record(path, 3)
    with Reader(path) as reader:
        ticks = []
        stop = threading.Event()

        def tick():
            while not stop.is_set():
                ticks.append(time.monotonic())
                stop.wait(0.001)

        thread = threading.Thread(target=tick)
        thread.start()
        reader.sql(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 300000) "
            "SELECT COUNT(*) FROM n"
        )
        stop.set()
        thread.join()
        assert len(ticks) > 1
