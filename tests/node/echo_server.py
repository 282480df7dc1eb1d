"""Stands for an rpc server: ``echo_server.py PORT`` echoes what one client at a time sends."""

import socket
import sys


def main() -> None:
    """Serve until killed."""
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
        while True:
            client, _ = listener.accept()
            with client:
                while data := client.recv(1 << 16):
                    client.sendall(data)


if __name__ == "__main__":
    main()
