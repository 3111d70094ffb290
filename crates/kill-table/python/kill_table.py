"""kill -9 at random moments, for ways to remember a decision in Python.

    python kill_table.py --rounds 20 [--only sqlite3,mlflow]

A child records decisions, every 200 µs or as fast as the call returns, and says the number of each
whose call returned, in eight bytes through a pipe. It is killed at a random moment, what it left is
opened as a user would, and the numbers are compared. Prints rows like those of the Rust program
beside it. Packages that are not installed are named and not run: mlflow (mlflow-skinny, sqlalchemy,
alembic, pandas), trackio, wandb, minari (with gymnasium and h5py).
"""

import argparse
import glob
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

PACE = 200e-6
BOUND = 120


# What is killed. `record` yields a function that records one number; `read` gives what is there.


class Sqlite:
    """sqlite3, a commit for each decision."""

    settings = ()

    def record(self, folder):
        import sqlite3

        connection = sqlite3.connect(os.path.join(folder, "decisions.db"), check_same_thread=False)
        for setting in self.settings:
            connection.execute(setting)
        connection.execute("CREATE TABLE IF NOT EXISTS decisions (number INTEGER, model TEXT, action TEXT)")
        connection.commit()

        def log(number):
            connection.execute("INSERT INTO decisions VALUES (?, 'dqn_agent', 'BUY')", (number,))
            connection.commit()

        return log

    def read(self, folder):
        import sqlite3

        connection = sqlite3.connect(os.path.join(folder, "decisions.db"))
        return [number for (number,) in connection.execute("SELECT number FROM decisions")]


class SqliteWal(Sqlite):
    """sqlite3, WAL, `synchronous = FULL`, a commit for each decision."""

    settings = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")


class Mlflow:
    """MLflow, metrics in SQLite, default settings."""

    synchronous = True
    packages = ("mlflow", "sqlalchemy")

    def tracking(self, folder):
        import logging

        import mlflow

        logging.disable(logging.WARNING)
        mlflow.set_tracking_uri("sqlite:///" + os.path.join(folder, "mlflow.db"))
        return mlflow

    def prepare(self, folder):
        # The schema takes seconds to make: once for all rounds.
        self.tracking(folder).create_experiment("kills", artifact_location=folder)

    def record(self, folder):
        mlflow = self.tracking(folder)
        mlflow.set_experiment("kills")
        mlflow.start_run(log_system_metrics=False)

        def log(number):
            mlflow.log_metric("confidence", 0.85, step=number, synchronous=self.synchronous)

        return log

    def read(self, folder):
        import sqlite3

        # The tables that its own client reads, without the seconds that this takes.
        connection = sqlite3.connect(os.path.join(folder, "mlflow.db"))
        return [step for (step,) in connection.execute("SELECT step FROM metrics WHERE key = 'confidence'")]


class MlflowAsync(Mlflow):
    """MLflow, metrics in SQLite, `synchronous=False`."""

    synchronous = False


class Trackio:
    """trackio, local, default settings."""

    packages = ("trackio",)

    def record(self, folder):
        os.environ["TRACKIO_DIR"] = folder
        import trackio

        # What it prints would be taken for numbers.
        sys.stdout = sys.stderr
        run = trackio.init(project="kills", name="run", embed=False)

        def log(number):
            run.log({"confidence": 0.85, "number": number})

        return log

    def read(self, folder):
        import json
        import sqlite3

        numbers = []
        for path in glob.glob(os.path.join(folder, "**", "kills*.db"), recursive=True):
            connection = sqlite3.connect(path)
            for (metrics,) in connection.execute("SELECT metrics FROM metrics"):
                numbers.append(json.loads(metrics)["number"])
        return numbers


class Wandb:
    """W&B, offline, default settings."""

    packages = ("wandb",)

    def record(self, folder):
        os.environ.update(WANDB_MODE="offline", WANDB_DIR=folder, WANDB_SILENT="true")
        os.environ.update(WANDB_CACHE_DIR=folder, WANDB_CONFIG_DIR=folder, WANDB_DATA_DIR=folder)
        import wandb

        sys.stdout = sys.stderr
        run = wandb.init(project="kills")

        def log(number):
            run.log({"confidence": 0.85, "number": number})

        return log

    def read(self, folder):
        import json

        from wandb.proto import wandb_internal_pb2

        # Its own process outlives ours and writes on: it gets a second for that.
        time.sleep(1)
        numbers = []
        for path in glob.glob(os.path.join(folder, "wandb", "offline-run-*", "*.wandb")):
            with open(path, "rb") as file:
                records = leveldb_records(file.read())
            for data in records:
                record = wandb_internal_pb2.Record()
                record.ParseFromString(data)
                for item in record.history.item:
                    if item.key == "number" or list(item.nested_key) == ["number"]:
                        numbers.append(json.loads(item.value_json))
        return numbers


def leveldb_records(data):
    """Records of a file of W&B, as its package has no reader for them: a log like LevelDB's."""
    block, header, position, parts = 32_768, 7, 7, b""
    while position + header <= len(data):
        left = block - position % block
        if left < header:
            position += left
            continue
        (_, length, kind) = struct.unpack("<IHB", data[position : position + header])
        position += header
        if kind not in (1, 2, 3, 4) or position + length > len(data):
            # Not written yet, or cut off.
            return
        parts += data[position : position + length]
        position += length
        if kind in (1, 4):
            yield parts
            parts = b""


class Minari:
    """Minari, `DataCollector`, episodes of 100 steps, default settings."""

    packages = ("minari", "gymnasium", "h5py")

    def record(self, folder):
        os.environ["MINARI_DATASETS_PATH"] = folder
        import gymnasium
        import minari
        import numpy

        class Numbers(gymnasium.Env):
            observation_space = gymnasium.spaces.Box(0, 1 << 40, (1,), numpy.float64)
            action_space = gymnasium.spaces.Discrete(2)
            number = 0

            def reset(self, seed=None, options=None):
                super().reset(seed=seed)
                return numpy.array([float(self.number)]), {}

            def step(self, action):
                done = self.number % 100 == 99
                return numpy.array([float(self.number)]), 0.0, done, False, {}

        environment = Numbers()
        collector = minari.DataCollector(environment)
        collector.reset()

        def log(number):
            environment.number = number
            (_, _, done, _, _) = collector.step(1)
            if done:
                collector.reset()

        return log

    def read(self, folder):
        os.environ["MINARI_DATASETS_PATH"] = folder
        import minari

        names = list(minari.list_local_datasets())
        if not names:
            raise RuntimeError("there is no dataset: it is made from the collector at the end")
        numbers = []
        for name in names:
            for episode in minari.load_dataset(name):
                numbers.extend(int(value) for value in episode.observations[1:, 0])
        return numbers


SUBJECTS = {
    "sqlite3": Sqlite(),
    "sqlite3-wal": SqliteWal(),
    "mlflow": Mlflow(),
    "mlflow-async": MlflowAsync(),
    "trackio": Trackio(),
    "wandb": Wandb(),
    "minari": Minari(),
}
NOT_RUN = {"lerobot": "113 packages of 4.6 GB"}


def child(name, folder):
    # Its own descriptor: what packages print goes elsewhere.
    pipe = os.dup(1)
    os.dup2(2, 1)
    log = SUBJECTS[name].record(folder)
    number = 0
    due = time.perf_counter()
    while True:
        log(number)
        os.write(pipe, struct.pack("<Q", number))
        number += 1
        due += PACE
        while time.perf_counter() < due:
            pass
        due = time.perf_counter()


def hear(pipe, told, first):
    while chunk := os.read(pipe, 1 << 16):
        told += chunk
        first.set()
    first.set()


def one_round(name, folder):
    """Numbers that were told, those that are there, and why they cannot be read."""
    command = [sys.executable, os.path.abspath(__file__), "--child", name, folder]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    told, first = bytearray(), threading.Event()
    listener = threading.Thread(target=hear, args=(process.stdout.fileno(), told, first))
    listener.start()
    if not first.wait(BOUND) or not told:
        process.kill()
        process.wait()
        raise RuntimeError(f"{name} recorded nothing")
    time.sleep(random.uniform(0.02, 0.4))
    # The process alone, as the kernel would: helpers that it started go on.
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    if name == "wandb":
        # Its helper has the pipe too.
        time.sleep(0.5)
    else:
        listener.join(BOUND)
    whole = len(told) // 8 * 8
    numbers = [number for (number,) in struct.iter_unpack("<Q", bytes(told[:whole]))]
    try:
        found, why = SUBJECTS[name].read(folder), None
    except Exception as error:
        found, why = [], error
    finally:
        end_helpers(process.pid)
    listener.join(BOUND)
    return numbers, found, why


def end_helpers(session):
    """Ends what the dead child started: all processes of its session."""
    try:
        os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:
        pass


def missing_packages(subject):
    missing = []
    for package in getattr(subject, "packages", ()):
        tried = subprocess.run([sys.executable, "-c", f"import {package}"], capture_output=True)
        if tried.returncode != 0:
            missing.append(package)
    return missing


def row(name, rounds):
    subject = SUBJECTS[name]
    missing = missing_packages(subject)
    if missing:
        return f"| {subject.__doc__[:-1]} | not run: no {', '.join(missing)} | | | | | | |"
    told_sum = lost_sum = lost_most = losing = unreadable = silent = 0
    with tempfile.TemporaryDirectory() as prepared:
        if hasattr(subject, "prepare"):
            subject.prepare(prepared)
        for _ in range(rounds):
            folder = tempfile.mkdtemp()
            try:
                shutil.copytree(prepared, folder, dirs_exist_ok=True)
                numbers, found, why = one_round(name, folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            lost = len(set(numbers) - set(found))
            told_sum += len(numbers)
            lost_sum += lost
            lost_most = max(lost_most, lost)
            losing += lost > 0
            unreadable += why is not None
            # None of these says that something may be missing, unless it cannot be read at all.
            silent += lost > 0 and why is None
    cells = [
        subject.__doc__[:-1],
        rounds,
        f"{-(-told_sum // rounds):,}",
        f"{-(-lost_sum // rounds):,}",
        f"{lost_most:,}",
        losing,
        unreadable,
        silent,
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--only", default=",".join(SUBJECTS))
    parser.add_argument("--child", nargs=2)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
    print(
        "| what | rounds | acknowledged, mean | lost, mean | lost, most | rounds with a loss"
        " | unreadable until repaired | loss not reported |\n|---|---|---|---|---|---|---|---|"
    )
    for name in arguments.only.split(","):
        try:
            print(row(name, arguments.rounds), flush=True)
        except RuntimeError as error:
            print(f"| {SUBJECTS[name].__doc__[:-1]} | not run: {error} | | | | | | |", flush=True)
    for name, why in NOT_RUN.items():
        print(f"| {name} | not run: {why} | | | | | | |")


if __name__ == "__main__":
    main()
