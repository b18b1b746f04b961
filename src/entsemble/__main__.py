"""`entsemble` and `python -m entsemble`: the command line, as a process of its own."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line. While it is still being imported, Ctrl-C ends the process with one line."""
    is_interruptible = signal.getsignal(signal.SIGINT) != signal.SIG_IGN  # not as a shell's background job
    if is_interruptible:
        signal.signal(signal.SIGINT, _end_at_once)
    from entsemble import cli

    cli.import_command(sys.argv[1:])
    if is_interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        cli.main()
    except SystemExit as error:
        if isinstance(error.code, int) and error.code > 128:  # a signal ended the work, but maybe not all its threads
            os._exit(error.code)
        raise
    except KeyboardInterrupt:  # a second Ctrl-C, after the first one was handled
        os._exit(130)
    finally:
        if is_interruptible:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end_at_once(_number: int, _frame: FrameType | None) -> None:
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"\nentsemble: stopped\n")
    os._exit(130)


if __name__ == "__main__":
    main()
