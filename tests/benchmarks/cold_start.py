"""A second ``demo`` until it answers, against booting Django once, which no start can avoid."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.stack import ROOT, launch, running_demo, stop, wait_started

GOAL = 6.0


def main() -> None:
    """First start (reported only), then three pairs of second start and bare boot."""
    begin = time.perf_counter()
    with running_demo() as stack:
        print(f"first start: {time.perf_counter() - begin:.1f} s")
        seconds, bare = [], []
        for _ in range(3):
            stop(stack)
            begin = time.perf_counter()
            again = launch(stack.state, stack.port)
            wait_started(again)
            seconds.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            subprocess.run([sys.executable, "manage.py", "check"], cwd=ROOT, env=stack.environment(), check=True)
            bare.append(time.perf_counter() - begin)
            stack.process = again.process
    print("second starts: " + ", ".join(f"{value:.1f} s" for value in seconds))
    print(f"cold_start ratio={min(seconds) / min(bare):.2f} goal={GOAL:g}")


if __name__ == "__main__":
    main()
