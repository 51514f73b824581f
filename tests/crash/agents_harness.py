"""kill -9 of a real run of agents with tools, at chosen moments, resumed until it ends; a model service is the outside witness.

A seed decides the scene, its budget, and every death: `commit N before` it is written or `after` it is durable, `request N` of a
life as it `arrived` (no byte is sent), `midway` through its stream or `sent` whole, `tool` before, within or after its effect, or
`time` in seconds. After each death the journal is held against what the service and the tools saw.
"""

from __future__ import annotations

import os
import random
import re
import select
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from crash.agent_scenes import SCENES, Scene, write
from crash.harness import BrokenPromiseError
from crash.model_service import MARK, Moment, Service
from crash.nursery import Nursery

from orchestrator.ai.ledger import PaidCall, conversation_calls
from orchestrator.ai.record import read_session
from orchestrator.bootstrap import verify
from orchestrator.core.budget import UNIT, money
from orchestrator.core.run_state import RunState
from orchestrator.core.session_events import CallAnswered, ExchangeFailed, decode_events
from orchestrator.engine.fold import fold
from orchestrator.stores.sqlite import SqliteJournal

LIVES_MAX = 30
PATIENCE_S = 60.0
TOOL_MOMENTS = ("begin", "middle", "end")


@dataclass
class Seen:
    """What a journal says of a run."""

    run_id: str
    state: RunState
    calls: list[PaidCall]
    answered: set[str]
    """Marks of the requests whose answers are recorded."""
    failures: set[str] = field(default_factory=set)
    """As what questions failed."""
    commits: int = 0
    money: list[tuple[float, int, int]] = field(default_factory=list)
    """Of each request: when it was sent, its bound, what it counts; in trillionths."""

    @property
    def peak(self) -> int:
        """The budget that this could just be done with, one request after the other."""
        spent = most = 0
        for _, bound, counted in sorted(self.money):
            most = max(most, spent + bound)
            spent += counted
        return most


@dataclass
class Quiet:
    """A scene as it goes when nobody dies."""

    output: str
    turns: int
    """Requests that were answered."""
    commits: int
    peak: int
    """The budget that it can just be done with, in trillionths."""

    def moments(self) -> list[str]:
        """Every single death: around each commit, at each request and around the tools' effects."""
        found = [f"commit {at} {when}" for at in range(1, self.commits + 1) for when in ("before", "after")]
        stages = ("arrived 0", "midway 0", "midway 300", "sent 0")
        found += [f"request {at} {stage}" for at in range(1, self.turns + 1) for stage in stages]
        return found + [f"tool {moment}" for moment in TOOL_MOMENTS]


class Stage:
    """What many runs share: the service, the nursery, and how each scene goes undisturbed."""

    def __init__(self, service: Service, nursery: Nursery, folder: Path) -> None:
        self.service, self.nursery, self.folder = service, nursery, folder
        self._quiet: dict[str, Quiet] = {}

    def quiet(self, scene: Scene) -> Quiet:
        if scene.name not in self._quiet:
            run = AgentCrash(self, scene, 0, self.folder / f"quiet {scene.name}", deaths=0)
            seen = run.go()
            turns = sum(not request.failed for request in self.service.requests)
            self._quiet[scene.name] = Quiet(run.output(seen), turns, seen.commits, seen.peak)
        return self._quiet[scene.name]


@dataclass
class AgentCrash:
    stage: Stage
    scene: Scene
    seed: int
    folder: Path
    deaths: int = 3
    bug: str = ""
    budget: str = ""
    kills: int = 0
    plan: list[str] = field(default_factory=list)
    """Deaths in the order they were tried, for whoever looks for a bug."""
    _recorded: dict[str, int] = field(default_factory=dict)
    """mark → the life at whose end its answer was first seen recorded"""
    _asks: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.state_dir = self.folder / "state"
        self.service = self.stage.service
        write(self.scene, self.folder, self.service.url, self.budget or self.scene.budget)

    # The life of a run

    def go(self, first: list[str] | None = None) -> Seen:
        """Kill and resume until the run is over; raises BrokenPromiseError for what was promised and not kept."""
        self.service.forget(self.scene.story)
        planned = list(first or [])
        seen: Seen | None = None
        for _ in range(LIVES_MAX):
            death = ""
            if self.kills < self.deaths:
                death = planned.pop(0) if planned else self._death()
            self._live(seen, death)
            seen = self._look()
            if seen is None:
                continue
            self._check(seen)
            if seen.state.over:
                self._at_the_end(seen)
                return seen
        raise self._broken("the run never ended")

    def _death(self) -> str:
        """Any of the scene's moments, or any time at all."""
        if self.random.random() < 0.2:
            return f"time {self.random.uniform(0.02, 0.8):.3f}"
        return self.random.choice(self.stage.quiet(self.scene).moments())

    def _live(self, seen: Seen | None, death: str) -> None:
        self.plan.append(death)
        kind, *words = death.split() or [""]
        env = {**os.environ, "WHISPER_FLOW_STATE": str(self.state_dir), "NO_PROXY": "127.0.0.1", "CRASH_BUG": self.bug}
        env["CRASH_AT_COMMIT"] = " ".join(words) if kind == "commit" else ""
        moment = Moment(int(words[0]), words[1], int(words[2])) if kind == "request" else None  # type: ignore[arg-type]
        if kind == "tool":
            (self.folder / f"die-{words[0]}").touch()
        nursery = self.stage.nursery
        self.service.new_life(moment, nursery.kill)
        out = self.folder / "told.log"
        nursery.begin(self._argv(seen), cwd=self.folder, env=env, out=out)
        status = nursery.ended(float(words[0]) if kind == "time" else PATIENCE_S)
        if status is None:
            nursery.kill()
            status = nursery.ended(PATIENCE_S)
            if kind != "time":
                raise self._broken(f"it hangs: {_tail(out)}")
        for name in TOOL_MOMENTS:
            (self.folder / f"die-{name}").unlink(missing_ok=True)
        self._over(status, out)

    def _over(self, status: int | None, out: Path) -> None:
        if status == -9:
            self.kills += 1
            return
        asked, self._asks = self._asks, status == 5
        if status == 5 and not self.scene.answer:
            raise self._broken(f"it waits for somebody: {_tail(out)}")
        told = _tail(out)
        if status in (70, None) or "Traceback" in told or (status not in (0, 1, 5, 6) and not asked):
            raise self._broken(f"exit {status}: {told}")

    def _argv(self, seen: Seen | None) -> list[str]:
        if seen is None:
            return ["run", "workflows/crash.yaml", "--progress", "plain", "--no-ask"]
        if self._asks:
            return ["answer", seen.run_id, "-p", self.scene.answer]
        return ["resume", seen.run_id, "--progress", "plain", "--no-ask"]

    # What the journal says

    def _look(self) -> Seen | None:
        if not any(self.state_dir.glob("*.db")):
            return None
        journal = SqliteJournal(self.state_dir)
        try:
            rows = journal.rows()
            runs = [row for row in rows if "/" not in row.stream and not row.parent]
            if not runs:
                return None
            (run,) = runs
            state = fold(journal, run.stream)
            if state.status != run.status:
                raise self._broken(f"the list says {run.status}, the journal {state.status}")
            seen = Seen(run.stream, state, [], set())
            for row in rows:
                self._read(journal, row.stream, seen)
            seen.calls.sort(key=lambda call: call.sent_at)
            return seen
        finally:
            journal.close()

    def _read(self, journal: SqliteJournal, stream: str, seen: Seen) -> None:
        last = 0
        talk = "/agent/" in stream
        for batch in journal.read(stream):
            if batch.first != last + 1:
                raise self._broken(f"{stream} has a gap between event {last} and {batch.first}")
            last = batch.first + batch.count - 1
            seen.commits += 1
            for event in decode_events(batch.payload) if talk else ():
                if isinstance(event, CallAnswered):
                    seen.answered |= _marks(event)
                elif isinstance(event, ExchangeFailed):
                    seen.failures.add(event.failure.type)
        if talk:
            seen.calls += conversation_calls(journal, stream)
            calls = read_session(journal, stream).calls
            seen.money += [(call.sent_at, call.cost_bound or 0, call.cost_counted) for call in calls]

    # What was promised

    def _check(self, seen: Seen) -> None:
        life, requests = self.service.life, list(self.service.requests)
        for request in requests:
            known = self._recorded.get(request.mark)
            if known is not None and request.life > known:
                raise self._broken(f"an answered and recorded turn of {request.model} is requested again")
        for mark, times in Counter(request.mark for request in requests if not request.failed).items():
            if times > 2:
                raise self._broken(f"request {mark} went out {times} times: what was cut off is repeated once")
        for mark in seen.answered:
            self._recorded.setdefault(mark, life)
        if len(requests) > len(seen.calls):
            raise self._broken(f"{len(requests)} requests went out, {len(seen.calls)} are on record")
        counted = sum(counted for _, _, counted in seen.money)
        came_to = sum(request.cost for request in requests)
        if came_to > counted and self.scene.priced:
            raise self._broken(f"requests came to {came_to}, the ledger counts {counted}")
        if (limit := self._limit()) is not None and max(came_to, counted) > limit:
            raise self._broken(f"{came_to} by the service, {counted} by the ledger, of a budget of {limit}")
        if len(requests) > self.scene.most:
            raise self._broken(f"{len(requests)} requests where the budget allows {self.scene.most}")
        self._check_effects()

    def _limit(self) -> int | None:
        said = re.match(r"cost: \$([0-9.]+)", self.budget or self.scene.budget)
        return money(said.group(1)) if said else None

    def _check_effects(self) -> None:
        witness = self.folder / "witness.log"
        lines = witness.read_text().splitlines() if witness.exists() else []
        for line, times in Counter(lines).items():
            if times > 1 and not line.startswith("again "):
                raise self._broken(f"had {times} times what may be had but once: {line}")

    def _at_the_end(self, seen: Seen) -> None:
        loose = [call for call in seen.calls if call.status == "in flight"]
        if loose:
            raise self._broken(f"the run is over, and {len(loose)} paid calls never came to an end")
        self._check_findings()
        if self.deaths:
            self._check_against(self.stage.quiet(self.scene), seen)

    def _check_against(self, quiet: Quiet, seen: Seen) -> None:
        requests = self.service.requests
        refused = sum(request.failed for request in requests)
        if len(requests) > quiet.turns + refused + self.kills:
            raise self._broken(
                f"{len(requests)} requests for {quiet.turns} turns, {refused} refusals and {self.kills} kills"
            )
        if seen.state.status == "succeeded":
            if self.output(seen) != quiet.output:
                raise self._broken(f"the output is {self.output(seen)!r}, undisturbed it is {quiet.output!r}")
        elif not self._may_fail(seen):
            raise self._broken(f"the run ended {seen.state.status}: {_tail(self.folder / 'told.log')}")

    def _may_fail(self, seen: Seen) -> bool:
        """A turn lost twice waits for a person's word; a budget may be used up by what was lost."""
        lost = Counter((call.conversation, call.turn) for call in seen.calls if call.status == "unknown")
        if any(times > 1 for times in lost.values()) and "lost" in seen.failures:
            return True
        return bool(lost) and (self.scene.tight or bool(self.budget)) and "budget" in seen.failures

    def output(self, seen: Seen) -> str:
        task = seen.state.find("t")
        assert task is not None
        value: Any = seen.state.values[task]
        if value is None:
            raise self._broken(f"the task has no value: {seen.state.status}: {_tail(self.folder / 'told.log')}")
        return MARK.sub("", str(msgspec.json.decode(value)))

    def _check_findings(self) -> None:
        findings = [finding for finding in verify(self.state_dir) if finding.level != "info"]
        if findings:
            raise self._broken(f"the journal does not verify: {findings}")
        for pid, command in self._orphans():
            if not _ends(pid, 10.0):
                raise self._broken(f"process {pid} outlived the run: {command}")

    def _orphans(self) -> list[tuple[int, str]]:
        """Processes that work in this project's folder."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    cwd = (entry / "cwd").readlink()
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
                if cwd.is_relative_to(self.folder):
                    found.append((int(entry.name), command))
        return found

    def _broken(self, what: str) -> BrokenPromiseError:
        where = f"{self.scene.name}, seed {self.seed}, deaths {self.plan}"
        return BrokenPromiseError(f"{where}, after {self.kills} kills: {what}")


def _ends(pid: int, within: float) -> bool:
    """Whether a process comes to its end in that time: a reaper may still be at work."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], within)[0])
    finally:
        os.close(process)


def _marks(event: CallAnswered) -> set[str]:
    said = event.message.text + " ".join(f"{call.id} " for call in event.message.tool_calls)
    return {one or other for one, other in MARK.findall(said)}


def _tail(out: Path) -> str:
    return out.read_text(errors="replace")[-2500:] if out.exists() else ""


def crash_of(stage: Stage, seed: int, folder: Path) -> tuple[AgentCrash, list[str]]:
    """The run of a seed, and its first death: all scenes in turn, in each of them all moments in turn, then chance alone.

    Every third has a budget that holds for an undisturbed run and not for much more.
    """
    scene = SCENES[seed % len(SCENES)]
    quiet = stage.quiet(scene)
    at, moments = seed // len(SCENES), quiet.moments()
    # Not from the first to the last: a short series shall see some of each kind.
    first = [moments[at * 7 % len(moments)]] if at < len(moments) else []
    tight = seed % 3 == 2 and scene.priced and scene.budget.startswith("cost")
    budget = f"cost: ${quiet.peak / UNIT:.12f}" if tight else ""
    return AgentCrash(stage, scene, seed, folder, budget=budget), first
