"""The whole study: cohort, dataset, federated, central and local models, evaluation and report.

    python -m launch.study --config=configs/demo.py --workdir=DIR [--config.rounds=3 ...]

A stage whose output is complete and whose inputs are unchanged is skipped with a word, so the same command
goes on where it was cut off. With `config.jobs` over 1, so many trainings run side by side, each a process of
its own (`launch.train`) on its share of the cores, because two small models on a core each are faster than
one after the other on two. With 1 they run in this process.
"""

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from absl import app, flags
from ml_collections import config_flags
from rich.console import Console

from fl_jax import report
from fl_jax.data import partition, slices
from fl_jax.data.phantom.cohort import make_cohort
from fl_jax.report.answer import sentence
from launch import dataset, experiment, progress, train

FLAGS = flags.FLAGS
PACKAGES = (
    *("fl_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy"),
    *("scikit-learn", "tensorflow-datasets", "pydicom", "opencv-python-headless"),
)


def study(config: experiment.Config, workdir: Path, arguments: list[str]) -> dict[str, Any]:
    """Runs every stage.

    Args:
        config: see `configs/demo.py`.
        workdir: the folder for everything.
        arguments: the flags that this program was called with; each training gets them too.

    Returns:
        The results, as in `results.json`.
    """
    console = Console(stderr=True, highlight=False)
    workdir.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(workdir, config)
    if config.source or not config.data_dir:
        with manifest.stage("cohort"):
            source = _cohort(config, workdir, console)
        with manifest.stage("dataset"):
            _dataset(config, workdir, source, console)
    experiment.partition(config, workdir, slices.load(experiment.data_dir(config, workdir)))
    with manifest.stage("training"):
        _train(config, workdir, arguments, console)
    with manifest.stage("report"):
        console.print("report ...")
        manifest.write()
        results = report.build(workdir, resamples=config.resamples, seed=config.seed)
    console.print(f"\n{sentence(results)}\n\nreport: {workdir / 'report.html'}", soft_wrap=True)
    return results


class Manifest:
    """`manifest.json`: what was run, with what, where, and how long each stage took."""

    def __init__(self, workdir: Path, config: experiment.Config) -> None:
        self._path = workdir / "manifest.json"
        known = json.loads(self._path.read_text()) if self._path.exists() else {}
        self.content: dict[str, Any] = {
            "config": config.to_dict(),
            "command": " ".join(
                [sys.executable.rsplit("/", 1)[-1], "-m", "launch.study", *sys.argv[1:]]
            ),
            "seed": config.seed,
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "versions": _versions(),
            "git": _git(),
            "device": known.get("device", ""),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "stages": known.get("stages", {}),
        }

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage; the time of a stage that was skipped stays what it was when it ran."""
        began = time.monotonic()
        yield
        seconds = round(time.monotonic() - began, 1)
        self.content["stages"][name] = max(seconds, self.content["stages"].get(name, 0.0))
        self.write()

    def write(self) -> None:
        """Writes the file; the device is what the trainings found."""
        for done in sorted(self._path.parent.glob("models/*/done.json")):
            self.content["device"] = json.loads(done.read_text())["device"]
        progress.write_json(self._path, self.content)


def _cohort(config: experiment.Config, workdir: Path, console: Console) -> Path:
    if config.source:
        return Path(config.source)
    with progress.counter("cohort", "patients", console) as tick:
        make_cohort(workdir / "cohort", **config.cohort, progress=tick)
    return workdir / "cohort"


def _dataset(config: experiment.Config, workdir: Path, source: Path, console: Console) -> None:
    summary = dataset.prepare(
        console,
        source,
        layout="sites",
        data_dir=experiment.data_dir(config, workdir),
        image_size=config.image_size,
        max_refused=config.max_refused,
        workers=None,
    )
    console.print(dataset.table(summary))
    notes = dataset.notes(summary)
    if notes is not None:
        console.print(notes)


def _train(
    config: experiment.Config, workdir: Path, arguments: list[str], console: Console
) -> None:
    sites = partition.load(workdir / "partition.csv").sites
    arms = [("federated", ""), ("central", ""), *(("local", site) for site in sites)]
    jobs, environment = share(config.jobs)
    bars = progress.Bars(console)
    if jobs == 1:
        with bars.progress:
            for regime, site in arms:
                own = config.copy_and_resolve_references()
                own.update(regime=regime, site=site)
                train.train(own, workdir, say=console.print, show=bars.show)
        return
    running: list[subprocess.Popen[str]] = []
    lock = threading.Lock()

    def show(event: progress.Event) -> None:
        with lock:
            bars.show(event)

    def run(regime: str, site: str) -> None:
        command = [sys.executable, "-m", "launch.train", *arguments, f"--workdir={workdir}"]
        command += [f"--config.regime={regime}", f"--config.site={site}", "--progress=lines"]
        _watch(command, environment, running, show, console)

    with ThreadPoolExecutor(jobs) as pool, bars.progress:
        futures = [pool.submit(run, regime, site) for regime, site in arms]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            for process in running:
                process.terminate()
            raise


def _watch(
    command: list[str],
    environment: dict[str, str],
    running: list[subprocess.Popen[str]],
    show: Callable[[progress.Event], None],
    console: Console,
) -> None:
    """Runs a training, passes on its events and sentences, and raises when it fails."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    running.append(process)
    said: list[str] = []

    def listen() -> None:
        assert process.stderr
        for line in process.stderr:
            said.append(line)
            console.print(line.rstrip(), markup=False)

    listener = threading.Thread(target=listen)
    listener.start()
    assert process.stdout
    for line in process.stdout:
        show(json.loads(line))
    status = process.wait()
    listener.join()
    if status:
        raise ValueError(f"{' '.join(command)} ended with status {status}: {''.join(said[-5:])}")


def share(jobs: int) -> tuple[int, dict[str, str]]:
    """How many trainings run side by side, and the environment that keeps each to its share.

    Args:
        jobs: as in the config; 0 for one a core on CPU, up to four, and for one on an accelerator.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    accelerated = _has_accelerator()
    jobs = jobs or (1 if accelerated else min(cores, 4))
    environment = dict(os.environ)
    if not accelerated and jobs > 1:
        threads = max(1, cores // jobs)
        wide = "true" if threads > 1 else "false"
        flags = f"--xla_cpu_multi_thread_eigen={wide} intra_op_parallelism_threads={threads}"
        environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {flags}".strip()
        environment["OMP_NUM_THREADS"] = str(threads)
    return jobs, environment


def _has_accelerator() -> bool:
    """Asks in a process of its own, so that this one does not take the accelerator's memory."""
    code = "import jax, sys; sys.exit(jax.default_backend() != 'cpu')"
    return bool(subprocess.run([sys.executable, "-c", code], capture_output=True).returncode)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _git() -> str:
    """The commit that the code is at, with `-dirty` where it was changed; empty outside of git."""
    root = Path(__file__).parent.parent
    command = [
        "git",
        "-C",
        str(root),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return ""


def main(argv: list[str]) -> None:
    """Parses flags and calls `study`."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments {argv[1:]}: flags begin with --")
    with progress.readable_errors():
        study(FLAGS.config, Path(FLAGS.workdir), sys.argv[1:])


if __name__ == "__main__":
    config_flags.DEFINE_config_file("config", None, "The experiment, a file in configs/.")
    flags.DEFINE_string("workdir", None, "Folder for everything that the study writes.")
    flags.mark_flags_as_required(["config", "workdir"])
    app.run(main)
