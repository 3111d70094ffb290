"""What a prepared call costs from Python, beside the SQLite insert that it replaces.

    python python/benches/recorder.py [--calls 1000000] [--inserts 2000] [--directory DIR]

Both record the same decisions onto the same disk: 3 probabilities, 16 features as an array of
float32, another input each time. Calls are timed in batches of 1,000, because the clock of Python
costs as much as a call. Between batches the queue is emptied, outside of the timed part, so that no
call meets a full one. An insert is timed alone: it ends with its commit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sqlite3
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import annals
import numpy as np

BATCH = 1_000
ACTIONS = ["BUY", "SELL", "HOLD"]
CHECKPOINT = "dqn_agent_20250725_143500"

# The tables and indexes of the predecessor.
SCHEMA = """
CREATE TABLE inference_records (
    id INTEGER PRIMARY KEY, model_name TEXT NOT NULL, timestamp TEXT NOT NULL,
    symbol TEXT NOT NULL, action TEXT NOT NULL, confidence REAL NOT NULL,
    probabilities TEXT NOT NULL, input_features_hash TEXT NOT NULL,
    processing_time_ms REAL NOT NULL, memory_usage_mb REAL, checkpoint_id TEXT
);
CREATE INDEX inference_model_time ON inference_records (model_name, timestamp);
CREATE INDEX inference_symbol_time ON inference_records (symbol, timestamp);
CREATE INDEX inference_hash ON inference_records (input_features_hash);
"""
INSERT = "INSERT INTO inference_records VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def quantiles(nanoseconds: list[float]) -> str:
    p50, p99 = np.quantile(nanoseconds, [0.5, 0.99])
    return f"p50 {p50:,.0f} ns, p99 {p99:,.0f} ns"


def recorded(folder: Path, inputs: list[np.ndarray], calls: int, as_list: bool) -> list[float]:
    """Nanoseconds of a call, by batches."""
    given = [row.tolist() for row in inputs] if as_list else inputs
    probabilities = [0.85, 0.10, 0.05] if as_list else np.array([0.85, 0.10, 0.05], np.float32)
    took = []
    with annals.open(folder, queue_capacity=20_000) as journal:
        recorder = journal.recorder("dqn_agent", "ETH/USDT", ACTIONS, checkpoint=CHECKPOINT)
        log = recorder.log
        for _ in range(max(calls // BATCH, 1)):
            began = time.perf_counter_ns()
            for features in given:
                log(0, probabilities, features)
            took.append((time.perf_counter_ns() - began) / BATCH)
            if len(took) % 10 == 0:
                journal.flush(600)
        journal.flush(600)
        health = journal.health()
        assert sum(health["dropped"].values()) == 0, health
    return took


def empty(inputs: list[np.ndarray], batches: int) -> list[float]:
    """Nanoseconds of the loop around the calls, with a call that does next to nothing."""

    def log(action: int, probabilities: object, features: object) -> None: ...

    took = []
    for _ in range(batches):
        began = time.perf_counter_ns()
        for features in inputs:
            log(0, None, features)
        took.append((time.perf_counter_ns() - began) / BATCH)
    return took


def inserted(file: Path, inputs: list[np.ndarray], inserts: int, wal: bool) -> list[float]:
    """Nanoseconds of an insert with its commit, as the predecessor makes them."""
    connection = sqlite3.connect(file)
    if wal:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(SCHEMA)
    took = []
    for number in range(inserts):
        features = inputs[number % len(inputs)]
        began = time.perf_counter_ns()
        values = (
            "dqn_agent",
            datetime.now(timezone.utc).isoformat(),
            "ETH/USDT",
            "BUY",
            0.85,
            json.dumps({"BUY": 0.85, "SELL": 0.10, "HOLD": 0.05}),
            hashlib.md5(features.tobytes()).hexdigest(),
            12.5,
            48.0,
            CHECKPOINT,
        )
        with connection:
            connection.execute(INSERT, values)
        took.append(float(time.perf_counter_ns() - began))
    connection.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--inserts", type=int, default=2_000)
    parser.add_argument("--directory", type=Path)
    given = parser.parse_args()
    rows = np.random.default_rng(7).normal(size=(BATCH, 16)).astype(np.float32)
    inputs = list(rows)
    with tempfile.TemporaryDirectory(dir=given.directory) as name:
        folder = Path(name)
        arrays = recorded(folder / "arrays", inputs, given.calls, as_list=False)
        lists = recorded(folder / "lists", inputs, given.calls // 10, as_list=True)
        around = empty(inputs, max(given.calls // BATCH, 1))
        rollback = inserted(folder / "rollback.db", inputs, given.inserts, wal=False)
        wal = inserted(folder / "wal.db", inputs, given.inserts, wal=True)
    print(f"recorder.log, arrays of 16 float32   {quantiles(arrays)}")
    print(f"recorder.log, lists                  {quantiles(lists)}")
    print(f"an empty function of Python          {quantiles(around)}")
    print(f"SQLite insert, its default           {quantiles(rollback)}")
    print(f"SQLite insert, WAL                   {quantiles(wal)}")
    for kind, took in [("default", rollback), ("WAL", wal)]:
        times = np.median(took) / np.median(arrays)
        print(f"an insert, {kind}, takes {times:,.0f} times as long as a call")


if __name__ == "__main__":
    main()
