"""kill -9 of a real `whisper-flow run` at random moments, resumed until it ends, with an outside witness of every effect.

The witness is a file outside the state folder: tasks append a line when they begin and one when they end. After every kill the journal is
read back, and the invariants of `docs/explanation/durability.md` are checked against the witness. A seed decides the workload and
every moment, so a failure is replayed by its seed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.core.run_state import RunState
from orchestrator.core.status import SUCCEEDED, TASK_WORDS, UNKNOWN
from orchestrator.engine.fold import fold
from orchestrator.engine.inbox import Message, encode
from orchestrator.stores.sqlite import SqliteJournal, verify

LIVES_MAX = 60
ENDS = (0, 1, 5)
"""Exit codes of a run that ended or waits for a person's word."""

WORKFLOW = """\
name: crash
max_parallel: 4
tasks:
  first: {{run: "echo begin first $WHISPER_ATTEMPT >> '{witness}'; sleep {nap}; echo end first >> '{witness}'; echo one"}}
  each:
    foreach: [a, b, c, d, e]
    key: item
    max_parallel: 2
    run: "echo begin each $WHISPER_TASK >> '{witness}'; sleep {nap}; echo end each $WHISPER_TASK >> '{witness}'; echo ${{{{ item }}}}"
  once:
    after: first
    effect: at_most_once
    run: "echo begin once $WHISPER_ATTEMPT >> '{witness}'; sleep {nap}; echo end once >> '{witness}'"
  rounds:
    loop: {{until: step.n >= 3, max: 5}}
    tasks:
      step:
        run: "echo begin round $WHISPER_TASK >> '{witness}'; sleep {nap}; echo '{{\\"n\\": '${{{{ round }}}}'}}'"
        output: {{n: integer}}
  orphans:
    run: "setsid sh -c 'setsid sleep 600 & sleep 600' & echo begin orphans >> '{witness}'; sleep {nap}; echo ok"
  nap: {{wait: 50ms}}
  joined:
    after: [once, orphans, nap]
    set: "${{{{ first }}}} ${{{{ each | join(',') }}}} ${{{{ rounds.step.n }}}}"
outputs: {{joined: "${{{{ joined }}}}"}}
"""


class BrokenPromiseError(AssertionError):
    """Names the seed that shows it again."""


@dataclass
class Crash:
    seed: int
    folder: Path
    marker: str = field(default_factory=lambda: uuid.uuid4().hex)
    kills: int = 0
    recorded: dict[str, int] = field(default_factory=dict)
    """task name → how often it had begun when its result was first seen recorded"""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.witness = self.folder / "witness.log"
        self.state = self.folder / "state"
        (self.folder / "workflows").mkdir(parents=True)
        text = WORKFLOW.format(witness=self.witness, nap=f"{self.random.choice((0.01, 0.05, 0.1))}")
        (self.folder / "workflows" / "crash.yaml").write_text(text)

    # --- the life of a run

    def go(self) -> None:
        """Kill and resume until the run is over; raises BrokenPromiseError for what was promised and not kept."""
        run_id = None
        for _ in range(LIVES_MAX):
            self._one_life(run_id)
            with_journal = self._look()
            if with_journal is None:
                continue
            run_id, over = with_journal
            if over:
                self._at_the_end(run_id)
                return
        raise self._broken("the run never ended")

    def _one_life(self, run_id: str | None) -> None:
        words = ["run", "workflows/crash.yaml"] if run_id is None else ["resume", run_id]
        env = {**os.environ, "WHISPER_FLOW_STATE": str(self.state), "CRASH_MARKER": self.marker}
        # What is started under the run carries the marker only if it is passed on: the reaper hides the environment.
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.cli", *words, "--progress", "none"],
            cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            _, told = process.communicate(timeout=self.random.uniform(0.05, 1.2) if self.kills < 8 else 20.0)
        except subprocess.TimeoutExpired:
            self.kills += 1
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return
        if process.returncode not in ENDS:
            raise self._broken(f"exit {process.returncode}: {told.decode(errors='replace')[-2000:]}")

    def _look(self) -> tuple[str, bool] | None:
        if not (self.state / "journal.db").exists() and not any(self.state.glob("*.db")):
            return None
        journal = SqliteJournal(self.state)
        try:
            rows = journal.rows()
            if not rows:
                return None
            state = fold(journal, rows[0].stream)
            self._check_recorded(state)
            if state.status != rows[0].status:
                raise self._broken(f"the list says {rows[0].status}, the journal {state.status}")
            self._decide_about_unknowns(journal, rows[0].stream, state)
            return rows[0].stream, state.over
        finally:
            journal.close()

    def _decide_about_unknowns(self, journal: SqliteJournal, run_id: str, state: RunState) -> None:
        for task, status in enumerate(state.statuses):
            if status == UNKNOWN:
                how = self.random.choice(("succeeded", "failed"))
                message = Message(kind="resolve", task=state.name(task), how=how, value="said", by="harness")
                journal.send(run_id, uuid.uuid4().hex, encode(message))

    # --- what was promised

    def _check_recorded(self, state: RunState) -> None:
        begun = self._begun()
        for task, status in enumerate(state.statuses):
            name = state.name(task)
            if status == SUCCEEDED and state.nodes[task].scope is None and name in begun:
                known = self.recorded.setdefault(name, begun[name])
                if begun[name] > known:
                    raise self._broken(f"{name} has a recorded result and was begun again")
        if begun.get("once", 0) > 1:
            raise self._broken("an at_most_once task was begun twice")

    def _begun(self) -> dict[str, int]:
        found: dict[str, int] = {}
        if not self.witness.exists():
            return found
        for line in self.witness.read_text().splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "begin":
                name = words[2] if words[1] in ("each", "round") else words[1]
                found[name] = found.get(name, 0) + 1
        return found

    def _at_the_end(self, run_id: str) -> None:
        journal = SqliteJournal(self.state)
        try:
            state = fold(journal, run_id)
        finally:
            journal.close()
        once = state.find("once")
        good = once is not None and state.statuses[once] == SUCCEEDED
        words = {state.name(task): TASK_WORDS[status] for task, status in enumerate(state.statuses)}
        if state.status != ("succeeded" if good else "failed"):
            raise self._broken(f"the run ended {state.status}: {words}")
        joined = state.find("joined")
        assert joined is not None
        if good and state.values[joined] != b'"one a,b,c,d,e 3"':
            raise self._broken(f"the result is {state.values[joined]!r}")
        # A life that ended before its run was accepted leaves its claim's file behind; that is said, and binds nobody.
        findings = [finding for finding in verify(self.state) if finding.level != "info"]
        if findings:
            raise self._broken(f"the journal does not verify: {findings}")
        orphans = self._orphans()
        if orphans:
            raise self._broken(f"{len(orphans)} processes outlived the run: {orphans}")

    def _orphans(self) -> list[str]:
        """Processes whose command names this harness's own witness or sleep, below nobody."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    environ = (entry / "environ").read_bytes()
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
                if str(self.state).encode() in environ:
                    found.append(f"{entry.name} {command}")
        return found

    def _broken(self, what: str) -> BrokenPromiseError:
        return BrokenPromiseError(f"seed {self.seed} after {self.kills} kills: {what}")
