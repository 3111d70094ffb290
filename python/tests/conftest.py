"""What the tests share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import annals
import pytest

# A journal of a test waits for room instead of dropping: a busy machine changes nothing.
CALM = {"commit_interval": "20ms", "overflow": {"block": "60s"}}
# No wait of a test is longer than this, also on a busy machine.
BOUND = 120


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def journal(directory: Path) -> Iterator[annals.Journal]:
    with annals.open(directory, commit_interval="20ms", overflow={"block": "60s"}) as journal:
        yield journal


def lines(directory: Path, kind: str = "inference_records") -> list[str]:
    """The lines of a kind of text file: each committed entry has exactly one."""
    pages = sorted((directory / "logs").glob(f"{kind}.*-*-*.txt"))
    return [line for page in pages for line in page.read_text().splitlines()]


def taken_in(directory: Path) -> list[str]:
    """The same after another opening, which takes in what a dead process left."""
    annals.open(directory).close()
    return lines(directory)


PRELUDE = """
import os, signal, sys, threading
import annals
# A shell in the background lets its children ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
journal = annals.open(sys.argv[1], commit_interval="20ms", overflow={"block": "60s"})
recorder = journal.recorder("dqn", "ETH", ["BUY", "SELL"])
def log(count):
    for number in range(count):
        assert recorder.log(0, [0.75, 0.25], [float(number), float(os.getpid())]) is not None
"""

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(directory: Path) -> Iterator[Start]:
    """Starts an interpreter that has opened a journal and runs more lines."""
    started: list[subprocess.Popen[str]] = []

    def run(script: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + script, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """The exit code and what was written, of a process that ends by itself."""
    out, err = process.communicate(timeout=BOUND)
    return process.returncode, out, err
