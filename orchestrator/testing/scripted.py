"""Models that say what a test wrote down.

    model = ScriptedModel("Hello.", Turn(tool_calls=[("add", {"a": 1, "b": 2})]), "Three.")
    factory = AILoopFactory(providers={"scripted": ScriptedProvider({"m": model})})
    loop = factory.create("writer", {"model": "scripted/m"})

`model.requests` then holds everything that was asked.
"""

from orchestrator.providers.scripted import ScriptedModel, ScriptedProvider, Turn

__all__ = ["ScriptedModel", "ScriptedProvider", "Turn"]
