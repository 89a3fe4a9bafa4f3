"""A notebook in JupyterLab, on this machine only, with a token and settings of its own, for a browser to open."""

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

_SETTINGS = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")


@contextmanager
def jupyterlab(folder: Path, code: str) -> Iterator[str]:
    """Write a notebook of one cell, and an empty one, into a folder, serve it on a free port, and give its address."""
    cells = [code.strip(), ""]  # with a next cell the notebook stays in command mode, in which keys act on cells
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "shown.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    environment = {k: v for k, v in os.environ.items() if k != "TEMLIB_WIDGETS"}
    names = [f"JUPYTER_{name}" for name in _SETTINGS] + ["JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"]
    environment |= {name: str(folder / "home" / name) for name in names}
    command = [sys.executable, "-m", "jupyterlab", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}", "--no-browser", "--allow-root"]
    log = folder / "jupyter.log"
    with log.open("w") as written:
        server = subprocess.Popen(command, env=environment, stdout=written, stderr=written, cwd=folder)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api?token={token}", log)
        yield f"http://127.0.0.1:{port}/lab/tree/shown.ipynb?reset&token={token}"
    finally:
        server.terminate()
        server.wait(timeout=20)


def open_and_run(page: object, address: str) -> None:
    """Open the notebook and run its cell."""
    page.goto(address)
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=90_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=90_000)
    page.locator(".jp-CodeCell .cm-content").first.click()
    page.keyboard.press("Shift+Enter")


def draw_with_a_palm_down(page: object, points: list[tuple[float, float]], palm: tuple[float, float]) -> None:
    """Draw with one finger from point to point of the screen, while from the second on a palm lies there."""
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", points[0])
    touch("touchMove", points[1])
    touch("touchStart", points[1], palm)
    for point in points[2:]:
        touch("touchMove", point, palm)
    touch("touchEnd", points[-1])
    touch("touchEnd")


def _wait_for(address: str, log: Path) -> None:
    for _ in range(180):
        try:
            urllib.request.urlopen(address, timeout=2)
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"JupyterLab did not start: {log.read_text()[-2000:]}")
