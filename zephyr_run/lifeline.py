"""What a step's command does besides: it ends with the `zephyr run` that started it, however that one went."""

import os
import signal
import sys
import threading
import time

CODE = "from zephyr_run import lifeline; lifeline.hold({parent}); import cli; cli.main()"
GRACE = 5.0  # seconds to put things away, as after ctrl-c


def hold(parent: int) -> None:
    """Stop this process as ctrl-c would once its parent is no longer `parent`."""
    sys.argv[0] = "zephyr"
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE)
    os._exit(130)
