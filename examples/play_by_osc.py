"""Plays a running `lmdm live --osc-port 9000` by OSC: asks what there is, then turns knobs for half a minute.

python play_by_osc.py [--port 9000] [--host 127.0.0.1] [--bar-seconds 4]
"""

from __future__ import annotations

import argparse
import time

from pythonosc.udp_client import SimpleUDPClient

# What is turned at the beginning of each bar: addresses and arguments.
BARS = (
    (("/lmdm/tempo_bpm", 124.0), ("/lmdm/gain_db", -3.0)),
    (("/lmdm/prompt/bar", "124 BPM house in A minor"),),
    (("/lmdm/prompt/bar", ["124 BPM house in A minor", 1.0, "piano", 0.6]),),
    (("/lmdm/delay_seconds", 0.363), ("/lmdm/feedback", 0.5)),
    (("/lmdm/guidance", 3.0), ("/lmdm/feedback", 0.0)),
    (("/lmdm/rewind_blocks", 2),),
    (("/lmdm/prompt", "160 BPM punk in E minor"), ("/lmdm/tempo_bpm/none", [])),
    (("/lmdm/gain_db", -60.0),),
)


def parameters(client: SimpleUDPClient) -> dict[str, str]:
    """What can be turned: addresses, each with what it takes and what it is good for."""
    client.send_message("/lmdm/help", [])
    found = {}
    for message in client.get_messages(1.0):
        address, takes, _, text = message
        found[address] = f"{takes}. {text}"
    return found


def complaints(client: SimpleUDPClient) -> list[str]:
    """What was refused since the last call."""
    return [list(message)[1] for message in client.get_messages(0.05) if message.address == "/lmdm/error"]


def main() -> None:
    """Play all bars."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=9000)
    options.add_argument("--bar-seconds", type=float, default=4.0)
    given = options.parse_args()
    with SimpleUDPClient(given.host, given.port) as client:
        found = parameters(client)
        if not found:
            raise SystemExit(f"Nobody answers at {given.host}:{given.port}; start lmdm live --osc-port {given.port}.")
        for address, text in found.items():
            print(f"{address:28} {text}")
        for bar in BARS:
            for address, value in bar:
                print("->", address, value)
                client.send_message(address, value)
            time.sleep(given.bar_seconds)
            for sentence in complaints(client):
                print("refused:", sentence)


if __name__ == "__main__":
    main()
