"""Messages of workers on several simulated hosts: each a network namespace, all joined by a slow switch.

    python benchmarks/hosts.py [--hosts 2 4 8] [--rates 100 1000] [--delays 0.1 1 5] [--quick] [--json FILE.json]

Needs Linux and root. Every host has one network card (a TAP device with frames of up to 60,000 bytes), whose frames
this program takes, holds back and hands on: a frame leaves when the sender's line is free, takes its bits over the
rate, arrives after the delay, and takes its time again on the receiver's line. So bandwidth and delay are what is
asked for, though the kernel may know no ``netem``. What is measured are the messages of a training
(:class:`gemsnn.machine.group.Group`): the sum of all directions, the log-weights of all compartments, and what is told
around a batch. The seconds are those of the slowest worker, the median of some repeats, beside what
``benchmarks/cost_model.py`` expects of delay and rate alone.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import heapq
import itertools
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import cost_model
from cost_model import Line

ROOT = Path(__file__).parents[1]
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
FRAME = 60_000
"""Bytes of a frame: with few large ones a switch written in Python keeps up with a gigabit."""


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


class Hosts:
    """Network namespaces ``10.77.0.1`` and on, joined by a switch, until it is closed."""

    def __init__(self, number: int, line: Line) -> None:
        self.names = [f"gemsnn{os.getpid()}h{n}" for n in range(number)]
        self.cards = [f"gs{os.getpid() % 100000}h{n}" for n in range(number)]
        self._line, self._files, self._open = line, [], True
        for n, (name, card) in enumerate(zip(self.names, self.cards, strict=True)):
            file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", card.encode(), IFF_TAP | IFF_NO_PI))
            self._files.append(file)
            _ip("netns", "add", name)
            _ip("link", "set", card, "address", f"02:00:00:00:00:{n:02x}")
            _ip("link", "set", card, "mtu", str(FRAME))
            _ip("link", "set", card, "netns", name)
            _ip("-n", name, "addr", "add", f"10.77.0.{n + 1}/24", "dev", card)
            _ip("-n", name, "link", "set", card, "up")
            _ip("-n", name, "link", "set", "lo", "up")
        self._switch = threading.Thread(target=self._pass_on, daemon=True)
        self._switch.start()

    def _pass_on(self) -> None:
        files, line = self._files, self._line
        poll, numbers = select.poll(), {file: n for n, file in enumerate(files)}
        for file in files:
            poll.register(file, select.POLLIN)
        leaves, arrives = [0.0] * len(files), [0.0] * len(files)
        order = itertools.count()
        under_way: list[
            tuple[float, int, int, bytes, bool]
        ] = []  # when, .., to whom, what, whether it has come over
        while self._open:
            now = time.monotonic()
            while under_way and under_way[0][0] <= now:
                at, _, to, frame, over = heapq.heappop(under_way)
                if over:
                    with contextlib.suppress(OSError):  # the card's queue is full, as a switch's may be
                        os.write(files[to], frame)
                else:
                    arrives[to] = max(at, arrives[to]) + line.seconds(len(frame))
                    heapq.heappush(under_way, (arrives[to], next(order), to, frame, True))
            # spinning through the last of a wait: poll() sleeps whole milliseconds
            wait = 5.0 if not under_way else max(0.0, (under_way[0][0] - now) * 1000 - 1)
            for file, _ in poll.poll(int(wait)):
                sender = numbers[file]
                for _ in range(16):
                    try:
                        frame = os.read(file, FRAME + 100)
                    except BlockingIOError:
                        break
                    leaves[sender] = max(time.monotonic(), leaves[sender]) + line.seconds(len(frame))
                    to = [frame[5]] if frame[:5] == b"\2\0\0\0\0" else range(len(files))
                    for each in to:
                        if each != sender and each < len(files):
                            at = leaves[sender] + line.delay
                            heapq.heappush(under_way, (at, next(order), each, frame, False))

    def run(self, words: list[str], environment: dict[str, str]) -> list[str]:
        """Run the same on every host as its worker; what each has printed."""
        started = []
        for n, (name, card) in enumerate(zip(self.names, self.cards, strict=True)):
            own = {
                "RANK": str(n), "WORLD_SIZE": str(len(self.names)), "MASTER_ADDR": "10.77.0.1",
                "MASTER_PORT": "29500", "GLOO_SOCKET_IFNAME": card,
            }  # fmt: skip
            started.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", name, *words],
                    env=environment | own,
                    text=True,
                    stdout=subprocess.PIPE,
                )
            )
        said = [process.communicate()[0] for process in started]
        if any(process.returncode for process in started):
            raise SystemExit("a worker has failed")
        return said

    def close(self) -> None:
        """Take it all away."""
        self._open = False
        self._switch.join()
        for file in self._files:
            os.close(file)  # and the card is gone
        for name in self.names:
            _ip("netns", "del", name)


def _inside(given: dict[str, Any]) -> None:
    import torch

    from gemsnn.machine import group as groups

    torch.set_num_threads(1)
    found: list[dict[str, Any]] = []
    with groups.joined() as group:
        every = group.team(list(range(group.size)))

        def timed(what: str, numbers: int, work: Any) -> None:
            work()
            seconds = []
            for _ in range(given["repeats"]):
                group.all(None)
                began = time.perf_counter()
                work()
                seconds.append(max(group.all(time.perf_counter() - began)))
            found.append({"what": what, "numbers": numbers, "seconds": median(seconds)})

        for numbers in given["weights"]:
            leaf = torch.ones(numbers)
            timed("directions", numbers, lambda leaf=leaf: group.summed(leaf[None], [1] * group.size))
        for numbers in given["signals"]:
            leaf = torch.ones(-(-numbers // group.size))
            timed("signals", numbers, lambda leaf=leaf: group.gathered(leaf, every))
        timed("told", 0, lambda: (group.all(0), group.all(torch.ones(100))))
        if group.rank == 0:
            print(json.dumps(found))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hosts", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[100, 1000], help="Mbit/s of each host's line"
    )
    parser.add_argument("--delays", type=float, nargs="+", default=[0.1, 1, 5], help="ms from host to host")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        _inside(json.loads(arguments.inside))
        return
    given = {"repeats": arguments.repeats, "weights": [10_000, 100_000, 1_000_000], "signals": [800, 12_800]}
    if arguments.quick:
        given = {"repeats": 1, "weights": [1000], "signals": [800]}
        arguments.hosts, arguments.rates, arguments.delays = [2], [1000], [1]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    rows = []
    for rate, delay, number in itertools.product(arguments.rates, arguments.delays, arguments.hosts):
        line = Line(rate * 1e6 / 8, delay / 1000)
        hosts = Hosts(number, line)
        try:
            words = [sys.executable, "-W", "ignore", str(Path(__file__)), "--inside", json.dumps(given)]
            found = json.loads(hosts.run(words, environment)[0].splitlines()[-1])
        finally:
            hosts.close()
        for row in found:
            expected = cost_model.message(row["what"], row["numbers"], number, line)
            rows.append({"hosts": number, "mbit": rate, "delay_ms": delay, **row, "expected": expected})
            print(
                f"{number} hosts, {rate:g} Mbit/s, {delay:g} ms: {row['what']:10} of {row['numbers']:9,} numbers "
                f"{row['seconds']:8.4f} s, expected {expected:8.4f}",
                flush=True,
            )
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
