"""A hand-off: a tool's result that lets the conversation go on with another agent.

A tool that wants it returns `HandOff(agent_id, message)` from its `call`. The loop then

1. finds the agent's seat through the callable it was made with (`AILoopFactory.create(..., agents=find)`; `find(agent_id)` is a
   coroutine function that returns what `AILoopFactory.seat(...)` makes). What it raises (NotFoundError, UsageError,
   CredentialsError, TaskError) goes back to the model as the call's error, and the old agent goes on;
2. waits for the other calls of the same turn. Of several hand-offs in one turn the first to come back holds; the others stand
   on record as not done;
3. records `HandedOff` and asks the next request under the new agent's terms: its model, settings, instructions, tools, fallback
   and overflow policy. The prompt, the question's own instructions, `output_schema`, `repair`, `max_turns`, the deadline
   and the budgets stay those of the question; turns are counted on, so two agents cannot hand over to each other for ever.

What the new agent sees: everything that was said, as plain messages (the texts of user and assistant, and files), without one
tool call or result, since it may not know those tools. What the old agent's tools gave since the question was asked stands as
text behind the question, each result cut at 2,000 characters, and last the `message`. So roles alternate, and no provider
meets a tool that is not offered.

A hand-off holds until the question is answered: `LoopAnswer.agent` says who answered. Whoever wants the conversation to stay
there calls `await loop.switch(answer.agent)`; a workflow names the agent with every task.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class HandOff:
    agent_id: str
    """Who takes over: an id that the loop's `agents` callable knows."""
    message: str = ""
    """What the old agent wants the new one to know; the model's own words."""
