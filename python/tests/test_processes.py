"""Real processes: forked, ended, interrupted, killed. What `log` returned an id for stays."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import annals
import pytest
from conftest import BOUND, Start, finish, lines, taken_in

CALLS = 100

has_fork = hasattr(os, "fork")
needs_fork = pytest.mark.skipif(not has_fork, reason="the system has no fork")


def log(recorder: annals.Recorder, calls: int = CALLS) -> None:
    for number in range(calls):
        features = [float(number), float(os.getpid())]
        assert recorder.log(0, [0.75, 0.25], features) is not None


def fork(work: object) -> int:
    """Runs `work` in a forked child, which ends by `os._exit`; its exit code."""
    child = os.fork()
    if child == 0:
        # A child that hangs ends, and the test fails.
        signal.alarm(120)
        code = 1
        try:
            assert callable(work)
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


@needs_fork
def test_a_forked_child_opens_its_own_journal(directory: Path) -> None:
    journal = annals.open(directory, overflow={"block": "60s"})
    recorder = journal.recorder("dqn", "ETH", ["BUY", "SELL"], checkpoint="dqn_1")
    recorder.model = "cnn"
    log(recorder)

    def work() -> None:
        log(recorder)
        assert recorder.model == "cnn"
        assert journal.log("dqn", "ETH", "SELL") is not None
        journal.flush()

    assert fork(work) == 0
    log(recorder)
    journal.flush()
    assert journal.health()["state"] == "running"
    journal.close()
    found = taken_in(directory)
    assert len(found) == 3 * CALLS + 1
    assert sum("cnn" in line and "dqn_1" in line for line in found) == 3 * CALLS


@needs_fork
def test_a_forked_child_that_does_nothing_changes_nothing(journal: annals.Journal) -> None:
    recorder = journal.recorder("dqn", "ETH", ["BUY", "SELL"])
    episode = recorder.episode()
    registry = journal.registry()
    watch = registry.watch("dqn")

    def work() -> None:
        nonlocal episode, watch, registry, recorder, journal
        del episode, watch, registry, recorder, journal

    assert fork(work) == 0
    log(recorder)
    assert episode.log(0) is not None
    journal.flush()
    assert journal.health()["committed"] == CALLS + 1


@needs_fork
def test_a_forked_child_has_a_registry_and_no_parents_episode(journal: annals.Journal) -> None:
    registry = journal.registry()
    watch = registry.watch("dqn", "latest")
    recorder = journal.recorder("dqn", "ETH", ["BUY", "SELL"])
    episode = recorder.episode()
    episode.log(0)

    def work() -> None:
        saved = registry.save("dqn", b"weights")
        assert registry.load(saved) == b"weights"
        assert watch.current() == saved
        with pytest.raises(annals.UnsupportedError, match="parent"):
            episode.log(0)
        with recorder.episode() as own:
            assert own.log(1) is not None

    assert fork(work) == 0
    latest = registry.latest("dqn")
    assert latest is not None
    assert registry.load(latest) == b"weights"
    assert episode.end()


@needs_fork
def test_a_child_of_a_closed_journal_has_a_closed_one(directory: Path) -> None:
    journal = annals.open(directory)
    recorder = journal.recorder("dqn", "ETH", ["BUY"])
    journal.close()

    def work() -> None:
        assert recorder.log(0) is None
        assert journal.closed

    assert fork(work) == 0


@needs_fork
def test_a_child_of_multiprocessing_closes_at_its_end(directory: Path) -> None:
    journal = annals.open(directory, overflow={"block": "60s"})
    recorder = journal.recorder("dqn", "ETH", ["BUY", "SELL"])
    child = multiprocessing.get_context("fork").Process(target=log, args=(recorder,))
    child.start()
    child.join(BOUND)
    assert child.exitcode == 0
    journal.close()
    # Without another opening, which would take in what a dead process left.
    assert len(lines(directory)) == CALLS


def work_of_a_pool(count: int) -> int:
    assert POOLED is not None
    log(POOLED, count)
    return count


POOLED: annals.Recorder | None = None


@needs_fork
def test_workers_of_a_pool_lose_nothing(directory: Path) -> None:
    global POOLED
    journal = annals.open(directory, overflow={"block": "60s"})
    POOLED = journal.recorder("dqn", "ETH", ["BUY", "SELL"])
    # The end of the block terminates the workers by a signal.
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert sum(pool.map(work_of_a_pool, [CALLS] * 6, chunksize=1)) == 6 * CALLS
    journal.close()
    assert len(taken_in(directory)) == 6 * CALLS


@needs_fork
def test_many_forks_under_load(directory: Path) -> None:
    """Other threads record, flush and commit while the process forks: no child hangs."""
    journal = annals.open(directory, commit_interval="5ms", overflow={"block": "60s"})
    recorder = journal.recorder("dqn", "ETH", ["BUY", "SELL"])
    going = True
    logged = 0

    def load() -> None:
        nonlocal logged
        while going:
            log(recorder, 10)
            logged += 10
            journal.flush(BOUND)

    threads = [threading.Thread(target=load) for _ in range(2)]
    threads[0].start()
    children = 10
    for _ in range(children):
        assert fork(lambda: (log(recorder, 10), journal.flush(BOUND))) == 0
    going = False
    threads[0].join()
    journal.close()
    assert len(taken_in(directory)) == logged + 10 * children


ENDS = {
    "end of the script": "log(100)",
    "exit": "log(100); sys.exit(0)",
    "an exception": "log(100); raise RuntimeError('no weights')",
    "a block": "with journal: log(100)",
    "an exception in a block": "with journal:\n log(100)\n raise RuntimeError('no weights')",
    "a daemon's thread": (
        "threading.Thread(target=threading.Event().wait, daemon=True).start(); log(100)"
    ),
}


@pytest.mark.parametrize("script", ENDS.values(), ids=ENDS.keys())
def test_the_end_of_an_interpreter_commits(start: Start, directory: Path, script: str) -> None:
    code, _, err = finish(start(script))
    assert code == ("RuntimeError" in script), err
    assert ("no weights" in err) == ("RuntimeError" in script)
    assert len(lines(directory)) == CALLS


DEATHS = {
    "os._exit": "log(100); os._exit(3)",
    "abort": "log(100); os.abort()",
    "kill": "log(100); os.kill(os.getpid(), signal.SIGKILL)",
    "terminate": "log(100); os.kill(os.getpid(), signal.SIGTERM); threading.Event().wait(60)",
}


@pytest.mark.skipif(sys.platform != "linux", reason="lanes in shared memory are Linux's")
@pytest.mark.parametrize("script", DEATHS.values(), ids=DEATHS.keys())
def test_the_death_of_an_interpreter_loses_nothing(
    start: Start, directory: Path, script: str
) -> None:
    code, _, err = finish(start(script))
    assert code != 0, err
    assert len(taken_in(directory)) == CALLS


@pytest.mark.skipif(sys.platform == "win32", reason="signals are of unix")
def test_ctrl_c_ends_a_loop_and_keeps_its_decisions(start: Start, directory: Path) -> None:
    process = start("""
count = 0
try:
    print("ready", flush=True)
    while True:
        log(1)
        count += 1
except KeyboardInterrupt:
    print(count, flush=True)
    raise
""")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == -signal.SIGINT, err
    # The signal may come between the call and the count.
    assert len(taken_in(directory)) - int(out) in (0, 1)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are of unix")
def test_ctrl_c_ends_a_wait(start: Start, directory: Path) -> None:
    """Waits that follow each other without an end: nearly all of the time is spent in one."""
    process = start("""
print("ready", flush=True)
while True:
    log(1)
    journal.flush()
""")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == -signal.SIGINT, err
    assert "KeyboardInterrupt" in err


def test_two_interpreters_record_in_one_directory(start: Start, directory: Path) -> None:
    other = start("print('ready', flush=True); sys.stdin.readline(); log(100)")
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    with annals.open(directory, overflow={"block": "60s"}) as journal:
        log(journal.recorder("dqn", "ETH", ["BUY", "SELL"]))
        code, _, err = finish_after_a_line(other)
        assert code == 0, err
    assert len(taken_in(directory)) == 2 * CALLS


def finish_after_a_line(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate("\n", timeout=BOUND)
    return process.returncode, out, err


@needs_fork
def test_a_wait_lets_other_threads_run(journal: annals.Journal, tmp_path: Path) -> None:
    """A save reads from a pipe that this thread fills only while the save waits for it."""
    pipe = tmp_path / "weights.bin"
    os.mkfifo(pipe)
    registry = journal.registry()
    saved: list[annals.Checkpoint] = []
    thread = threading.Thread(target=lambda: saved.append(registry.save("dqn", pipe)))
    thread.start()
    with open(pipe, "wb") as weights:
        weights.write(b"weights")
    thread.join(BOUND)
    assert registry.load(saved[0]) == b"weights"


def test_threads_record_and_wait_together(journal: annals.Journal) -> None:
    recorder = journal.recorder("dqn", "ETH", ["BUY", "SELL"])
    meeting = threading.Barrier(2, timeout=BOUND)

    def work() -> None:
        for _ in range(5):
            meeting.wait()
            log(recorder, 10)
            journal.flush(BOUND)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    assert journal.health()["committed"] == 100
