"""Serving the demos: which there are, ports, hosts, what is said, and a clean end."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from figures.demos import server
from figures.demos.server import DEMOS, LOCAL, index_page, listen, serve

ROOT = Path(__file__).parents[3]

needs_marimo = pytest.mark.skipif(importlib.util.find_spec("marimo") is None, reason="marimo is not installed")


def test_every_demo_is_a_notebook_with_its_title() -> None:
    assert [one.name for one in DEMOS] == ["curse", "reparameterize", "design", "memory", "best", "fit"]
    for one in DEMOS:
        text = one.file.read_text(encoding="utf-8")
        assert "app = marimo.App(" in text
        assert f'app_title="{one.title}"' in text
        assert text.rstrip().endswith('if __name__ == "__main__":\n    app.run()')


def test_an_unknown_demo_is_named_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"demo 'cruse': no such demo; allowed: curse, reparameterize, .*, fit$"):
        serve("cruse", open_browser=False)


def test_without_marimo_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=re.escape("pip install 'stablessm[demo]'")):
        serve("curse", open_browser=False)


def test_the_list_loads_nothing_heavy() -> None:
    code = "import figures.demos.server, json, sys; print(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"torch", "marimo", "matplotlib", "sympy", "scipy", "uvicorn", "starlette"}
    assert not set(json.loads(done.stdout)) & heavy


def test_a_port_in_use_leads_to_the_next_free_one() -> None:
    with listen(LOCAL, 0) as first:
        taken = first.getsockname()[1]
        with listen(LOCAL, taken) as second:
            assert taken < second.getsockname()[1] <= taken + server.PORTS_TRIED


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        (LOCAL, 65536, r"port: 65536 is not allowed; it must lie between 0 and 65535"),
        (LOCAL, -1, r"port: -1 is not allowed"),
        ("192.0.2.1", 0, r"host: '?192\.0\.2\.1'? is not an address of this machine"),
        ("no such host", 0, r"host: '?no such host'? is not an address of this machine"),
        ("ü" * 70, 0, r"host: ü+… is not an address of this machine"),
        ("", 0, r"host: an address of this machine is needed; 0\.0\.0\.0 for all of them"),
    ],
)
def test_a_port_or_host_that_cannot_be_used(host: str, port: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        listen(host, port)


def test_no_port_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    with listen(LOCAL, 0) as taken:
        monkeypatch.setattr(server, "PORTS_TRIED", 1)
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=rf"port: none of {port} to {port} on 127\.0\.0\.1 can be used"):
            listen(LOCAL, port)


def test_the_index_links_every_demo() -> None:
    page = index_page()
    assert re.findall(r'href="(\w+)/"', page) == [one.name for one in DEMOS]
    assert "http" not in page.replace("https://www.w3.org", "")


@pytest.mark.parametrize(
    ("host", "text"), [("0.0.0.0", LOCAL), ("::", "[::1]"), ("::1", "[::1]"), ("school.example", "school.example")]
)
def test_the_host_in_an_address(host: str, text: str) -> None:
    assert server._in_address(host) == text


def test_no_display_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(server.sys, "platform", "linux")
    assert not server._has_display()
    monkeypatch.setenv("DISPLAY", ":0")
    assert server._has_display()


def _status(address: str, body: str | None = None, **headers: str) -> int:
    headers = {"Content-Type": "application/json"} | headers
    request = urllib.request.Request(address, None if body is None else body.encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@needs_marimo
def test_a_server_from_its_first_line_to_its_last() -> None:
    with socket.create_server((LOCAL, 0)) as taken:
        port = taken.getsockname()[1]
        code = f"from figures.demos.server import serve; serve('curse', {port}, open_browser=True)"
        environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")}
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            said = [process.stdout.readline(), process.stdout.readline()]
            other = re.fullmatch(rf"Port {port} is in use; this is port (\d+)\.\n", said[0])
            assert other
            address = f"http://127.0.0.1:{other[1]}/"
            assert said[1] == f"The demo curse is at {address}curse/  (Ctrl-C stops)\n"
            assert _status(address) == _status(f"{address}curse/") == _status(f"{address}curse") == 200
            assert _status(f"{address}no-such-demo/") == 404
            assert _status(address, Host="rebound.example") == 400
            assert _status(address, Origin=address.rstrip("/")) == 200
            assert _status(address, Origin="http://other.example") == _status(address, Origin="null") == 403
            code = '{"cellIds": ["a"], "codes": ["1"]}'
            assert _status(f"{address}curse/api/kernel/run", body=code) == 401
            assert _status(f"{address}curse/api/files/list_files", body='{"path": "/"}') == 401
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (rest, errors, process.returncode) == ("Stopped.\n", "", 0)
