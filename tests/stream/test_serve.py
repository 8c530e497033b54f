"""The stream server against clients that are many, curious, slow or hostile."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from stream_toy import write_file, write_folder

from gscompress.cli.main import run
from gscompress.stream.opening import open_stream
from gscompress.stream.serve import Limits, StreamServer

SECRET = "nobody may read this"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "stream", 12)
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "stream" / ".hidden").write_text(SECRET)
    (tmp_path / "stream" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "stream" / "out").symlink_to(tmp_path)
    return tmp_path / "stream"


def serving(source: Path, visit: Callable[[StreamServer], Awaitable[None]], limits: Limits | None = None) -> None:
    """Start a server, let ``visit`` talk to it, end it."""

    async def whole() -> None:
        async with StreamServer(source, port=0, limits=limits) as server:
            await visit(server)

    asyncio.run(asyncio.wait_for(whole(), 20))


async def raw(server: StreamServer, request: bytes) -> bytes:
    """Send bytes as they are and read until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]).encode()


def status(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1])


def test_ranges_etags_and_cross_origin_headers(folder: Path) -> None:
    (segment,) = (folder / "q1").glob("000001-*.gop")
    data, path = segment.read_bytes(), f"/q1/{segment.name}"

    async def visit(server: StreamServer) -> None:
        async with aiohttp.ClientSession(server.url) as session:
            for wanted, part in (
                ("bytes=3-9", data[3:10]),
                ("bytes=-5", data[-5:]),
                ("bytes=7-", data[7:]),
                (f"bytes=0-{10**15}", data),
                (f"bytes=-{10**15}", data),
            ):
                async with session.get(path, headers={"Range": wanted}) as reply:
                    assert reply.status == 206
                    assert await reply.read() == part
                    assert reply.headers["Content-Range"].endswith(f"/{len(data)}")
            beyond = f"bytes={len(data)}-"
            for wanted in (beyond, "bytes=9-3", "bytes=x-y", "bytes=0-1,4-5", "bytes=" + "9" * 6000 + "-"):
                async with session.get(path, headers={"Range": wanted}) as reply:
                    assert reply.status == 416
                    assert len(await reply.read()) < 1000
            async with session.get(path, headers={"Origin": "http://elsewhere.example"}) as reply:
                assert await reply.read() == data
                assert reply.headers["Access-Control-Allow-Origin"] == "*"
                assert "Content-Range" in reply.headers["Access-Control-Expose-Headers"]
                assert "immutable" in reply.headers["Cache-Control"]
                tag = reply.headers["ETag"]
            async with session.get(path, headers={"If-None-Match": tag}) as reply:
                assert reply.status == 304
                assert reply.headers["Access-Control-Allow-Origin"] == "*"
            async with session.get("/manifest.json") as reply:
                assert reply.headers["Cache-Control"] == "no-cache"
            async with session.head(path) as reply:
                assert int(reply.headers["Content-Length"]) == len(data)
            async with session.options(path, headers={"Access-Control-Request-Headers": "range"}) as reply:
                assert reply.status == 204
                assert "Range" in reply.headers["Access-Control-Allow-Headers"]
            async with session.post(path, data=b"x") as reply:
                assert reply.status == 405

    serving(folder, visit)


def test_no_path_leads_out_of_the_folder(folder: Path) -> None:
    outside = f"{folder.parent}/secret.txt"
    ways = ["../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "%2e%2e%2fsecret.txt", "q1/../../secret.txt"]
    ways += ["..%5csecret.txt", "....//secret.txt", outside, "%2f" + outside, "%c0%ae%c0%ae/secret.txt"]
    ways += ["link.txt", "out/secret.txt", ".hidden", "q1/../.hidden", "q1/%00", "%", "q1", "q1/", "*"]
    ways += ["manifest.json%00.txt", "a" * 5000, "/".join("a" * 300), "http://x/../secret.txt"]

    async def visit(server: StreamServer) -> None:
        assert status(await raw(server, get("/manifest.json"))) == 200
        for way in ways:
            reply = await raw(server, get(f"/{way}"))
            assert SECRET.encode() not in reply, way
            assert status(reply) in (400, 404), way
            assert b"Traceback" not in reply
        assert status(await raw(server, get("/manifest.json"))) == 200

    serving(folder, visit)


def test_a_single_file_is_served_and_nothing_beside_it(tmp_path: Path) -> None:
    write_file(tmp_path / "a scene.gscz", 8)
    (tmp_path / "secret.txt").write_text(SECRET)

    async def visit(server: StreamServer) -> None:
        assert server.url.endswith("/a%20scene.gscz")
        assert status(await raw(server, get("/a%20scene.gscz", "Range: bytes=0-7"))) == 206
        assert status(await raw(server, get("/secret.txt"))) == 404
        assert status(await raw(server, get("/./secret.txt"))) == 404
        assert b"stream play http" in await raw(server, get("/"))

    serving(tmp_path / "a scene.gscz", visit)


def test_slow_and_silent_clients_lose_their_connection_and_hold_up_nobody(folder: Path) -> None:
    (folder / "large.bin").write_bytes(bytes(16 << 20))

    async def visit(server: StreamServer) -> None:
        async def drip() -> float:
            """Headers byte by byte, never ending."""
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            started = asyncio.get_running_loop().time()
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
            while not reader.at_eof():
                with_care = asyncio.wait_for(reader.read(1), 0.1)
                try:
                    writer.write(b"X")
                    await with_care
                except asyncio.TimeoutError:
                    continue
                except ConnectionError:
                    break
            writer.close()
            return asyncio.get_running_loop().time() - started

        async def nibble() -> int:
            """Ask for much and take little."""
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 10)
            writer.write(get("/large.bin"))
            await asyncio.sleep(1.2)
            taken = 0
            try:
                while block := await reader.read(1 << 16):
                    taken += len(block)
            except ConnectionError:
                pass
            writer.close()
            return taken

        slow = [asyncio.create_task(drip()) for _ in range(20)]
        greedy = asyncio.create_task(nibble())
        await asyncio.sleep(0.2)
        started = asyncio.get_running_loop().time()
        async with await open_stream(server.url) as stream:
            assert len([frame async for frame in stream.frames()]) == 12
        assert asyncio.get_running_loop().time() - started < 2
        assert max(await asyncio.gather(*slow)) < 2
        assert await greedy < 16 << 20

    serving(folder, visit, Limits(idle=0.6, grace=0.6, slowest=1 << 30))


def test_a_hundred_clients_at_once_all_get_every_frame(folder: Path) -> None:
    async def visit(server: StreamServer) -> None:
        async with aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(limit=0)) as session:
            paths = ["/manifest.json", *(f"/q1/{path.name}" for path in (folder / "q1").iterdir())]

            async def client() -> None:
                for path in paths:
                    async with session.get(path, headers={"Connection": "keep-alive"}) as reply:
                        assert reply.status == 200
                        assert await reply.read() == (folder / path[1:]).read_bytes()

            await asyncio.gather(*(client() for _ in range(100)))

    serving(folder, visit)


def test_beyond_its_limit_a_server_asks_to_come_back_later(folder: Path) -> None:
    async def visit(server: StreamServer) -> None:
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert status(await raw(server, b"")) == 503
        for _, writer in held:
            writer.close()
        async with await open_stream(server.url) as stream:
            assert len([frame async for frame in stream.frames()]) == 12

    serving(folder, visit, Limits(connections=3))


def test_clients_that_leave_in_the_middle_do_no_harm(folder: Path) -> None:
    (folder / "large.bin").write_bytes(bytes(4 << 20))

    async def visit(server: StreamServer) -> None:
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(get("/large.bin"))
            await reader.read(1000)
            writer.transport.abort()
        assert status(await raw(server, get("/manifest.json"))) == 200

    serving(folder, visit)


def test_garbage_is_refused_and_the_server_goes_on(folder: Path) -> None:
    dice = random.Random(3)
    wild = [dice.randbytes(dice.randrange(1, 3000)) + b"\r\n\r\n" for _ in range(40)]
    wild += [get("/manifest.json", "X: " + "y" * 20_000), get("/manifest.json", *("X: y" for _ in range(5000)))]
    wild += [
        b"GET /manifest.json HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        get("/", method="TRACE"),
        get("/", "Content-Length: -1"),
    ]
    wild += [
        get("/", "Transfer-Encoding: chunked", method="POST") + b"zz\r\n",
        get("/", "Content-Length: 99", method="PUT"),
    ]

    async def visit(server: StreamServer) -> None:
        for request in wild:
            reply = await raw(server, request)
            assert not reply or status(reply) >= 400 or request.startswith(b"GET / "), request[:60]
            assert b"Traceback" not in reply
        assert status(await raw(server, get("/manifest.json"))) == 200

    serving(folder, visit, Limits(idle=0.3))


def test_what_cannot_be_served_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stream", "serve", str(tmp_path), "--port", "0"]) == 3
    assert "manifest.json" in capsys.readouterr().err
    assert run(["stream", "serve", str(tmp_path / "none.gscz"), "--port", "0"]) == 3
    write_folder(tmp_path / "stream", 4)
    assert run(["stream", "serve", str(tmp_path / "stream"), "--host", "192.0.2.1"]) == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_the_command_serves_until_ctrl_c(tmp_path: Path) -> None:
    write_folder(tmp_path / "stream", 4)
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    code += "from gscompress.cli.main import main; main()"
    command = [sys.executable, "-c", code, "stream", "serve", str(tmp_path / "stream"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert found is not None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=15) == 0
        assert process.stderr.read() == ""
