"""Conversations simulated: the real loop over a journal in memory, in virtual time, with a death at any commit. One seed, one history.

What models say follows from what they are asked alone; that they fail, hang up, answer out of form or ask for tools, sub-agents,
hand-offs and people is drawn from the seed. A world in which nobody dies and one in which somebody does must come to the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from ai.world import World
from crash.harness import BrokenPromiseError

from orchestrator.ai.record import read_session
from orchestrator.core.messages import Usage
from orchestrator.core.session_events import CallAnswered, ExchangeStopped, decode_events
from orchestrator.core.session_state import Call
from orchestrator.errors import JournalError, TaskError
from orchestrator.ports.chat_model import (
    ChatEvent,
    ChatModelError,
    ChatRequest,
    Finished,
    TextDelta,
    ToolCallDelta,
    ToolSpec,
    UsageReported,
)
from orchestrator.ports.journal import Batch, Done
from orchestrator.ports.tool import PersonNeeded, Question
from orchestrator.stores.memory import MemoryJournal
from orchestrator.testing.scripted import ScriptedModel

LIVES_MAX: Final = 60
POINTS: Final = {"type": "object", "properties": {"points": {"type": "integer"}}, "required": ["points"]}
ANSWER: Final = '{"points": 7}'
PASSING: Final = ("rate_limited", "overloaded", "outage", "timeout")
CONTEXT_MAX: Final = 9
"""Messages that a small model takes."""


class KilledError(JournalError):
    """The driver is dead: nothing it does reaches anybody any more."""


class Mortal(MemoryJournal):
    """Dies at one append: before it is written, or after it is durable and before anybody hears of it."""

    def __init__(self) -> None:
        super().__init__()
        self.dead = False
        self.appends = 0
        self.dies_at: int | None = None
        self.written = False

    def append(self, batch: Batch, done: Done) -> None:
        self.appends += 1
        if self.appends == self.dies_at:
            self.dead = True
            if self.written:
                super().append(batch, lambda error: None)
        if self.dead:
            done(KilledError("killed"))
        else:
            super().append(batch, done)


class Story(ScriptedModel):
    """A model that goes by what it is asked."""

    def __init__(self, world: SessionWorld, name: str) -> None:
        super().__init__()
        self._world = world
        self._name = name

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        world = self._world
        if world.journal.dead:
            raise KilledError("killed")
        mark = mark_of(self._name, request)
        earlier = world.asked[mark]
        draw = random.Random(f"{world.seed} {mark}")
        world.witness(mark)
        if len(request.messages) > CONTEXT_MAX and world.small:
            world.excused(mark)
            raise ChatModelError("context_too_long", "too long", charged=False)
        if earlier < draw.choice((0, 0, 0, 0, 1, 2)):
            world.excused(mark)
            if draw.random() < 0.4:
                yield TextDelta("Hal")
            await asyncio.sleep(0)
            if draw.random() < 0.3:
                return  # the stream ends early
            wait = draw.choice((None, None, 3.0, 45.0))
            raise ChatModelError(draw.choice(PASSING), "not now", retry_after=wait, charged=draw.random() < 0.5)
        for _ in range(draw.randrange(4)):
            await asyncio.sleep(0)
        async for event in self._answer(request, draw, mark):
            yield event

    async def _answer(self, request: ChatRequest, draw: random.Random, mark: str) -> AsyncIterator[ChatEvent]:
        known = [tool.name for tool in request.tools]
        wanted: list[str] = []
        if request.instructions.startswith("You sum up"):
            yield TextDelta("In short.")
        elif known and draw.random() < self._world.talkative:
            wanted = draw.choices(known, k=draw.choice((1, 1, 2, 3)))
        elif draw.random() < 0.15:
            yield TextDelta(f"no json {mark}")
        else:
            yield TextDelta(ANSWER)
        for index, name in enumerate(wanted):
            word = "message" if name.startswith("transfer") else "prompt"
            yield ToolCallDelta(index, f'{{"{word}": "{mark} {index}"}}', f"call_{mark}_{index}", name)
        yield UsageReported(Usage(len(request.messages) * 3, 5))
        yield Finished("tool_calls" if wanted else "stop", f"story {mark}")


def _counted(call: Call) -> int:
    """What a budget must count, worked out here once more: the usage, else the bound unless nothing can have been paid."""
    if call.usage is not None:
        return call.usage.input_tokens + call.usage.output_tokens
    return call.tokens_bound if call.status != "failed" or call.charged else 0


def mark_of(name: str, request: ChatRequest) -> str:
    said = msgspec.json.encode([name, request.instructions, request.messages, [tool.name for tool in request.tools]])
    return hashlib.blake2b(said, digest_size=6).hexdigest()


class WorldTool:
    """`look` is pure, `once` must not be done twice, `ask` waits for a person, `grant` for a person and then not twice, `flop` fails."""

    def __init__(self, world: SessionWorld, name: str) -> None:
        self._world = world
        self.name = name
        self.effect: Any = {"once": "at_most_once", "grant": "at_most_once", "look": "pure"}.get(name, "at_least_once")
        schema = {"type": "object", "properties": {"prompt": {"type": "string"}}}
        self.spec = ToolSpec(name=name, description=name, parameters=schema)

    async def call(self, arguments: dict[str, Any], call_id: str) -> str:
        world = self._world
        if self.name in ("ask", "grant") and call_id not in world.answers:
            raise PersonNeeded(Question(key=f"ask {call_id}", question="?", schema={"type": "object"}))
        if not world.journal.dead:
            world.effects[f"{self.name} {call_id}"] += 1
        for _ in range(world.random.randrange(3)):
            await asyncio.sleep(0)
        if self.name == "flop":
            raise TaskError("tool", f"flop {call_id}")
        return f"{self.name} {call_id}"


class SessionWorld:
    """One task of an agent among others, from its first question to its end, over several lives of its driver."""

    def __init__(self, seed: int, *, deaths: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.deaths = deaths
        self.small = self.random.random() < 0.4
        self.talkative = self.random.choice((0.3, 0.6))
        self.overflow = self.random.choice(("drop_oldest", "summarise"))
        self.tokens = self.random.choice((None, None, None, 4000, 7000, 12_000))
        self.on_exceeded = self.random.choice(("fail", "wrap_up"))
        self.exchanges = self.random.choice((1, 1, 3))
        self.asked: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.effects: Counter[str] = Counter()
        self.answers: set[str] = set()
        self.recorded: set[str] = set()
        self.seen: set[str] = set()
        """Kinds of events on record."""
        self.stopped = 0
        """Interruptions on record."""
        self.wrongs: list[str] = []
        """What a witness saw in the middle of things, where an error would be taken for a tool's."""
        self.kills = 0
        self.journal = Mortal()
        self.world = World(journal=self.journal)
        self.world.models = {"m": Story(self, "m"), "b": Story(self, "b")}
        self.world.start()
        self.tools: list[Any] = [WorldTool(self, name) for name in ("look", "once", "ask", "grant", "flop")]

    def witness(self, mark: str) -> None:
        self.asked[mark] += 1
        if mark in self.recorded:
            self.wrongs.append(f"request {mark} has a recorded answer and is asked again")

    def excused(self, mark: str) -> None:
        self.refused[mark] += 1

    # The life of a task

    async def run(self) -> list[str]:
        """What came of each exchange: its value, or the type of its failure."""
        ended = []
        for number in range(self.exchanges):
            ended.append(await self._exchange(f"r1:t{number}"))
        self._check_end()
        return ended

    async def _exchange(self, key: str) -> str:
        for _ in range(LIVES_MAX):
            self._choose_death()
            sessions = self.world.sessions(self.tools)
            try:
                return str((await self._lived(sessions.run_turns(self._call(key)))).value)
            except PersonNeeded as needed:
                self.answers.add(needed.question.key.rsplit(" ", 1)[-1])
            except KilledError:
                self.kills += 1
            except asyncio.CancelledError:
                pass
            except TaskError as error:
                if not self.journal.dead:
                    self._check_failure(error)
                    return error.type
                self.kills += 1
            self._next_life()
        raise self.broken("it never ends")

    async def _lived(self, life: Any) -> Any:
        """To its end, or until somebody interrupts it."""
        task = asyncio.ensure_future(life)
        ticks = self.random.randrange(400) if self.random.random() < 0.1 and self.deaths else None
        while ticks and not task.done():
            ticks -= 1
            await asyncio.sleep(0)
        if ticks == 0 and not task.done():
            task.cancel()
        return await task

    def _choose_death(self) -> None:
        journal = self.journal
        journal.dies_at = None
        if self.kills < self.deaths and self.random.random() < 0.8:
            journal.dies_at = journal.appends + self.random.randint(1, self.random.choice((3, 3, 12)))
            journal.written = self.random.random() < 0.5

    def _next_life(self) -> None:
        self.journal.dead = False
        self.world.start()
        self.stopped = 0
        for session in self._streams():
            last = 0
            for batch in self.journal.read(session):
                if batch.first != last + 1:
                    raise self.broken(f"{session} has a gap before event {batch.first}")
                last = batch.first + batch.count - 1
                for event in decode_events(batch.payload):
                    self.seen.add(type(event).__name__)
                    if isinstance(event, CallAnswered):
                        self.recorded.add(event.model.split()[-1])
                    elif isinstance(event, ExchangeStopped):
                        self.stopped += 1
        self._check()

    def _call(self, key: str) -> Any:
        limits = {"turns": 200} | ({"tokens": self.tokens} if self.tokens else {})
        config = {"max_tokens": 20, "retries": 3, "max_turns": 25, "on_overflow": self.overflow}
        agent = {"model": "scripted/m", "ai_config": config, "fallback": ["scripted/b"]}
        agents = {
            "chief": {**agent, "sub_agents": ["scout"], "handoffs": ["heir"]},
            "scout": agent,
            "heir": {**agent, "model": "scripted/b", "fallback": []},
        }
        budget = {"name": "run r1", "streams": "r1/agent/", "on_exceeded": self.on_exceeded, **limits}
        return self.world.call(
            key=key, task=key, session="talk" if self.exchanges > 1 else None, prompt=f"Question {key}?",
            agent_id="chief", agent=agents["chief"], agents=agents, failures=0, budgets=(budget,), output_schema=POINTS, repair=20,
        )  # fmt: skip

    # What was promised

    def _streams(self) -> list[str]:
        return [row.stream for row in self.journal.rows(prefix="r1/agent/")]

    def _calls(self) -> list[Call]:
        return [call for stream in self._streams() for call in read_session(self.journal, stream).calls]

    def _check(self) -> None:
        if self.wrongs:
            raise self.broken("; ".join(self.wrongs))
        calls, sent = self._calls(), self.asked.total()
        if sent > len(calls):
            raise self.broken(f"{sent} requests went out, {len(calls)} are on record")
        counted = sum(_counted(call) for call in calls)
        if self.tokens is not None and counted > self.tokens:
            raise self.broken(f"{counted} tokens of a budget of {self.tokens}")
        for what, times in self.effects.items():
            if what.startswith(("once", "grant")) and times > 1:
                raise self.broken(f"done {times} times: {what}")
        again = max((self.asked[mark] - self.refused[mark] for mark in self.asked), default=0)
        if again > 2 + self.stopped:
            raise self.broken(f"a request went out {again} times: what was cut off is repeated once")

    def _check_end(self) -> None:
        self._next_life()
        if loose := [call for call in self._calls() if call.status == "in flight"]:
            raise self.broken(f"{len(loose)} calls never came to an end")

    def _check_failure(self, error: TaskError) -> None:
        """Only what the seed asked for may go wrong."""
        lost = any(
            times > 1
            for stream in self._streams()
            for times in Counter(
                c.turn for c in read_session(self.journal, stream).calls if c.status == "unknown"
            ).values()
        )
        allowed = {"budget"} | ({"lost"} if lost else set())
        if self.tokens and self.on_exceeded == "wrap_up":
            allowed.update(PASSING)  # a last turn is another request, and fails for itself
        if error.type not in allowed:
            raise self.broken(f"it fails as {error.type}: {error.message}")

    def broken(self, what: str) -> BrokenPromiseError:
        return BrokenPromiseError(f"seed {self.seed} after {self.kills} kills: {re.sub(r'[^ -~]', '?', what)}")
