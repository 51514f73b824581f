"""`whisper-flow explain [CODE]`: what a finding means, why it matters, and what good looks like."""

from __future__ import annotations

import json

import click

from orchestrator.cli.command import Command
from orchestrator.cli.session import current


@click.command(cls=Command)
@click.argument("code", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(code: str | None, as_json: bool) -> None:
    """Explain the finding CODE (such as WF203, or a rule's name); without it, list all codes."""
    from orchestrator.spec.rules import all_rules, explain

    out = current().out
    if code is not None and not as_json:
        out.write(explain(code))
        return
    rules = list(all_rules().values())
    if code is not None:
        page = explain(code)
        rules = [rule for rule in rules if code.upper() == rule.code or code.lower() == rule.name]
        assert page
    if as_json:
        shapes = [
            {
                "code": rule.code,
                "name": rule.name,
                "severity": rule.severity,
                "summary": rule.summary,
                "explanation": rule.explanation,
            }
            for rule in rules
        ]
        out.line(json.dumps({"schema": "whisper-flow/rules/1", "rules": shapes}, indent=2))
        return
    width = max(len(rule.name) for rule in rules)
    for rule in rules:
        style = {"error": "red", "warning": "yellow"}.get(rule.severity, "cyan")
        out.line(f"{rule.code}  {out.style(f'{rule.severity:<7}', style)}  {rule.name:<{width}}  {rule.summary}")
