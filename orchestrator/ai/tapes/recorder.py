"""TapeRecorder: the models are asked for real, and everything that goes by is written down."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, cast

from orchestrator import __version__
from orchestrator.ai.prices import PriceBook
from orchestrator.ai.tapes import prices as prices_of
from orchestrator.ai.tapes.canonical import canonical_request, key_of
from orchestrator.ai.tapes.format import Header
from orchestrator.ai.tapes.place import Surroundings, models_asked_here, where
from orchestrator.ai.tapes.prices import RecordedPrices
from orchestrator.ai.tapes.secrets import KnownSecrets
from orchestrator.ai.tapes.stream import SafeStream, error_shown, usage_shown
from orchestrator.ai.tapes.writing import TapeWriter
from orchestrator.core.budget import amount
from orchestrator.core.messages import Usage
from orchestrator.errors import WhisperFlowError
from orchestrator.ports.chat_model import (
    ChatEvent,
    ChatModel,
    ChatModelError,
    ChatRequest,
    Finished,
    UsageReported,
)

JSON = Any

_OUT_OF_TIME: Final = "the model did not finish its answer in time"


class TapeRecorder:
    """Implements ai.pool.Tape. One process records one tape; entries are durable before the answer counts.

    `path`: the file, made anew. `go_on`: append to what is there (a resumed run); `force`: record over it. `environ` is searched for
    keys, which never reach the tape. Raises UsageError if there is a tape already.
    """

    replaying: Final = False
    virtual: Final = False

    def __init__(
        self,
        path: Path | str,
        *,
        environ: Mapping[str, str] | None = None,
        workflow: str = "",
        digest: str = "",
        go_on: bool = False,
        force: bool = False,
    ) -> None:
        self.path = Path(path)
        self.around = Surroundings()
        self.secrets = KnownSecrets(os.environ if environ is None else environ)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        header = Header(created=created, engine=__version__, workflow=workflow, digest=digest)
        self._writer = TapeWriter(self.path, header, go_on=go_on, force=force)
        self.recorded = 0
        """Entries written by this recorder."""
        self._asked: prices_of.Known = {}
        self._books: dict[str, PriceBook] = {}
        self._once: set[str] = set()
        self._flushed: set[tuple[str, Usage]] = set()
        for entry in self._writer.taken_over:
            self._flushed |= set(prices_of.read(entry))
            if entry.get("entry") == "tools":
                said = {name: value for name, value in entry.items() if name not in ("ms", "conversation")}
                self._once.add(json.dumps(said))

    def wrap(self, provider: str, model: str, open_model: Callable[[], ChatModel]) -> ChatModel:
        return _RecordedModel(self, provider, open_model())

    def prices(self, book: PriceBook) -> PriceBook:
        return RecordedPrices(book, self._asked, self._books)

    def catch_up(self, stream: str) -> None:
        """What a conversation has on record is on the tape already."""

    async def keep(self, entry: dict[str, JSON]) -> None:
        """Return once it is durable. Raises WhisperFlowError."""
        self.recorded += 1
        await asyncio.shield(asyncio.to_thread(self._writer.append, entry))

    async def keep_once(self, entry: dict[str, JSON]) -> None:
        """The same for what need not be said twice: an agent's tools, opened by each of its attempts."""
        said = json.dumps({name: value for name, value in entry.items() if name not in ("ms", "conversation")})
        if said not in self._once:
            self._once.add(said)
            await self.keep(entry)

    def keep_now(self, entry: dict[str, JSON]) -> None:
        """The same, for whoever cannot wait because it is being cancelled."""
        self.recorded += 1
        self._writer.append(entry)

    def prices_asked(self, model: str, usage: Usage | None) -> dict[str, JSON]:
        """What this answer cost, and the prices that were asked since the last entry of its model."""
        new = {at: cost for at, cost in self._asked.items() if at[0] == model and at not in self._flushed}
        self._flushed |= set(new)
        cost = self._asked.get((model, usage)) if usage is not None else None
        said = {} if cost is None else {"cost": amount(cost)}
        return {**said, **({"prices": prices_of.shown(new)} if new else {})}

    async def learn_price(self, provider: str, model: str, usage: Usage) -> None:
        """The price of what an answer used: its entry is written before anybody else asks."""
        book = self._books.get(f"{provider}/{model}")
        if book is not None:
            await asyncio.to_thread(book.cost, provider, model, usage)

    def close(self) -> None:
        """Idempotent."""
        self._writer.close()


class _RecordedModel:
    """Implements ports.ChatModel over a real one."""

    def __init__(self, tape: TapeRecorder, provider: str, model: ChatModel) -> None:
        self._tape = tape
        self._provider = provider
        self._model = model
        self.synthetic = model.synthetic

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        recording = _Recording(self._tape, self._provider, request, self.synthetic)
        models_asked_here()
        try:
            async with aclosing(cast("Any", self._model.stream(request))) as events:
                async for event in events:
                    recording.take(event)
                    if isinstance(event, Finished):
                        await recording.end("answered")
                    yield event
            await recording.end("failed")
        except ChatModelError as error:
            await recording.end("failed", error)
            raise
        except (GeneratorExit, asyncio.CancelledError):
            recording.cut()
            raise

    async def close(self) -> None:
        await self._model.close()


class _Recording:
    """One request, from when it is sent to its entry."""

    def __init__(self, tape: TapeRecorder, provider: str, request: ChatRequest, synthetic: bool) -> None:
        self._tape = tape
        self._provider = provider
        self._request = request
        self._synthetic = synthetic
        self._safe = SafeStream(tape.secrets.redactor)
        self._usage: Usage | None = None
        self._began = time.monotonic()
        self._over = False

    @property
    def _ms(self) -> int:
        return round((time.monotonic() - self._began) * 1000)

    def take(self, event: ChatEvent) -> None:
        if isinstance(event, UsageReported):
            self._usage = event.usage
        self._safe.take(event, self._ms)

    async def end(self, end: Literal["answered", "failed"], error: ChatModelError | None = None) -> None:
        """Only the first end counts. Raises ChatModelError if the entry cannot be kept."""
        if self._over:
            return
        self._over = True
        if self._usage is not None and not self._synthetic:
            await self._tape.learn_price(self._provider, self._request.model, self._usage)
        try:
            await self._tape.keep(self._entry(end, error))
        except WhisperFlowError as failed:
            raise ChatModelError("internal", failed.message, retryable=False, help=failed.help) from failed

    def cut(self) -> None:
        """Ended from outside. What had no time left would have none when it is played either; the rest is unknown."""
        if self._over:
            return
        self._over = True
        limit = self._request.timeout
        if limit is not None and time.monotonic() - self._began >= limit:
            self._tape.keep_now(self._entry("failed", ChatModelError("timeout", _OUT_OF_TIME)))
        else:
            self._tape.keep_now(self._entry("cut", None))

    def _entry(self, end: str, error: ChatModelError | None) -> dict[str, JSON]:
        tape, request = self._tape, self._request
        redactor = tape.secrets.redactor
        canonical = canonical_request(self._provider, request, redactor)
        model = f"{self._provider}/{request.model}"
        who = {name: redactor.value(value) for name, value in where(request, tape.around).items()}
        return {
            "entry": "model",
            "key": key_of(canonical),
            **who,
            "model": model,
            **({"synthetic": True} if self._synthetic else {}),
            "end": end,
            "ms": self._ms,
            **({"usage": usage_shown(self._usage)} if self._usage is not None else {}),
            **tape.prices_asked(model, self._usage),
            **({"error": error_shown(error, redactor)} if error is not None else {}),
            "request": canonical,
            "events": self._safe.rows(),
        }
