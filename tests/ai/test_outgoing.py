"""What goes out is kept from request to request: nothing but the cost may differ from making it anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ai.outgoing import Outgoing, tokens_bound
from orchestrator.core.messages import File, Image, Message, Text, ToolCall, ToolResult, assistant, user
from orchestrator.core.session_context import size

BLOBS = {"d1": b"one", "d2": b"two" * 100}
PARTS = st.one_of(
    st.builds(Text, st.text(max_size=20)),
    st.sampled_from([File("a.txt", "text/plain", b"", "d1"), Image("image/png", b"", "d2"), Image("image/png", b"px")]),
)
MESSAGES = st.one_of(
    st.builds(lambda parts: Message("user", tuple(parts)), st.lists(PARTS, max_size=3)),
    st.builds(assistant, st.text(max_size=20)),
    st.just(Message("assistant", (ToolCall("c1", "look", '{"at": 1}'),))),
    st.just(Message("tool", (ToolResult("c1", "look", "söme"),))),
)
STEPS = st.lists(st.tuples(st.sampled_from(["grow", "grow", "grow", "cut", "change"]), st.lists(MESSAGES, max_size=3)))


@given(STEPS)
def test_kept_messages_and_their_bounds_are_those_made_anew(steps: list[tuple[str, list[Message]]]) -> None:
    outgoing, context = Outgoing(BLOBS.__getitem__), [user("Hello?")]
    for what, messages in steps:
        match what:
            case "grow":
                context += messages
            case "cut":
                del context[: len(messages)]
            case _:
                context[: len(messages)] = messages
        fresh = Outgoing(BLOBS.__getitem__)
        sent = outgoing.messages(context)
        assert sent == fresh.messages(list(context))
        assert outgoing.tokens(sent) == tokens_bound(sent)
        assert outgoing.size(context) == size(context)


def test_a_turn_loads_and_measures_only_what_is_new() -> None:
    fetched: list[str] = []

    def blob(digest: str) -> bytes:
        fetched.append(digest)
        return BLOBS[digest]

    context = [Message("user", (File("a.txt", "text/plain", b"", "d1"),))]
    outgoing = Outgoing(blob)
    for number in range(5):
        sent = outgoing.messages(context)
        context.append(assistant(f"{number}"))
    assert fetched == ["d1"]
    assert sent[0].parts[0] == File("a.txt", "text/plain", b"one", "")
    assert len(sent) == 5


def test_messages_that_are_not_the_conversations_are_measured_as_they_are() -> None:
    outgoing = Outgoing(BLOBS.__getitem__)
    outgoing.messages([user("a long question")])
    assert outgoing.tokens((user("x"),)) == tokens_bound((user("x"),))
