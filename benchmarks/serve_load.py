"""How many duplex sessions the transport carries: an echo server in one process, a load client in another.

    python benchmarks/serve_load.py [--sessions 500] [--seconds 20]
    python benchmarks/serve_load.py --port 8710 --sessions 8     (a server that runs already)

Our compact protocol, 24 kHz PCM16, a frame of 80 ms each way, the sessions' frames spread evenly over the 80 ms.
Lateness is from when a frame was due to leave the client, whether or not the client came to it in time, to when the
client has read the frame that answers it: the client's own delays count, and are printed beside. The load of the
machine is printed, too.
"""

import argparse
import os
import select
import socket
import struct
import subprocess
import sys
import time

import numpy as np

from oration.serve import wire

RATE, FRAME, PERIOD = 24_000, 1920, 0.08
HEAD = (
    b"GET /v1/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: oration.1\r\n\r\n"
)
NO_MASK = bytes(4)


def framed(body):
    """One WebSocket frame, masked with zeros: as valid as any mask, and free."""
    size = bytes((0x82, 0x80 | len(body))) if len(body) < 126 else b"\x82\xfe" + struct.pack(">H", len(body))
    return size + NO_MASK + body


class Client:
    """One session: what it has read and not understood yet, and how far it is."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(HEAD)
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            self.rest += self.socket.recv(4096)
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        assert b" 101 " in head, head
        self.socket.sendall(framed(wire.document(wire.HELLO, {"version": 1, "rate": RATE})))
        while not (said := list(self.messages())):
            self.rest += self.socket.recv(65536)
        assert said[0][0] == wire.WELCOME, said[0]
        self.socket.setblocking(False)
        self.sent = self.got = self.out_of_order = 0

    def messages(self):
        """The messages that are complete."""
        data, at = self.rest, 0
        while len(data) - at >= 2:
            size, head = data[at + 1], 2
            if size == 126:
                if len(data) - at < 4:
                    break
                size, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
            elif size == 127:
                size, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
            if len(data) - at < head + size:
                break
            yield data[at + head : at + head + size]
            at += head + size
        self.rest = data[at:]

    def send(self):
        body = SOUND[self.sent % len(SOUND)]
        frame = framed(wire.audio(self.sent * FRAME, body))
        if self.got and self.sent % 12 == 0:
            frame += framed(wire.played(self.got * FRAME, 0))
        self.sent += 1
        self.socket.sendall(frame)


SOUND = [np.random.default_rng(i).integers(-3000, 3000, FRAME).astype("<i2").tobytes() for i in range(4)]


def load(port, sessions, seconds):
    """Lateness of every frame, the client's own, frames lost -> printed."""
    clients = [Client(port) for _ in range(sessions)]
    poll = select.epoll()
    index = {each.socket.fileno(): i for i, each in enumerate(clients)}
    for number in index:
        poll.register(number, select.EPOLLIN)
    total, start = int(seconds / PERIOD) * sessions, time.monotonic() + 0.5

    def due(k):
        return start + PERIOD * (k // sessions) + PERIOD * (k % sessions) / sessions

    late, own, k, heard, wrong = [], [], 0, 0, 0
    end = due(total) + 3
    while heard < total and (now := time.monotonic()) < end:
        while k < total and due(k) <= now:
            own.append(now - due(k))
            clients[k % sessions].send()
            k, now = k + 1, time.monotonic()
        for number, _ in poll.poll(max(0.0, (due(k) if k < total else end) - time.monotonic())):
            i = index[number]
            client = clients[i]
            client.rest += client.socket.recv(1 << 18)
            now = time.monotonic()
            for message in client.messages():
                if message[0] == wire.SOUND:
                    at = int.from_bytes(message[1:9], "little")
                    wrong += at != client.got * FRAME or message[21:] != SOUND[client.got % len(SOUND)]
                    late.append(now - due(client.got * sessions + i))
                    client.got, heard = client.got + 1, heard + 1
    for client in clients:
        client.socket.setblocking(True)
        client.socket.sendall(framed(wire.document(wire.CONTROL, {"type": "close"})))
        client.socket.close()
    ms = np.percentile(np.array(late) * 1000, [50, 95, 99, 100])
    mine = np.percentile(np.array(own) * 1000, 99)
    print(
        f"{sessions} sessions, {seconds:g} s: lateness p50 {ms[0]:.1f} p95 {ms[1]:.1f} p99 {ms[2]:.1f} "
        f"max {ms[3]:.1f} ms; "
        f"lost {total - heard} of {total} frames, altered {wrong}; "
        f"the client itself was late by p99 {mine:.1f} ms; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, nargs="+", default=[100, 500])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    server = None
    if not given.port:
        most = str(max(given.sessions) + 8)
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "oration.cli", "serve", "--echo", "--port", "0"),
                *("--max-sessions", most, "--per-address", most),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        given.port = int(server.stdout.readline().rstrip("/\n").rpartition(":")[2])
    try:
        for sessions in given.sessions:
            before = processor(server)
            load(given.port, sessions, given.seconds)
            if server:
                used = (processor(server) - before) / (sessions * given.seconds / PERIOD) * 1e6
                print(f"    the server's processor time per frame there and back: {used:.0f} us", flush=True)
            time.sleep(1)
    finally:
        if server:
            server.terminate()
            server.wait(40)


def processor(server):
    """Seconds of processor time that a process has used."""
    if server is None:
        return 0.0
    with open(f"/proc/{server.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
