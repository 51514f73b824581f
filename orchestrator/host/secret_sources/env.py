"""`env: NAME` (for workers `env_var: NAME`): an environment variable; for declared secrets also a line of the project's `.env`."""

from __future__ import annotations

from typing import Any

from orchestrator.ports.secret_source import Looked, Place, Secret


class Environment:
    name = "env"

    def look(self, said: Any, name: str, place: Place) -> Looked:
        variable = str(said or name)
        for values in (place.environ, place.dotenv):
            if value := values.get(variable):
                return Looked("Found", f"the variable {variable}", Secret(name, value))
        return Looked("Not Found", f"the variable {variable} is not set", help=f"export {variable}=…")


SOURCE = Environment()
