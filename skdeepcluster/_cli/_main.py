"""The words of the command line."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import skdeepcluster
from skdeepcluster._cli import _commands, _demo
from skdeepcluster._cli._data import add_data_options
from skdeepcluster._cli._errors import USAGE_ERROR, guarded, one_line
from skdeepcluster._cli._options import add_parameters

SCRIPT = "skdeepcluster"

#: What `fit` fits, unless told otherwise: it takes images and features, and needs no GPU.
DEFAULT_METHOD = "statdec"

EXIT_CODES = """exit codes:
  0  done
  1  something about data, files or the machine; one line on stderr says what
  2  wrong words on the command line
  3  an error of ours; --debug shows where
  130  interrupted by Ctrl-C"""

TOP = """examples:
  {prog} demo
  {prog} fit photos/ --n-clusters 10 --preset quick --output found
  {prog} predict found more-photos/ --output more.csv
  {prog} report found more-photos/ --output more.html

{prog} COMMAND --help tells more.

{codes}"""

FIT = """examples:
  {prog} fit photos/ --method mmdc --n-clusters 10 --output found
  {prog} fit digits.npz --n-clusters 10 --preset quick
  {prog} fit table.csv --n-clusters 3 --drop species --max-epochs 50
  {prog} fit images.npy --image-shape 28,28 --hidden-sizes 200,200 --lam 0.5
  {prog} fit photos/ --method dccs --max-time 3600    (a second time: goes on)

Ctrl-C writes a checkpoint, from which the same command goes on. The parameters shown are those of
{method}; `{prog} fit --method NAME --help` shows another method's.

{codes}"""

DEMO = """examples:
  {prog} demo
  {prog} demo --data digits.npz --method statdec --method mmdc
  {prog} demo --max-time 60 --output picture.pdf

{codes}"""

PREDICT = """examples:
  {prog} predict found more-photos/ > more.csv
  {prog} predict found/model table.csv --output more.csv

{codes}"""

REPORT = """examples:
  {prog} report found photos/
  {prog} report found/model table.csv --output table.html

{codes}"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are not buried below a page of options."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, after a short usage."""
        self.print_usage(sys.stderr)
        self.exit(USAGE_ERROR, f"{self.prog}: error: {one_line(message)}\n")


def _prog() -> str:
    """How the command was called."""
    called = Path(sys.argv[0]).stem
    return called if called == SCRIPT else f"python -m {SCRIPT}"


def _method_of(argv: Sequence[str]) -> str:
    """Which method's parameters the line may have."""
    words = iter(argv)
    for word in words:
        if word == "--method":
            word = f"--method={next(words, '')}"
        option, _, name = word.partition("=")
        if option == "--method" and name.lower() in _demo.METHODS:
            return name.lower()
    return DEFAULT_METHOD


def _command(
    commands, name: str, run: Callable, *, usage: str, help: str, epilog: str, **words: str
) -> Parser:
    prog = _prog()
    parser = commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.",
        usage=f"{prog} {name} {usage}",
        epilog=epilog.format(prog=prog, codes=EXIT_CODES, **words),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run, parser=parser)
    parser.add_argument(
        "--debug", action="store_true", help="show the traceback of what goes wrong"
    )
    return parser


def _add_fit(commands, argv: Sequence[str]) -> None:
    method = _method_of(argv)
    parser = _command(
        commands,
        "fit",
        _commands.fit,
        usage="DATA [--method NAME] [--n-clusters K] [--preset NAME] [--output DIR] [options]",
        help="cluster images or a table",
        epilog=FIT,
        method=method,
    )
    option = parser.add_argument
    option("data", metavar="DATA", help="folder of images, or a file .npy, .npz, .csv, .parquet")
    option(
        "--method",
        type=str.lower,
        choices=list(_demo.METHODS),
        default=DEFAULT_METHOD,
        help=f"default: {DEFAULT_METHOD}",
    )
    option(
        "--preset",
        choices=["quick", "paper"],
        help="quick: a short run, of two minutes at most, for a first look; paper: the paper's "
        "schedule, which may take hours or days; default: the method's defaults. Parameters given "
        "beside it have the last word",
    )
    option(
        "--output",
        type=Path,
        default=Path("skdeepcluster-fit"),
        metavar="DIR",
        help="folder for labels.csv, model and report.html; default: skdeepcluster-fit",
    )
    option("--overwrite", action="store_true", help="replace the results in DIR")
    option("--no-report", action="store_false", dest="report", help="write labels and model alone")
    add_data_options(parser, fitting=True)
    if "fit" in argv:
        add_parameters(parser, _demo.METHODS[method])


def _add_predict(commands) -> None:
    parser = _command(
        commands,
        "predict",
        _commands.predict,
        usage="MODEL DATA [--output FILE] [options]",
        help="assign other rows to the clusters of a model",
        epilog=PREDICT,
    )
    _add_model(parser)
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="where the table goes; default: stdout"
    )
    add_data_options(parser, fitting=False)


def _add_report(commands) -> None:
    parser = _command(
        commands,
        "report",
        _commands.report,
        usage="MODEL DATA [--output FILE] [options]",
        help="write a page that shows the clusters of a model",
        epilog=REPORT,
    )
    _add_model(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="where the page goes; default: report.html beside the model",
    )
    add_data_options(parser, fitting=False)


def _add_model(parser: Parser) -> None:
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="a model's file, or the folder that fit wrote"
    )
    parser.add_argument(
        "data", metavar="DATA", help="folder of images, or a file .npy, .npz, .csv, .parquet"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps, ...; default: auto")


def build_parser(argv: Sequence[str]) -> Parser:
    """Make the parser for a line, which tells the method whose parameters are options."""
    prog = _prog()
    parser = Parser(
        prog=prog,
        description="Deep clustering of images and tables.",
        epilog=TOP.format(prog=prog, codes=EXIT_CODES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"skdeepcluster {skdeepcluster.__version__}"
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=Parser
    )
    _demo.add_options(
        _command(
            commands,
            "demo",
            _demo.run,
            usage="[--data FILE.npz] [--method NAME] [--n-clusters K] [--output FILE] [options]",
            help="compare the methods with KMeans: a table, and a picture of each cluster's most "
            "confident images",
            epilog=DEMO,
        )
    )
    _add_fit(commands, argv)
    _add_predict(commands)
    _add_report(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    argv : sequence of str or None, default=None
        The words after the program's name; None are those of this process.

    Returns
    -------
    int
        0; 1 for what the user can put right, 3 for what not, 130 for Ctrl-C.

    Raises
    ------
    SystemExit
        With 2, if the words are wrong; with 0, after a help text.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    args = build_parser(argv).parse_args(argv)
    if args.command == "fit":
        try:
            _commands.check_parameters(args)
        except (ValueError, TypeError) as error:
            if args.debug:
                raise
            args.parser.error(str(error))
    return guarded(lambda: args.run(args), debug=args.debug)
