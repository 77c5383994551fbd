"""Another revision of the code in an interpreter of its own, called in turn with this one."""

from __future__ import annotations

import json
import shutil
import subprocess
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from typing import IO, Final, Self

from pytest_concurrency.errors import BrokenPromise, UsageError
from pytest_concurrency.slo.deciding import share_of_look
from pytest_concurrency.slo.intervals import quantile_interval, quantile_of
from pytest_concurrency.slo.pairs import Comparison, read_claim, state_of
from pytest_concurrency.slo.perf import PerfTimer
from pytest_concurrency.slo.quantities import duration_ns

_SCALE: Final = 1e9
_FIRST_LOOK: Final = 10
_GROWTH: Final = 1.5
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


def _git(where: Path, *arguments: str, about: str) -> None:
    git = shutil.which("git") or "git"
    done = subprocess.run(  # noqa: S603 - git, with the revision that the user asked for
        [git, "-C", str(where), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["git said nothing"]
        msg = (
            f"--slo-against={about}: git cannot check it out: {said[0]}. "
            "Write a branch, a tag or a commit."
        )
        raise UsageError(msg)


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
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
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
            BrokenPromise: It has ended.
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
            raise BrokenPromise(msg)
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
        answers.write(json.dumps({"took": took}) + "\n")
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
        error: How often each verdict may be wrong.
    """
    limit, is_upper = read_claim(claim)
    budget_ns = duration_ns(seconds, where="--slo-against")
    yield 0
    timer.clear()
    rival.take(1)
    new_ns, old_ns, ratios = array("q"), array("q"), array("q")
    began_ns, next_look, look, rounds = perf_counter_ns(), _FIRST_LOOK, 0, 0
    while True:
        rounds += 1
        if rounds % 2:
            old_ns.append(rival.take(1)[0])
        yield rounds
        new_ns.append(timer.samples.without_waits()[-1])
        timer.clear()
        if not rounds % 2:
            old_ns.append(rival.take(1)[0])
        ratios.append(round(_SCALE * new_ns[-1] / max(old_ns[-1], 1)))
        is_last = perf_counter_ns() - began_ns > budget_ns
        if not is_last and rounds < next_look:
            continue
        ratio = quantile_interval(ratios, 0.5, error * share_of_look(look)).over(_SCALE)
        look, next_look = look + 1, int(rounds * _GROWTH)
        state = state_of(ratio, limit, is_upper=is_upper)
        if is_last or state != "undecided":
            break
    conclude(
        Comparison(
            claim=claim,
            state=state,
            ratio=ratio,
            pairs=rounds,
            new_ns=quantile_of(sorted(new_ns), 0.5),
            old_ns=quantile_of(sorted(old_ns), 0.5),
            confidence=1 - error,
        )
    )
