"""The command ``temlib``."""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from temlib import __version__, datasets
from temlib.errors import RunError, TemlibError, one_line, readable
from temlib.files.child_processes import without_current_folder
from temlib.files.json_files import in_range
from temlib.network.sought import CONTRASTS, MARKS, Sought
from temlib.network.tiling import RUNTIMES
from temlib.reproduction.run_folder import DEFAULT_SEED, NOTEBOOKS, Run

__all__ = ["main"]

_STOPPED = 130  # the exit status of what Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``temlib`` with the arguments of the command line; give the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # what a terminal cannot show ends nothing
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except KeyboardInterrupt:
        print(f"temlib: stopped; {options.again}", file=sys.stderr)
        return _STOPPED
    except Exception as error:  # of a full disk, a file that may not be read, a fault of ours
        if options.debug:
            traceback.print_exc()
        print(f"temlib: {_what(error)}", file=sys.stderr)
        return 2


def _what(error: Exception) -> str:
    if isinstance(error, TemlibError | OSError):
        return readable(" ".join(str(error).split()))
    return f"{type(error).__name__}: {one_line(error, 500)} (give --debug to see where)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("temlib", description="Segment particles in TEM images by transfer learning.")
    parser.add_argument("--version", action="version", version=f"temlib {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_figures, _add_segment, _add_track, _add_workshop):
        add(commands).add_argument("--debug", action="store_true", help="show where in temlib an error came up")
    return parser


def _add_figures(commands: Any) -> argparse.ArgumentParser:
    figures = commands.add_parser(
        "figures",
        help="regenerate figures 1 to 5 by running the notebooks",
        description="Run notebooks 01 to 06 and write figures, scores and provenance to figures/DATA-ENCODER/; "
        "what an earlier run of the same name wrote there is replaced. Run it in a clone of temlib.",
    )
    add = figures.add_argument
    add("--data", choices=list(datasets.DATASETS), default="simulated", help="default: simulated, which is embedded")
    add(
        "--encoder",
        default="bundled",
        help="'bundled' (default: pre-trained by temlib on synthetic micrographs, needs nothing from outside), "
        "'imagenet' (the paper's), 'random', or the path of a weights file",
    )
    add("--seed", type=int, default=DEFAULT_SEED, help=f"default: {DEFAULT_SEED}")
    add(
        "--parameters",
        type=Path,
        metavar="FILE",
        help="yaml file with other values for notebook parameters; give --root too, to keep the usual run's figures",
    )
    add("--root", type=Path, help="write runs/ and figures/ into this folder; default: the clone")
    figures.set_defaults(run=_figures, again="the same command begins again with notebook 01")
    return figures


def _add_segment(commands: Any) -> argparse.ArgumentParser:
    segment = commands.add_parser(
        "segment",
        help="segment and measure the particles of micrographs, or segment a movie",
        description="Write masks, numbered particles, outlines and measurements of micrographs into a folder. What is "
        "there already is not done again, unless its file has changed. Of a folder, what temlib wrote and kinds of "
        "files that hold no micrograph are left alone. The exit status is 1 when a file could not be done. Of a movie, "
        "when --out ends in .zspy, write the mask of each frame, chunk by chunk. What was stopped goes on.",
    )
    add = segment.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="micrographs, or folders of them; or one movie")
    add("--out", type=Path, required=True, metavar="PATH", help="folder to write into; NAME.zspy for a movie")
    add(
        "--model",
        type=Path,
        metavar="FILE",
        help="a segmenter saved by temlib; or one that temlib brings, by name: 'labelled' (default), which real "
        "labels taught, too, or 'synthetic', which learned from synthetic micrographs alone",
    )
    _add_sought(segment)
    _add_reading(segment)
    _add_running(segment)
    segment.set_defaults(run=_segment, again="what is done is kept, and the same command goes on from there")
    return segment


def _add_sought(segment: argparse.ArgumentParser) -> None:
    """Add what is said of the particles that are looked for."""
    add = segment.add_argument
    add("--scale", type=_scale, default="auto", help="'auto' (default), 'calibrated', or a number")
    add(
        "--diameter",
        type=_diameter,
        default={},
        metavar="SIZE",
        help="of the particles that are looked for: '4nm', '30px', or a range, '2-10nm'; it sets the scale, and what "
        "is far from it in size is no particle",
    )
    add(
        "--contrast",
        choices=CONTRASTS,
        help="'dark' particles (default), 'bright' ones as in dark field, or 'auto': what the network doubts less",
    )
    add(
        "--min-confidence",
        type=_share,
        metavar="SHARE",
        help="leave out particles that are less sure, 0 to 1; default: the segmenter's choice",
    )


def _add_reading(segment: argparse.ArgumentParser) -> None:
    """Add how the files are read."""
    add = segment.add_argument
    add("--pixel-size", dest="pixel_size_nm", type=float, metavar="NM", help="in place of what the files say")
    add(
        "--signal",
        type=_signal,
        metavar="N|TITLE",
        help="number (from 0) or title of the image, or movie, to take from files that hold several",
    )
    add(
        "--no-scale-bar",
        action="store_true",
        help="do not read burnt-in scale bars where files state no pixel size (the extra temlib[scalebar] reads them)",
    )
    add(
        "--marks",
        choices=MARKS,
        help="burnt-in data bars, scale bars and letters are no particles (default), or may be",
    )


def _add_running(segment: argparse.ArgumentParser) -> None:
    """Add what is written of them, and how the work is done."""
    add = segment.add_argument
    add(
        "--review",
        type=Path,
        metavar="FOLDER",
        help="apply what was decided about particles in a ParticleReviewer that saved into this folder",
    )
    add(
        "--runtime",
        choices=[*RUNTIMES, "auto"],
        default="auto",
        help="default: auto, OpenVINO where it is installed, else keras",
    )
    add(
        "--overwrite",
        action="store_true",
        help="do again what is done, and replace what stands under the names of results",
    )
    add("--particles", action="store_true", help="of a movie: write numbered particles, which 'temlib track' follows")
    add("--workers", type=int, default=1, metavar="N", help="local processes; default: 1")
    add("--chunk", type=int, metavar="N", help="of a movie: frames that are done together")
    add("--scheduler", metavar="ADDRESS", help="of a movie: a scheduler of dask.distributed")


def _add_track(commands: Any) -> argparse.ArgumentParser:
    track = commands.add_parser(
        "track",
        help="follow the particles of a segmented movie",
        description="Write a table with a row for each particle in each frame: the number that it keeps, its sizes and "
        "place, and what happens to it (appears, splits from, leaves, merges into, dissolves). What was stopped goes "
        "on.",
    )
    add = track.add_argument
    add(
        "particles",
        type=Path,
        metavar="FILE",
        help="numbered frames, as 'temlib segment MOVIE --particles' writes them",
    )
    add("--out", type=Path, required=True, metavar="NAME.csv", help="the table")
    add("--frames", type=Path, metavar="MOVIE", help="the movie, to find the drift of the stage and take it out")
    add(
        "--signal",
        type=_signal,
        metavar="N|TITLE",
        help="of --frames: number (from 0) or title in a file of several",
    )
    add("--pixel-size", dest="pixel_size_nm", type=float, metavar="NM", help="in place of what the files say")
    add("--seconds", type=float, metavar="S", help="between frames, in place of what the files say")
    add(
        "--reach",
        dest="reach_px",
        type=float,
        metavar="PX",
        help="how far a particle may get in a frame; default: its diameter",
    )
    add("--gap", type=int, default=2, metavar="N", help="frames over which one may be missing; default: 2")
    add("--chunk", type=int, metavar="N", help="frames that are read together")
    add(
        "--challenge", type=Path, metavar="FOLDER", help="write the tracks as the Cell Tracking Challenge has them, too"
    )
    add("--overwrite", action="store_true", help="replace what stands under the names of results")
    track.set_defaults(run=_track, again="what is done is kept, and the same command goes on from there")
    return track


def _add_workshop(commands: Any) -> argparse.ArgumentParser:
    workshop = commands.add_parser(
        "workshop",
        help="write a folder with all that a workshop without a network needs",
        description="Write a workshop kit into a new folder: notebooks to fill in, their solutions, the package with "
        "data and weights, a handout and a check of the laptop. Run it in a clone of temlib.",
    )
    add = workshop.add_argument
    add("--out", type=Path, required=True, metavar="FOLDER", help="folder to make")
    add("--wheelhouse", action="store_true", help="fetch all packages too (0.8 GB), for machines of this kind")
    workshop.set_defaults(run=_workshop, again="nothing is left of it, the same command begins again")
    return workshop


def _scale(text: str) -> str | float:
    return text if text in ("auto", "calibrated") else float(text)


def _share(text: str) -> float:
    return in_range("it", float(text), 0, 1)


def _signal(text: str) -> int | str:
    """Read the number or the title of an image in a file."""
    return int(text) if text.isdecimal() else text


def _diameter(text: str) -> dict[str, Any]:
    """Read a size, as 4nm, 30px or 2-10nm."""
    found = re.fullmatch(r"\s*([\d.]+)(?:\s*-\s*([\d.]+))?\s*(nm|px)\s*", text)
    wrong = argparse.ArgumentTypeError(f"{text!r} is no size; give one as 4nm, 30px or 2-10nm")
    if not found:
        raise wrong
    try:
        least = float(found[1])
        told: dict[str, Any] = {f"diameter_{found[3]}": (least, float(found[2])) if found[2] else least}
        Sought(**told)
    except ValueError as error:
        raise wrong from error
    return told


def _of_both(options: argparse.Namespace) -> dict[str, Any]:
    """Give what is asked of micrographs and of movies alike."""
    return _named(options, "scale", "pixel_size_nm", "signal", "contrast", "marks", "overwrite") | options.diameter


def _named(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(options, name) for name in names}


def _segment_movie(options: argparse.Namespace) -> int:
    from temlib.jobs.movies import segment_movie
    from temlib.network.segmenter import load_segmenter
    from temlib.network.trust import DOUBTFUL
    from temlib.network.weights import DEFAULT

    if options.review:
        raise RunError(f"{options.review}: decisions are about micrographs, not about movies; leave out --review")
    if len(options.files) > 1:
        raise RunError(f"{options.out}: is the mask of one movie; got {len(options.files)} files, name one")
    segmenter = load_segmenter(options.model or DEFAULT, options.runtime).with_confidence(options.min_confidence)
    where = _named(options, "scheduler", "workers", "chunk") | {"what": "particles" if options.particles else "mask"}
    frames = segment_movie(options.files[0], options.out, segmenter, **where, **_of_both(options))
    print(f"{options.out}: {frames['new'].sum()} frames segmented, {(~frames['new']).sum()} done before")
    counts = {"show nothing": (frames["note"] != "").sum(), "are doubtful": (frames["expected_iou"] < DOUBTFUL).sum()}
    for what, count in counts.items():
        if count:
            print(f"{options.out}: {count} frames {what}, see {options.out.with_suffix('.csv')}", file=sys.stderr)
    return 0


def _segment(options: argparse.Namespace) -> int:
    if options.out.suffix == ".zspy":
        return _segment_movie(options)
    if options.scheduler or options.chunk is not None or options.particles:
        raise RunError(
            f"{options.out}: --particles, --scheduler and --chunk are for a movie, whose --out ends in .zspy"
        )
    from temlib.jobs.batch import segment_files
    from temlib.jobs.inputs import find_inputs
    from temlib.network.segmenter import load_segmenter
    from temlib.network.weights import DEFAULT

    inputs = find_inputs(options.files)
    segmenter = load_segmenter(options.model or DEFAULT, options.runtime).with_confidence(options.min_confidence)
    settings = {"scale_bar": not options.no_scale_bar, "review": options.review, "workers": options.workers}
    done = segment_files(inputs.files, options.out, segmenter, **settings, **_of_both(options))
    new = len(inputs.files) - done.skipped - len(done.failed)
    print(readable(f"{options.out}: {new} segmented, {done.skipped} done before, {len(done.failed)} failed"))
    rows = done.micrographs.to_dict("records")
    doubtful = [f"{row['file']}: doubtful, {row['warning']}" for row in rows if row["warning"]]
    read = [row["note"] for row in rows if row["note"]]
    failed = [f"temlib: {reason}" for reason in done.failed.values()]
    for line in [*inputs.notes, *done.notes, *read, *doubtful, *failed]:
        print(readable(line), file=sys.stderr)
    if options.debug:
        print(*done.tracebacks.values(), sep="\n", file=sys.stderr)
    return 1 if done.failed else 0


def _track(options: argparse.Namespace) -> None:
    from temlib.jobs.tracks import track_movie

    names = ("pixel_size_nm", "seconds", "reach_px", "gap", "chunk", "overwrite", "challenge", "signal")
    found = track_movie(options.particles, options.out, options.frames, **_named(options, *names))
    print(f"{options.out}: " + ", ".join(f"{count} {what}" for what, count in found.items()))
    if options.challenge:
        print(f"{options.challenge}: masks and res_track.txt")


def _workshop(options: argparse.Namespace) -> None:
    from temlib.reproduction.workshop import make_kit

    kit = make_kit(_notebooks().parent, options.out, options.wheelhouse)
    print(f"workshop kit: {kit} (start with HANDOUT.md)")


def _figures(options: argparse.Namespace) -> None:
    notebooks = _notebooks()
    root = (options.root or notebooks.parent).resolve()
    named = options.encoder in ("bundled", "imagenet", "random")
    encoder = options.encoder if named else str(Path(options.encoder).resolve())
    run = Run(options.data, encoder, options.seed, root)
    extra = _read_parameters(options.parameters)
    parameters = {name: _parameters(notebooks / f"{name}.ipynb", run, extra.get(name, {})) for name in NOTEBOOKS}
    _check_within_reach(run)
    for number, name in enumerate(NOTEBOOKS, start=1):
        print(f"[{number}/{len(NOTEBOOKS)}] {name}", file=sys.stderr, flush=True)
        _execute(notebooks / f"{name}.ipynb", parameters[name], run.folder / "notebooks")
    print(f"figures, scores and provenance: {run.figures}")
    print(f"executed notebooks: {run.folder / 'notebooks'}")


def _notebooks() -> Path:
    """Find the notebooks of the clone that this package comes from, and say which they are."""
    from temlib.reproduction.clone import find_clone

    notebooks = find_clone(Path(__file__).resolve().parent) / "notebooks"
    print(readable(f"notebooks of {notebooks.parent}"), file=sys.stderr, flush=True)
    return notebooks


def _check_within_reach(run: Run) -> None:
    """Fail before the first notebook when data or weights are out of reach."""
    from temlib.network.weights import resolve_weights

    resolve_weights(run.weights)
    datasets.load(run.data, list(datasets.table(run.data)["name"][:1]))


def _read_parameters(file: Path | None) -> dict[str, dict]:
    """Read parameters by notebook from a yaml file: {notebook: {parameter: value}}."""
    if file is None:
        return {}
    import yaml

    try:
        parameters = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise RunError(
            f"{file}: cannot be read as yaml ({' '.join(str(error).split())[:120]}); check the file"
        ) from error
    if not isinstance(parameters, dict) or not all(isinstance(v, dict) for v in parameters.values()):
        raise RunError(f"{file}: must map notebooks to parameters, as in '04_train_mobilenet_unet: {{epochs: 2}}'")
    unknown = set(parameters) - set(NOTEBOOKS)
    if unknown:
        raise RunError(f"{file}: no notebook is called {sorted(unknown)[0]!r}; choose from {', '.join(NOTEBOOKS)}")
    return parameters


def _parameters(notebook: Path, run: Run, extra: dict) -> dict:
    """Join a notebook's parameters; papermill would only warn of one that the notebook does not have."""
    import papermill

    parameters = {"data": run.data, "encoder": run.encoder, "seed": run.seed, "root": str(run.root)} | extra
    unknown = set(parameters) - set(papermill.inspect_notebook(notebook))
    if unknown:
        raise RunError(f"{notebook.name}: has no parameter {sorted(unknown)[0]!r}; see its cell tagged 'parameters'")
    return parameters


def _execute(notebook: Path, parameters: dict, folder: Path) -> None:
    """Execute one notebook into a folder, which keeps it also when it fails."""
    os.environ["TQDM_DISABLE"] = "1"  # read by the kernel: progress bars do not belong in a kept notebook
    import papermill

    folder.mkdir(parents=True, exist_ok=True)
    output = folder / notebook.name
    quiet = "--log-level=40"  # no note on unencrypted local sockets
    settings = {"cwd": notebook.parent, "execution_timeout": 3600}
    settings["extra_arguments"] = [quiet, "--InteractiveShellApp.ignore_cwd=True"]
    try:
        with without_current_folder():
            papermill.execute_notebook(notebook, output, parameters, kernel_name="python3", **settings)
    except papermill.PapermillExecutionError as error:
        raise RunError(f"{notebook.name}: {error.ename}: {error.evalue} (see {output})") from error
