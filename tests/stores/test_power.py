"""The power is cut, the process is killed, the disk refuses: what was acknowledged is there, nothing is there by half.

`pytest tests/stores/test_power.py --images 5000 --first-seed 20` runs more of the same, from that workload on. A failure
names its workload and image; `--first-seed <workload> --images 1` replays it.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Literal

import apsw
import pytest
from sizes import size
from stores.conformance import append, batch, begin
from stores.workload import State, Workload, check_image, state_of

from orchestrator.errors import JournalError, JournalFullError
from orchestrator.stores import sqlite
from orchestrator.stores._writer import Writer
from orchestrator.stores._writes import Append, Store, Write
from orchestrator.stores.sqlite import SqliteJournal
from orchestrator.testing.power import Image, Operation, PowerDisk, refusals

IMAGES_PER_WORKLOAD = 10
STEPS = 25


@pytest.fixture
def images(request: pytest.FixtureRequest) -> int:
    given = request.config.getoption("--images", default=None)
    return int(given or size(request.config, here=200, ci=5_000, release=1_000_000))


@pytest.fixture
def first_seed(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--first-seed", default=0))


@pytest.fixture
def disk() -> Iterator[PowerDisk]:
    disk = PowerDisk()
    yield disk
    disk.close()


def cut(seed: int, folder: Path) -> Iterator[tuple[int, Image, list[State]]]:
    """A workload, and images of its disk at random moments with the states they may show."""
    random = Random(seed)
    synchronous: Literal["FULL", "NORMAL"] = random.choice(("FULL", "NORMAL"))
    disk = PowerDisk(seed=seed)
    taken: list[tuple[int, Image, int, int]] = []
    # About ten operations a step; the moments are drawn beforehand so that an image does not depend on the others.
    moments = {random.randrange(1, STEPS * 12): number for number in range(IMAGES_PER_WORKLOAD)}

    def before_each(operation: Operation) -> None:
        number = moments.get(operation.number)
        if number is not None:
            began = getattr(workload, "certain", 0)
            taken.append((number, disk.power_image(Random(f"{seed}/{number}")), began, workload_states()))

    def workload_states() -> int:
        return len(workload.states) if workload is not None else 1

    workload: Workload | None = None
    try:
        disk.before_each = before_each
        workload = Workload(seed, folder, vfs=disk.name, synchronous=synchronous)
        workload.run(STEPS)
    finally:
        disk.close()
    for number, image, certain, known in taken:
        yield number, image, workload.states[certain:known]


@pytest.mark.timeout(0)  # a release takes hours
def test_a_power_cut_loses_nothing_that_was_acknowledged(images: int, first_seed: int, tmp_path: Path) -> None:
    checked = 0
    for seed in itertools.count(first_seed):
        for number, image, allowed in cut(seed, tmp_path / f"work {seed}"):
            folder = tmp_path / f"image {seed} {number}"
            image.write_to(folder)
            try:
                check_image(folder, allowed)
            except BaseException as error:
                error.add_note(f"workload {seed}, image {number}: replay with --first-seed {seed} --images 1")
                raise
            shutil.rmtree(folder)
            checked += 1
        shutil.rmtree(tmp_path / f"work {seed}")
        if checked >= images:
            return


def plant_no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = sqlite.connect
    monkeypatch.setattr(sqlite, "connect", lambda path, **more: honest(path, **{**more, "synchronous": "OFF"}))


def plant_a_first_journal_that_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = sqlite.connect

    def connect(path: Path, **more: Any) -> apsw.Connection:
        return honest(path, **{**more, "synchronous": more.get("synchronous", "FULL").replace("EXTRA", "FULL")})

    monkeypatch.setattr(sqlite, "connect", connect)


def plant_acknowledged_before_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Writer._transaction
    waiting: list[Write] = []

    def transaction(writer: Writer, group: Sequence[Write]) -> list[BaseException | None]:
        verdicts = honest(writer, [*waiting, *group[:-1]])[len(waiting) :]
        waiting[:] = group[-1:]
        return [*verdicts, None]

    monkeypatch.setattr(Writer, "_transaction", transaction)


def plant_one_transaction_a_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Append._rewrite

    def rewrite(write: Append, store: Store) -> JournalError | None:
        refusal = honest(write, store)
        store.db.execute("COMMIT; BEGIN IMMEDIATE")
        return refusal

    monkeypatch.setattr(Append, "_rewrite", rewrite)


@pytest.mark.parametrize(
    "plant",
    [
        plant_no_sync,
        plant_a_first_journal_that_may_come_back,
        plant_acknowledged_before_the_commit,
        plant_one_transaction_a_statement,
    ],
)
def test_planted_bugs_are_seen(
    plant: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AssertionError, match=r"found .*, allowed|somebody else"):
        cut_with_a_bug(plant, tmp_path, monkeypatch)


def cut_with_a_bug(plant: Callable[[pytest.MonkeyPatch], None], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(30):
        with monkeypatch.context() as planted:
            plant(planted)
            images = list(cut(seed, folder / f"work {seed}"))
        for number, image, allowed in images:
            image.write_to(folder / f"image {seed} {number}")
            check_image(folder / f"image {seed} {number}", allowed)


def test_a_stop_at_every_operation_leaves_the_commit_before_or_after(tmp_path: Path, disk: PowerDisk) -> None:
    taken: list[tuple[Operation, Image, list[State]]] = []
    workload: Workload | None = None

    def before_each(operation: Operation) -> None:
        states = [state_of_nothing] if workload is None else workload.states
        acknowledged = 0 if workload is None else workload.acknowledged
        allowed = states[acknowledged:]
        taken.append((operation, disk.kill_image(), allowed))
        taken.append((operation, disk.power_image(Random(operation.number)), allowed))

    state_of_nothing = {name: (None, [], []) for name in ("a", "b", "c/d")}
    disk.before_each = before_each
    workload = Workload(5, tmp_path / "work", vfs=disk.name)
    workload.run(8)
    assert {operation.verb for operation, _, _ in taken} >= {"write", "sync"}
    assert len(taken) > 200
    for number, (operation, image, allowed) in enumerate(taken):
        image.write_to(tmp_path / f"{number}")
        try:
            check_image(tmp_path / f"{number}", allowed)
        except BaseException as error:
            error.add_note(f"stopped before {operation}")
            raise


def fail_once(disk: PowerDisk, refusal: str, number: int) -> None:
    """Operation `number`, or the next one that can fail this way, fails. Space is asked for by writes only."""
    verb = "sync" if refusal == "sync" else "write"

    def before_each(operation: Operation) -> None:
        if operation.number >= number and operation.verb == verb:
            disk.before_each = lambda operation: None
            raise refusals()[refusal]()

    disk.before_each = before_each


@pytest.mark.parametrize("refusal", ["full", "write", "sync"])
def test_a_failing_operation_fails_one_commit_and_nothing_else(
    refusal: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    stride = 1 if request.config.getoption("--release", default=False) else 3
    troubles = 0
    for failing in itertools.count(1, stride):
        disk = PowerDisk()
        try:
            fail_once(disk, refusal, failing)
            workload = Workload(11, tmp_path / f"{failing}", vfs=disk.name)
            workload.run(8)
            operations = disk.operations
        finally:
            disk.close()
        check_image(tmp_path / f"{failing}", workload.states[-1:])
        troubles += workload.troubles
        if operations < failing:
            break
    assert troubles > 5


def test_a_disk_that_stays_full_can_be_read_and_is_usable_again_with_space(tmp_path: Path, disk: PowerDisk) -> None:
    journal = SqliteJournal(tmp_path, vfs=disk.name)
    append(journal, batch("r", 0))

    def full(operation: Operation) -> None:
        if operation.verb == "write":
            raise refusals()["full"]()

    disk.before_each = full
    before = journal.row("r")
    for _ in range(5):
        assert isinstance(begin(journal, batch("r", 1)).wait(), JournalFullError)
        with pytest.raises(JournalFullError):
            journal.send("r", "k", b"m")
        assert journal.row("r") == before
        assert len(list(journal.read("r"))) == 1
        assert journal.inbox("r") == []
    disk.before_each = lambda operation: None
    append(journal, batch("r", 1))
    assert journal.send("r", "k", b"m")
    journal.close()
    assert state_of(SqliteJournal(tmp_path))["a"] == (None, [], [])
