"""TapePlayer: answers in the models' place. It opens no model, needs no key, imports no provider's SDK."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from orchestrator.ai.prices import PriceBook
from orchestrator.ai.tapes import prices as prices_of
from orchestrator.ai.tapes.canonical import canonical_request, key_of
from orchestrator.ai.tapes.format import Entry, read_tape
from orchestrator.ai.tapes.nearest import Asked, ReplayMissError, miss
from orchestrator.ai.tapes.place import Surroundings, conversation_of, run_of, where
from orchestrator.ai.tapes.prices import PlayedPrices
from orchestrator.ai.tapes.secrets import KnownSecrets
from orchestrator.ai.tapes.stream import error_of, events_of
from orchestrator.ai.tapes.virtual_time import pass_time
from orchestrator.ports.chat_model import ChatEvent, ChatModel, ChatRequest

JSON = Any
Speed = Literal["virtual", "real"]
_Lane = tuple[str, ...]


class TapePlayer:
    """Implements ai.pool.Tape. Entries are played first in, first out for each task, agent and request.

    `speed`: `virtual` waits for nothing; `real` takes as long as the recording did.
    `live_tools`: only models are played; tools are called. Raises NotFoundError, TapeError.
    """

    replaying: Final = True

    def __init__(
        self,
        path: Path | str,
        *,
        environ: Mapping[str, str] | None = None,
        speed: Speed = "virtual",
        live_tools: bool = False,
    ) -> None:
        self.path = Path(path)
        self.speed = speed
        self.live_tools = live_tools
        self.file = read_tape(self.path)
        self.around = Surroundings()
        self.secrets = KnownSecrets(os.environ if environ is None else environ)
        self.misses: list[ReplayMissError] = []
        self.used: set[int] = set()
        """Numbers of the entries that were played, or whose answers a resumed run has on record."""
        self.played = 0
        """Answers given by this player."""
        self._lanes: dict[_Lane, list[Entry]] = defaultdict(list)
        self._prices: prices_of.Known = {}
        self._known: set[str] = set()
        """Conversations that have been looked up in the record."""
        for entry in self.file.entries:
            self._prices.update(prices_of.read(entry.data))
            if entry.playable:
                self._lanes[(*entry.lane, entry.key)].append(entry)

    @property
    def virtual(self) -> bool:
        """Whether what was waited for passes at once."""
        return self.speed == "virtual"

    def wrap(self, provider: str, model: str, open_model: Callable[[], ChatModel]) -> ChatModel:
        return _PlayedModel(self, provider, self._synthetic(provider, model))

    def prices(self, book: PriceBook) -> PriceBook:
        return PlayedPrices(book, self._prices)

    def unused(self) -> list[Entry]:
        """What a complete replay did not ask for, in the tape's order."""
        played = [entry for entry in self.file.entries if entry.playable and entry.kind != "tools"]
        return [entry for entry in played if entry.number not in self.used]

    def _synthetic(self, provider: str, model: str) -> bool:
        said = [entry for entry in self.file.entries if entry.model == f"{provider}/{model}"]
        return all(entry.data.get("synthetic") for entry in said) if said else provider == "embedded"

    def take(self, asked: Asked, run_id: str) -> Entry:
        """The next entry for what was asked. Raises ReplayMissError, and lets the engine know."""
        for entry in self._lanes.get(self._lane_of(asked), ()):
            if entry.number not in self.used:
                self.used.add(entry.number)
                self.played += 1
                return entry
        raise self._missed(asked, run_id)

    def look(self, asked: Asked, run_id: str) -> Entry:
        """An entry that may be asked for any number of times. Raises as `take`."""
        found = self._lanes.get(self._lane_of(asked))
        if not found:
            raise self._missed(asked, run_id)
        return found[0]

    def _missed(self, asked: Asked, run_id: str) -> ReplayMissError:
        missed = miss(str(self.path), asked, self.file.entries, self.used)
        self.misses.append(missed)
        self.around.missed(run_id, missed)
        return missed

    @staticmethod
    def _lane_of(asked: Asked) -> _Lane:
        return (*(str(asked.who.get(name, "")) for name in ("run", "task", "agent")), asked.kind, asked.key)

    def catch_up(self, stream: str) -> None:
        """Pass over what a conversation has on record from before this process."""
        if stream in self._known:
            return
        self._known.add(stream)
        left = self.around.settled(stream)
        path = self.around.path_of(run_of(stream))
        name = conversation_of(stream)
        for entry in self.file.entries:
            if not left:
                break
            here = entry.kind == "model" and (entry.lane[0], entry.conversation) == (path, name)
            if here and entry.playable and entry.number not in self.used:
                self.used.add(entry.number)
                left -= 1
        for tool, arguments in self.around.tools_done(stream):
            self._pass_over(path, name, tool, self.secrets.redactor.value(arguments))

    def _pass_over(self, path: str, name: str, tool: str, arguments: JSON) -> None:
        for entry in self.file.entries:
            if entry.kind != "tool" or entry.number in self.used:
                continue
            asked = (entry.request.get("as"), entry.request.get("arguments"))
            if (entry.lane[0], entry.conversation) == (path, name) and asked == (tool, arguments):
                self.used.add(entry.number)
                return

    def close(self) -> None:
        """Nothing is open."""


class _PlayedModel:
    """Implements ports.ChatModel by what stands on the tape."""

    def __init__(self, tape: TapePlayer, provider: str, synthetic: bool) -> None:
        self._tape = tape
        self._provider = provider
        self.synthetic = synthetic

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        tape = self._tape
        if request.conversation:
            tape.catch_up(request.conversation)
        canonical = canonical_request(self._provider, request, tape.secrets.redactor)
        asked = Asked(where(request, tape.around), key_of(canonical), canonical)
        entry = tape.take(asked, run_of(request.conversation))
        past = 0
        for ms, event in events_of(entry.data["events"]):
            await self._until(ms, past)
            past = max(ms, past)
            yield event
        await self._until(int(entry.data.get("ms", past)), past)
        if isinstance(error := entry.data.get("error"), dict):
            raise error_of(error)

    async def _until(self, ms: int, past: int) -> None:
        if self._tape.speed == "real":
            await asyncio.sleep(max(ms - past, 0) / 1000)
        else:
            pass_time((ms - past) / 1000)

    async def close(self) -> None:
        """Nothing is open."""
