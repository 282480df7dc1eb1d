"""Stands for an rpc server: ``echo_server.py PORT`` echoes what one client at a time sends.

It uses up enough processor time at the start that the system's clock of hundredths shows it.
"""

import socket
import sys
import time


def main() -> None:
    """Serve until killed."""
    while time.process_time() < 0.05:
        pass
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
        while True:
            client, _ = listener.accept()
            with client:
                while data := client.recv(1 << 16):
                    client.sendall(data)


if __name__ == "__main__":
    main()
