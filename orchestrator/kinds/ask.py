"""`ask:` puts a question to a person; the engine keeps it, checks the answer and goes on with it.

Fields: `{question, schema, to, show, expires, on_expired}`; `schema` is the JSON Schema of the form.
"""

from __future__ import annotations

from orchestrator.kinds._kind import ImmediateKind
from orchestrator.kinds._words import seconds_of, word_of
from orchestrator.ports.task_kind import Asking, Attempt


class AskKind(ImmediateKind):
    verb = "ask"

    def perform_now(self, attempt: Attempt) -> Asking:
        fields = attempt.fields
        expires = fields.get("expires")
        return Asking(
            question=word_of(fields["question"]),
            schema=fields["schema"],
            show=fields.get("show"),
            to=[word_of(name) for name in fields.get("to") or []],
            expires_at=None if expires is None else attempt.now + seconds_of(expires, "expires"),
            on_expired=fields.get("on_expired") or "fail",
        )


KIND = AskKind()
