"""The README's list of files, a line each, from the modules' own first lines: python -m bench.file_tree."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("ingest", "kg", "encoders", "gnn", "shopgraph", "bench", "notebooks")


def file_tree() -> str:
    """Markdown: a heading per room, a line per module."""
    parts = []
    for room in ROOMS:
        lines = []
        for path in sorted((ROOT / room).rglob("*.py")):
            if path.name == "__init__.py" and path.parent.name != room:
                continue
            said = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0].strip().rstrip(".")
            name = path.relative_to(ROOT).as_posix()
            lines.append(f"- **`{room}/`** {said}" if path.name == "__init__.py" else f"  - `{name}`: {said}")
        parts.append("\n".join(lines))
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    print(file_tree(), end="")
