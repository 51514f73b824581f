"""Which project a command is about."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import NotFoundError


def project_of(file: Path | None = None) -> Path:
    """The root of the project around a file, or around the current folder."""
    from orchestrator.host.project import find_project

    start = file if file is not None else Path.cwd()
    if file is not None and not file.exists():
        raise NotFoundError(f"there is no file `{file}`", help=near_files(file))
    return find_project(start).root


def near_files(file: Path) -> str | None:
    """A did-you-mean among the workflow files beside `file`, and in `workflows/`."""
    from orchestrator.spec.suggest import suggest

    found: dict[str, str] = {}
    for folder in (file.parent, Path("workflows")):
        if folder.is_dir():
            entries = sorted(folder.iterdir())[:500]
            found.update({entry.name: str(entry) for entry in entries if entry.suffix in (".yaml", ".yml")})
    wanted = file.name if file.suffix else f"{file.name}.yaml"
    near = [wanted] if wanted in found else suggest(wanted, found)
    return f"did you mean {' or '.join(f'`{found[name]}`' for name in near)}?" if near else None


def typed_path(path: Path) -> str:
    """A path as one would type it here: below the current folder without it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
