"""Makes the Python environments of the peers from their pinned requirement files."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(".cache") / "peers"
_ON = "# on: "


def ready(name: str, cache: Path = CACHE) -> Path:
    """The Python of the environment `name`, made or made anew where its requirement file changed.

    A file that begins with `# on: OTHER` also sees the packages of OTHER, after its own: PyTorch lies on disk once.

    Args:
        name: of the requirement file beside this module, without `.txt`.
        cache: where environments lie.

    Raises:
        RuntimeError: pip could not bring a package; the message ends with its last lines.
    """
    text = (HERE / f"{name}.txt").read_text("utf-8")
    base = text.splitlines()[0].removeprefix(_ON).strip() if text.startswith(_ON) else None
    below = _packages(ready(base, cache)) if base else None
    home = (cache / name).absolute()
    python, stamp = home / "bin" / "python", home / "made-from"
    wanted = hashlib.sha256(f"{sys.version}\n{below}\n{text}".encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted and python.exists():
        return python
    shutil.rmtree(home, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(home)])
    # the lists are complete, and some peers declare what they do not need or what no longer fits together
    _run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(HERE / f"{name}.txt")])
    if below is not None:
        (_packages(python) / "below.pth").write_text(f"{below}\n")
    stamp.write_text(wanted)
    return python


def _packages(python: Path) -> Path:
    return next((python.parents[1] / "lib").glob("python3*")) / "site-packages"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {(done.stderr or done.stdout)[-800:]}")
