"""Another revision of the code in an interpreter of its own, called in turn with this one."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from typing import IO, Final, Self

from pytest_concurrency.errors import BrokenPromise, UsageError
from pytest_concurrency.slo.pairs import ORDERS, Comparison, Ratios
from pytest_concurrency.slo.perf import PerfTimer
from pytest_concurrency.slo.quantities import duration_ns

_ERROR: Final = 0.01
_GRACE_SECONDS: Final = 5.0


@contextmanager
def revision(ref: str, *, of: Path) -> Iterator[Path]:
    """Check a git revision out beside the project, and take it away again.

    Args:
        ref: A branch, tag or commit.
        of: A directory of the repository.

    Raises:
        UsageError: Git does not know it.
    """
    with TemporaryDirectory(prefix="slo-against-") as parent:
        tree = Path(parent) / "tree"
        _git(of, "worktree", "add", "--detach", "--force", str(tree), ref, about=ref)
        try:
            yield tree
        finally:
            _git(of, "worktree", "remove", "--force", str(tree), about=ref)


def root_of(directory: Path, *, ref: str) -> Path:
    """Return the root of the work tree that a directory lies in.

    Raises:
        UsageError: It lies in none.
    """
    return Path(_git(directory, "rev-parse", "--show-toplevel", about=ref).strip()).resolve()


def _git(where: Path, *arguments: str, about: str) -> str:
    git = shutil.which("git") or "git"
    done = subprocess.run(
        [git, "-C", str(where), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["git said nothing"]
        advice = "Write a branch, a tag or a commit."
        if "not a git repository" in said[0]:
            advice = "Run pytest in a directory of one."
        msg = f"--slo-against={about}: git cannot check it out: {said[0]}. {advice}"
        raise UsageError(msg)
    return done.stdout


class RivalEnded(BrokenPromise):
    """The other interpreter has ended; ``status`` is what it ended with."""

    __module__ = "pytest_concurrency"

    def __init__(self, text: str, status: int) -> None:
        """Keep the status beside the text."""
        super().__init__(text)
        self.status = status


class Rival:
    """The other interpreter; it makes a call whenever it is asked to.

    Args:
        command: What to start; it must end up in :func:`answer`.
        cwd: Where to start it.
        env: Its environment.
    """

    def __init__(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None
    ) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def take(self, calls: int) -> list[int]:
        """Have it make some calls, and return their nanoseconds, waits taken out.

        Raises:
            RivalEnded: It has ended.
        """
        requests, answers = self._process.stdin, self._process.stdout
        line = ""
        if requests is not None and answers is not None:
            try:
                requests.write(json.dumps({"take": calls}) + "\n")
                requests.flush()
                line = _next_answer(answers)
            except OSError:
                line = ""
        if not line:
            status = self._process.wait()
            msg = (
                f"the other revision ended with status {status} before it was compared. "
                "Run the test on that revision alone to see why."
            )
            raise RivalEnded(msg, status)
        took: list[int] = json.loads(line)["took"]
        return took

    def close(self) -> None:
        """Let it end, and end it if it does not."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.close()


def _next_answer(answers: IO[str]) -> str:
    """Return the next line that is an answer; a test may print lines of its own."""
    return next((line for line in answers if line.startswith('{"took"')), "")


def answer(timer: PerfTimer, requests: IO[str], answers: IO[str]) -> Iterator[int]:
    """Yield once for each call that the other side asks for, and tell it what each took.

    This is what ``until_decided`` does in the other interpreter.
    """
    rounds = 0
    for line in requests:
        asked = json.loads(line)["take"]
        timer.clear()
        while len(timer) < asked:
            rounds += 1
            yield rounds
        took = list(timer.samples.without_waits())
        answers.write("\n" + json.dumps({"took": took}) + "\n")  # others write there too
        answers.flush()


def race(
    timer: PerfTimer,
    rival: Rival,
    claim: str = "new <= 1.10x old",
    *,
    conclude: Callable[[Comparison], None],
    seconds: float | str = 10.0,
    error: float = _ERROR,
) -> Iterator[int]:
    """Yield a call here for each call of the rival, until the claim is decided.

    The timer keeps no samples meanwhile: only the claim is judged.

    Args:
        timer: The timer of the test that runs here.
        rival: The same test at the other revision.
        claim: What must hold of new, which is here, and old.
        conclude: Called with what was found.
        seconds: The longest to go on.
        error: How often a verdict may be wrong.
    """
    budget_ns = duration_ns(seconds, where="--slo-against")
    ratios = Ratios(claim, error=error)
    yield 0
    rival.take(1)
    timer.clear()
    try:
        yield from _pairs(timer, rival, ratios, budget_ns)
    except RivalEnded as ended:
        if ended.status or not ratios.pairs:
            raise  # else a loop of its own there was the shorter one
        ratios.look(is_last=True)
    conclude(ratios.comparison())


def _pairs(timer: PerfTimer, rival: Rival, ratios: Ratios, budget_ns: int) -> Iterator[int]:
    draw = Random(0)  # noqa: S311 - an order, not a secret
    began_ns, has_ended = perf_counter_ns(), False
    while not has_ended:
        new_ns: list[float] = []
        old_ns: list[float] = []
        for is_rival in draw.choice(ORDERS):
            if is_rival:
                old_ns += rival.take(1)
                continue
            yield ratios.pairs + len(new_ns) + 1
            new_ns.append(timer.samples.without_waits()[-1])
            timer.clear()
        ratios.add(new_ns, old_ns)
        has_ended = ratios.look(is_last=perf_counter_ns() - began_ns > budget_ns)
