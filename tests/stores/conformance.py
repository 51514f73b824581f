"""What every journal must do. A backend's test module subclasses `JournalConformance` and says how to open it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator.errors import JournalConflictError, JournalError, RunBusyError
from orchestrator.ports.journal import Batch, InboxMessage, Journal, StoredBatch, StreamRow

NOW = 1_700_000_000.0
PATIENCE_S = 60.0


class Verdict:
    """A `done` that can be waited for."""

    def __init__(self) -> None:
        self.told = threading.Event()
        self.calls: list[BaseException | None] = []

    def __call__(self, error: BaseException | None) -> None:
        self.calls.append(error)
        self.told.set()

    def wait(self) -> BaseException | None:
        assert self.told.wait(PATIENCE_S), "the journal never called done"
        assert len(self.calls) == 1, "done was called more than once"
        return self.calls[0]


def row(stream: str, status: str = "running", **more: Any) -> StreamRow:
    return StreamRow(stream=stream, status=status, **more)


def batch(stream: str, expected: int, count: int = 1, **more: Any) -> Batch:
    more.setdefault("payload", f"{stream}:{expected}+{count}".encode() if count else b"")
    more.setdefault("row", row(stream))
    return Batch(stream=stream, expected=expected, count=count, **more)


def begin(journal: Journal, item: Batch) -> Verdict:
    verdict = Verdict()
    journal.append(item, verdict)
    return verdict


def append(journal: Journal, item: Batch) -> None:
    error = begin(journal, item).wait()
    if error is not None:
        raise error


class Heard:
    """A listener that can be waited for."""

    def __init__(self) -> None:
        self.streams: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, stream: str) -> None:
        with self._changed:
            self.streams.append(stream)
            self._changed.notify_all()

    def wait_for(self, stream: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: stream in self.streams, PATIENCE_S), f"heard {self.streams}"


class JournalConformance:
    @pytest.fixture
    def open_journal(self) -> Callable[[], Journal]:
        raise NotImplementedError

    @pytest.fixture
    def journal(self, open_journal: Callable[[], Journal]) -> Iterator[Journal]:
        journal = open_journal()
        yield journal
        journal.close()

    # Events

    def test_an_unknown_stream_is_empty(self, journal: Journal) -> None:
        assert list(journal.read("r")) == []
        assert journal.row("r") is None
        assert journal.inbox("r") == []
        assert journal.holder("r") is None

    def test_what_was_appended_is_read_in_order(self, journal: Journal) -> None:
        append(journal, batch("r", 0, 3, payload=b"abc"))
        append(journal, batch("r", 3, 1, payload=b"d"))
        append(journal, batch("s", 0, 2, payload=b"xy"))
        assert list(journal.read("r")) == [StoredBatch(1, 3, b"abc"), StoredBatch(4, 1, b"d")]
        assert list(journal.read("s")) == [StoredBatch(1, 2, b"xy")]

    @pytest.mark.parametrize(
        ("after", "firsts"), [(0, [1, 4, 5]), (1, [1, 4, 5]), (3, [4, 5]), (4, [5]), (5, [5]), (6, []), (99, [])]
    )
    def test_reading_after_a_number_gives_every_batch_with_a_later_event(
        self, journal: Journal, after: int, firsts: list[int]
    ) -> None:
        append(journal, batch("q", 0, 7))
        append(journal, batch("r", 0, 3))
        append(journal, batch("r", 3, 1))
        append(journal, batch("r", 4, 2))
        append(journal, batch("s", 0, 7))
        assert [stored.first for stored in journal.read("r", after)] == firsts

    def test_a_long_stream_is_read_whole(self, journal: Journal) -> None:
        verdicts = [begin(journal, batch("r", number)) for number in range(700)]
        assert [verdict.wait() for verdict in verdicts] == [None] * 700
        assert [stored.first for stored in journal.read("r")] == list(range(1, 701))
        assert [stored.first for stored in journal.read("r", 650)] == list(range(651, 701))

    def test_a_reader_that_pauses_stops_nobody(self, journal: Journal) -> None:
        append(journal, batch("r", 0))
        reading = journal.read("r")
        assert next(reading).first == 1
        append(journal, batch("r", 1))
        assert list(journal.read("r"))[-1].first == 2

    def test_payloads_are_any_bytes(self, journal: Journal) -> None:
        payload = bytes(range(256)) * 3000
        append(journal, batch("r", 0, 5, payload=payload))
        assert [stored.payload for stored in journal.read("r")] == [payload]

    def test_names_are_any_text(self, journal: Journal) -> None:
        names = ["a/b", "../up", "è 漢 🎈", "a'b\"c", "A", "a", "%", "x" * 500, "."]
        for name in names:
            append(journal, batch(name, 0, payload=name.encode()))
            with journal.claim(name):
                assert journal.holder(name)
        assert [next(journal.read(name)).payload.decode() for name in names] == names

    @pytest.mark.parametrize("expected", [0, 1, 3, 700])
    def test_a_stale_number_is_refused_and_nothing_is_written(self, journal: Journal, expected: int) -> None:
        append(journal, batch("r", 0, 2, row=row("r", workflow="before")))
        journal.send("r", "k", b"m")
        late = batch("r", expected, 1, row=row("r", "failed"), consumed=("k",))
        assert isinstance(begin(journal, late).wait(), JournalConflictError)
        kept = journal.row("r")
        assert kept is not None
        assert (kept.status, kept.workflow, kept.last) == ("running", "before", 2)
        assert [message.key for message in journal.inbox("r")] == ["k"]
        append(journal, batch("r", 2))

    def test_a_new_stream_begins_at_zero(self, journal: Journal) -> None:
        assert isinstance(begin(journal, batch("r", 5)).wait(), JournalConflictError)
        assert journal.row("r") is None
        append(journal, batch("r", 0))

    def test_a_refused_append_does_not_hurt_those_beside_it(self, journal: Journal) -> None:
        items = [batch("a", 0), batch("a", 0), batch("b", 0), batch("c", 9), batch("a", 1), batch("c", 0)]
        answers = [verdict.wait() for verdict in [begin(journal, item) for item in items]]
        assert [type(answer) for answer in answers] == [
            type(None),
            JournalConflictError,
            type(None),
            JournalConflictError,
            type(None),
            type(None),
        ]
        assert [len(list(journal.read(stream))) for stream in "abc"] == [2, 1, 1]

    @pytest.mark.parametrize(
        "bad",
        [
            batch("r", 0, 0, payload=b"x"),
            batch("r", 0, 1, payload=b""),
            batch("r", -1),
            batch("r", 0, -1, payload=b""),
            batch("", 0),
            batch("a\0b", 0),
            batch("r", 0, row=row("other")),
            batch("r", 0, row=row("r", summary={"x": object()})),
            batch("r", 0, consumed=("k", "k")),
            batch("r", 1 << 40),
        ],
    )
    def test_a_malformed_batch_is_refused_by_done(self, journal: Journal, bad: Batch) -> None:
        journal.send("r", "k", b"")
        assert isinstance(begin(journal, bad).wait(), JournalError)
        append(journal, batch("r", 0))

    def test_a_batch_that_cannot_be_stored_does_not_hurt_those_beside_it(self, journal: Journal) -> None:
        odd = batch("b", 0, row=row("b", workflow="\udcff"))
        verdicts = [begin(journal, item) for item in (batch("a", 0), odd, batch("c", 0))]
        answers = [verdict.wait() for verdict in verdicts]
        assert answers[0] is None
        assert answers[2] is None
        assert answers[1] is None or isinstance(answers[1], JournalError)

    def test_two_drivers_of_one_stream_never_both_win(self, journal: Journal) -> None:
        wins: list[int] = []

        def drive(name: int) -> None:
            for _ in range(30):
                known = journal.row("r")
                assert known is not None
                if begin(journal, batch("r", known.last, payload=b"%d" % name)).wait() is None:
                    wins.append(name)

        append(journal, batch("r", 0))
        threads = [threading.Thread(target=drive, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [stored.first for stored in journal.read("r")] == list(range(1, len(wins) + 2))
        assert sorted(int(stored.payload) for stored in journal.read("r", 1)) == sorted(wins)

    # Rows

    def test_the_row_is_as_the_last_append_wrote_it(self, journal: Journal) -> None:
        append(journal, batch("r", 0, 2, row=row("r", summary={"n": 1})))
        written = row(
            "r",
            "waiting",
            workflow="a/b.yaml",
            parent="p",
            started_at=12.5,
            ended_at=13.25,
            wake_at=14.75,
            concurrency_key="k",
            summary={"name": "è", "counts": {"a": [1, 2.5, None, True]}},
            last=99,
            inbox=99,
        )
        append(journal, batch("r", 2, 1, row=written))
        found = journal.row("r")
        assert found is not None
        assert found.last == 3
        assert found.inbox == 0
        for name in ("status", "workflow", "parent", "started_at", "ended_at", "wake_at", "concurrency_key", "summary"):
            assert getattr(found, name) == getattr(written, name), name

    def test_each_fact_of_a_row_can_change_alone(self, journal: Journal) -> None:
        changes: list[dict[str, Any]] = [
            {"status": "waiting"},
            {"workflow": "w"},
            {"parent": "p"},
            {"started_at": 1.0},
            {"ended_at": 2.0},
            {"wake_at": 3.0},
            {"concurrency_key": "c"},
            {"summary": {"a": 1}},
            {"ended_at": None},
            {"wake_at": None},
        ]
        facts: dict[str, Any] = {"status": "running"}
        append(journal, batch("r", 0, row=row("r")))
        for number, change in enumerate(changes, start=1):
            facts |= change
            append(journal, batch("r", number, row=row("r", **facts)))
            found = journal.row("r")
            assert found is not None
            assert {name: getattr(found, name) for name in facts} == facts

    def test_the_writer_may_reuse_what_it_handed_over(self, journal: Journal) -> None:
        summary = {"list": [1]}
        append(journal, batch("r", 0, row=row("r", summary=summary)))
        summary["list"].append(2)
        found = journal.row("r")
        assert found is not None
        found.summary["more"] = 1
        again = journal.row("r")
        assert again is not None
        assert again.summary == {"list": [1]}

    def test_an_append_without_events_writes_the_row_alone(self, journal: Journal) -> None:
        append(journal, batch("r", 0, 2))
        journal.send("r", "k", b"m")
        append(journal, batch("r", 2, 0, row=row("r", "waiting"), consumed=("k",)))
        found = journal.row("r")
        assert found is not None
        assert (found.status, found.last, found.inbox) == ("waiting", 2, 1)
        assert journal.inbox("r") == []
        assert [stored.first for stored in journal.read("r")] == [1]
        append(journal, batch("r", 2))

    def test_rows_are_newest_first(self, journal: Journal) -> None:
        for name, started in [("a", 1.0), ("b", 3.0), ("c", 2.0), ("d", 3.0)]:
            append(journal, batch(name, 0, row=row(name, started_at=started)))
        assert [found.stream for found in journal.rows()] == ["d", "b", "c", "a"]
        assert [found.stream for found in journal.rows(limit=2)] == ["d", "b"]
        assert journal.rows(limit=0) == []

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({}, "abcdefg"),
            ({"status": ("running",)}, "abd"),
            ({"status": ("failed", "waiting")}, "cef"),
            ({"status": ("paused",)}, ""),
            ({"workflow": "x.yaml"}, "ac"),
            ({"parent": ""}, "abcdg"),
            ({"parent": "a"}, "e"),
            ({"concurrency_key": "k"}, "cd"),
            ({"prefix": "a"}, "a"),
            ({"prefix": "%"}, "g"),
            ({"status": ("running",), "workflow": "x.yaml"}, "a"),
            ({"status": ("running",), "parent": "", "concurrency_key": "k"}, "d"),
        ],
    )
    def test_every_filter_given_must_match(self, journal: Journal, filters: dict[str, Any], expected: str) -> None:
        facts: dict[str, dict[str, Any]] = {
            "a": {"workflow": "x.yaml"},
            "b": {"workflow": "y.yaml"},
            "c": {"status": "failed", "workflow": "x.yaml", "concurrency_key": "k"},
            "d": {"concurrency_key": "k"},
            "e": {"status": "waiting", "parent": "a"},
            "f": {"status": "failed", "parent": "b"},
            "g": {"status": "succeeded"},
        }
        for name, fact in facts.items():
            stream = "%g" if name == "g" else name
            append(journal, batch(stream, 0, row=row(stream, **fact)))
        assert sorted(found.stream.strip("%") for found in journal.rows(**filters)) == list(expected)

    def test_due_finds_what_should_wake_earliest_first(self, journal: Journal) -> None:
        for name, wake_at in [("a", 30.0), ("b", 10.0), ("c", None), ("d", 20.0), ("e", 10.0)]:
            append(journal, batch(name, 0, row=row(name, wake_at=wake_at)))
        assert journal.due(9.9) == []
        assert journal.due(20.0) == ["b", "e", "d"]
        append(journal, batch("b", 1, row=row("b", wake_at=None)))
        append(journal, batch("c", 1, row=row("c", wake_at=1.0)))
        assert journal.due(20.0) == ["c", "e", "d"]

    # Inbox

    def test_mail_waits_in_order_of_arrival(self, journal: Journal) -> None:
        append(journal, batch("r", 0))
        for key in ("z", "a", "m"):
            assert journal.send("r", key, key.encode() * 2)
        journal.send("s", "other", b"")
        assert journal.inbox("r") == [InboxMessage("z", b"zz"), InboxMessage("a", b"aa"), InboxMessage("m", b"mm")]
        found = journal.row("r")
        assert found is not None
        assert found.inbox == 3

    def test_a_key_is_taken_for_ever(self, journal: Journal) -> None:
        assert journal.send("r", "k", b"first")
        assert not journal.send("r", "k", b"second")
        assert journal.inbox("r") == [InboxMessage("k", b"first")]
        append(journal, batch("r", 0, consumed=("k",)))
        assert not journal.send("r", "k", b"third")
        assert journal.inbox("r") == []
        assert journal.send("s", "k", b"another stream's key")
        found = journal.row("r")
        assert found is not None
        assert found.inbox == 1

    def test_mail_may_come_before_the_stream_begins(self, journal: Journal) -> None:
        assert journal.send("r", "k", b"early")
        assert journal.row("r") is None
        assert journal.rows() == []
        assert journal.due(NOW) == []
        assert journal.inbox("r") == [InboxMessage("k", b"early")]
        append(journal, batch("r", 0, inbox_seen=1, consumed=("k",)))
        found = journal.row("r")
        assert found is not None
        assert (found.last, found.inbox) == (1, 1)

    def test_parking_is_refused_when_mail_came_meanwhile(self, journal: Journal) -> None:
        append(journal, batch("r", 0, inbox_seen=0))
        append(journal, batch("r", 1, inbox_seen=0))
        journal.send("r", "k", b"wake")
        assert isinstance(begin(journal, batch("r", 2, inbox_seen=0)).wait(), JournalConflictError)
        assert isinstance(begin(journal, batch("r", 2, inbox_seen=2)).wait(), JournalConflictError)
        assert not journal.send("r", "k", b"again")
        append(journal, batch("r", 2, inbox_seen=1))
        append(journal, batch("r", 3, consumed=("k",)))
        append(journal, batch("r", 4, inbox_seen=1))

    def test_a_message_is_consumed_once(self, journal: Journal) -> None:
        append(journal, batch("r", 0))
        journal.send("r", "k", b"")
        journal.send("r", "l", b"")
        assert isinstance(begin(journal, batch("r", 1, consumed=("k", "never sent"))).wait(), JournalConflictError)
        assert [message.key for message in journal.inbox("r")] == ["k", "l"]
        append(journal, batch("r", 1, consumed=("k",)))
        assert isinstance(begin(journal, batch("r", 2, consumed=("k",))).wait(), JournalConflictError)
        assert [message.key for message in journal.inbox("r")] == ["l"]
        append(journal, batch("r", 2))

    def test_a_listener_hears_of_mail_for_its_stream(self, journal: Journal) -> None:
        heard, everything = Heard(), Heard()
        journal.listen("r", heard)
        journal.listen("", everything)
        journal.send("s", "k", b"")
        journal.send("r", "k", b"")
        heard.wait_for("r")
        everything.wait_for("s")
        everything.wait_for("r")
        assert set(heard.streams) == {"r"}

    def test_a_listener_hears_of_events_only_if_it_asked(self, journal: Journal) -> None:
        mail_only, events = Heard(), Heard()
        journal.listen("", mail_only)
        journal.listen("r", events, events=True)
        append(journal, batch("r", 0))
        events.wait_for("r")
        journal.send("s", "k", b"")
        mail_only.wait_for("s")
        assert mail_only.streams == ["s"]

    def test_whoever_ended_listening_hears_nothing(self, journal: Journal) -> None:
        left, stayed = Heard(), Heard()
        end = journal.listen("r", left)
        journal.listen("r", stayed)
        end()
        end()
        journal.send("r", "k", b"")
        stayed.wait_for("r")
        assert left.streams == []

    # Claims

    def test_a_claim_excludes_every_other(self, journal: Journal) -> None:
        with journal.claim("r"):
            holder = journal.holder("r")
            assert holder is not None
            assert holder.startswith("pid ")
            with pytest.raises(RunBusyError) as caught, journal.claim("r"):
                pass
            assert caught.value.holder == holder
            assert journal.holder("r") == holder
            with journal.claim("s"):
                pass
        assert journal.holder("r") is None
        with journal.claim("r"):
            pass

    def test_a_claim_is_freed_by_an_exception(self, journal: Journal) -> None:
        with pytest.raises(KeyError), journal.claim("r"):
            raise KeyError
        assert journal.holder("r") is None

    # Blobs and cache

    @pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 9000])
    def test_a_blob_comes_back_by_its_hash(self, journal: Journal, data: bytes) -> None:
        digest = journal.put_blob(data)
        assert digest == hashlib.sha256(data).hexdigest()
        assert journal.put_blob(data) == digest
        assert journal.get_blob(digest) == data

    @pytest.mark.parametrize("digest", ["0" * 64, "", "../../etc/passwd", "A" * 64, "ab"])
    def test_a_blob_that_is_not_there_is_an_error(self, journal: Journal, digest: str) -> None:
        with pytest.raises(JournalError):
            journal.get_blob(digest)

    def test_a_note_of_a_full_disk_stays_until_it_is_forgotten(self, journal: Journal) -> None:
        for stream in ("r", "r/agent/odd name\n"):
            assert journal.full_since(stream) is None
            journal.note_full(stream)
            journal.note_full(stream)
            assert journal.full_since(stream) is not None
            journal.forget_full(stream)
            journal.forget_full(stream)
            assert journal.full_since(stream) is None

    def test_the_cache_forgets_at_its_time(self, journal: Journal) -> None:
        journal.remember("k", b"v", NOW + 10)
        assert journal.recall("k", NOW) == b"v"
        assert journal.recall("k", NOW + 10) is None
        assert journal.recall("other", NOW) is None
        journal.remember("k", b"w", NOW + 20)
        assert journal.recall("k", NOW + 10) == b"w"
        journal.remember("k", b"", NOW + 30)
        assert journal.recall("k", NOW + 10) == b""

    # Life

    def test_close_waits_for_what_was_appended(self, open_journal: Callable[[], Journal]) -> None:
        journal = open_journal()
        verdicts = [begin(journal, batch("r", number)) for number in range(50)]
        journal.close()
        assert [verdict.calls for verdict in verdicts] == [[None]] * 50
        journal.close()

    def test_a_closed_journal_says_so(self, open_journal: Callable[[], Journal]) -> None:
        journal = open_journal()
        journal.close()
        assert isinstance(begin(journal, batch("r", 0)).wait(), JournalError)
        uses: list[Callable[[], object]] = [
            lambda: list(journal.read("r")),
            lambda: journal.row("r"),
            lambda: journal.rows(),
            lambda: journal.send("r", "k", b""),
            lambda: journal.inbox("r"),
            lambda: journal.listen("r", lambda _: None),
            lambda: journal.due(1.0),
            lambda: journal.claim("r").__enter__(),
            lambda: journal.holder("r"),
            lambda: journal.put_blob(b""),
            lambda: journal.get_blob("0" * 64),
            lambda: journal.remember("k", b"", 1.0),
            lambda: journal.recall("k", 1.0),
        ]
        for use in uses:
            with pytest.raises(JournalError):
                use()
