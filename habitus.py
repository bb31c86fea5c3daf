"""The command line: the one wiring file above the packages; each sub-command imports what it needs when it runs."""

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from commands import (
    backup,
    doctor,
    explain,
    import_nnunet,
    models,
    restore,
    retention,
    route,
    run,
    synth,
    warm,
)

ROOT = Path(__file__).parent

SUB_COMMANDS: tuple[
    tuple[
        str,
        Callable[[argparse.Namespace], int],
        Callable[[argparse.ArgumentParser], None],
        str,
    ],
    ...,
] = (
    (
        "run",
        run.run_series,
        run.add_options,
        "analyse the CT series of a folder that suits the profile best",
    ),
    (
        "explain",
        explain.explain_choice,
        explain.add_options,
        "say which series of a study is taken, and why not the others",
    ),
    (
        "route",
        route.show_route,
        route.add_options,
        "say which rule of habitus.toml fires for a study, and why",
    ),
    (
        "retention",
        retention.show_verdicts,
        retention.add_options,
        "list the studies that the retention rule would delete from our own Orthanc",
    ),
    ("backup", backup.run, backup.add_options, "copy what a node must not lose, while it works"),
    ("restore", restore.run, restore.add_options, "put a backup onto an empty machine"),
    (
        "synth",
        synth.write_synthetic,
        synth.add_options,
        "write a synthetic CT series (no patient) with known truth",
    ),
    (
        "models",
        models.list_models,
        models.add_options,
        "list the installed models and verify them",
    ),
    (
        import_nnunet.NAME,
        import_nnunet.run,
        import_nnunet.add_options,
        "make a model of a folder that nnU-Net trained (its --help is its own)",
    ),
    (
        "warm",
        warm.make_ready,
        warm.add_options,
        "build, prove and load everything before the first patient",
    ),
    (
        "doctor",
        doctor.diagnose,
        doctor.add_options,
        "say what is wrong with this machine or installation",
    ),
)
"""Name, what it does, its arguments, its one line of help; in the order of --help."""

EXAMPLES = """\
examples:
  habitus synth ct/                             write a synthetic CT series with known truth
  habitus synth study/soft --seed 4             a study of two series, to try explain on: same seed,
  habitus synth study/lung --seed 4 --series-number 3 --kernel B60f       same patient and study
  habitus synth ct/ --template anatomy.npz      painted from an anatomy label map of yours
  habitus run ct/ --out results/                SEG, SR, numbers and pictures of a CT series
  habitus run ct/ --out results/ --json         the same, the numbers as JSON on standard output
  habitus run ct/ --out results/ --profile l3   body composition only
  habitus run ct/ --out results/ --l3-slice 87  the same with L3 set by hand
  habitus run ct.nii.gz --out results/          a CT as NIfTI: label maps as NIfTI on its own grid, and numbers
  habitus explain study/                        which series of a study is taken, and why the others are not
  habitus explain study/ --json                 the same as JSON
  habitus route --test ct/0001.dcm              which rule of habitus.toml fires for a study, and why
  habitus retention --dry-run --days 365        which studies a rule would delete from our own Orthanc
  habitus backup /mnt/backup/today --settings habitus.toml      journal and results, while the node works
  habitus restore /mnt/backup/today --settings habitus.toml     onto an empty machine
  habitus import-nnunet FOLDER --name ours      a network that nnU-Net v2 trained, as a model of the node
  habitus models                                which models are installed, and whether they are intact
  habitus warm --settings habitus.toml          build TensorRT's engines, prove accelerators, compile kernels
  habitus doctor                                what works on this machine and what does not
  habitus doctor --settings habitus.toml        the same of a whole installation, with Orthanc and destinations

exit status: 0 done · 1 unexpected failure, or doctor found something missing · 2 wrong arguments or
settings · 3 rejected (not ours to analyse: the coded reason is printed) · 4 unreadable input · 5 a model
is unusable · 6 inference failed · 7 delivery failed · 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sub-command; returns the exit status."""
    options = _parsed(sys.argv[1:] if arguments is None else arguments)
    import signal
    import threading

    from inference.domain.errors import HabitusError

    if threading.current_thread() is threading.main_thread():
        # A kill must leave no half-written folder, as Ctrl-C leaves none.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            # An old terminal lacks ² and °, and a file's name may be no text at all.
            stream.reconfigure(errors="backslashreplace")
    try:
        status: int = options.run(options)
    except HabitusError as error:
        sys.stderr.write(f"habitus: {error}\n")
        return error.exit_status
    except ModuleNotFoundError as error:
        if not (name := (error.name or "").partition(".")[0]) or (ROOT / name).exists():
            raise
        sys.stderr.write(
            f"habitus: found an environment without {name}; wanted everything that it runs on. Run make setup here, and wait for its end.\n"
        )
        return 1
    except MemoryError:
        sys.stderr.write(
            "habitus: found too little memory for this series; wanted more. Close other programs or use a larger machine.\n"
        )
        return 6
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
    return status


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    if list(arguments[:1]) == [import_nnunet.NAME]:
        # Its own parser, with its own help, is in the training environment.
        return argparse.Namespace(run=import_nnunet.run, arguments=arguments[1:])
    return build_parser().parse_args(arguments)


def build_parser() -> argparse.ArgumentParser:
    """All sub-commands."""
    parser = argparse.ArgumentParser(
        prog="habitus",
        description="Body composition at L3 and abdominal organs from CT, as DICOM SEG and SR. For research use.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run_it, add_options, text in SUB_COMMANDS:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run_it)
        add_options(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
