"""What outlives a process besides people's files and the journal: workers that were added, and records that were logged.

The same two JSON files as `save` writes, in a folder of the state. Several processes may keep at once: each merges what it
changed into what the others wrote.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.workers.archive import Archive, Identity
from orchestrator.workers.definitions import WorkerDefinition
from orchestrator.workers.errors import WorkerInternalError, WorkerNotFoundError
from orchestrator.workers.files import read_definitions, read_performance, write_definitions, write_performance
from orchestrator.workers.performance import PerformanceRecord
from orchestrator.workers.store import DefinitionStore


class Kept:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, store: DefinitionStore, archive: Archive) -> None:
        """Raises InvalidArgumentError naming the place of what does not fit."""
        if not self.folder.is_dir():
            return
        with self._alone():
            store.take(self._definitions().values())
            archive.log(*self._records().values())

    def save(self, store: DefinitionStore, archive: Archive) -> tuple[str, ...]:
        """Returns ids whose inline key was not written. Raises WorkerInternalError."""
        with self._alone():
            definitions = self._definitions()
            definitions.update({one.definition_id: one for one in store.added()})
            for gone in store.removed():
                definitions.pop(gone, None)
            records = {**self._records(), **{one.identity: one for one in archive.logged()}}
            if records:
                write_performance(self.folder, records.values())
            return write_definitions(self.folder, definitions.values()).keys_left_out

    def _definitions(self) -> dict[str, WorkerDefinition]:
        try:
            return {one.definition_id: one for one in read_definitions(self.folder)}
        except WorkerNotFoundError:
            return {}

    def _records(self) -> dict[Identity, PerformanceRecord]:
        try:
            return {one.identity: one for one in read_performance(self.folder)}
        except WorkerNotFoundError:
            return {}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process reads or writes meanwhile."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
            finally:
                os.close(lock)
        except OSError as error:
            raise WorkerInternalError(f"{self.folder.name} cannot be used: {error.strerror}") from error
